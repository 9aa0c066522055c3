import multiprocessing
import os
import time

import pytest

from relion4plugin.jobs.job_star import JobStar
from relion4plugin.schemes.job_launch import note_start, open_pipeline, prepare_job, set_status
from relion4plugin.schemes.launches import new_launch, template_digest
from relion4plugin.schemes.model import Edge, Operator, Scheme, SchemeJob
from relion4plugin.schemes.pipeline import Pipeline, Process, Status
from relion4plugin.schemes.pipeline_star import read_pipeline, write_pipeline
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.runner import Outcome
from tests.schemes.shipped_schemes import same
from tests.schemes.stubs import TYPES, make_project, run_stubs

pytestmark = pytest.mark.usefixtures("no_fsync")
IMPORT = JobStar("relion.import")


@pytest.fixture
def project(tmp_path):
    open_pipeline(Project(tmp_path))
    return Project(tmp_path)


def prepare(project, launch=None, job=IMPORT):
    return prepare_job(project, launch or new_launch("a"), job, TYPES[job.type_label])


def test_numbers_are_taken_one_after_the_other(project):
    assert [prepare(project) for _ in range(3)] == ["Import/job001/", "Import/job002/", "Import/job003/"]
    pipeline = read_pipeline(project.pipeline_path)
    assert pipeline.counter == 4 and pipeline.process("Import/job002/").status is Status.SCHEDULED
    small = read_pipeline(project.root / "Import/job002/job_pipeline.star")
    assert small.counter == 2 and list(small.processes) == ["Import/job002/"] and small.outputs_of("Import/job002/")


def test_a_launch_has_one_directory(project):
    launch = new_launch("a")
    assert prepare(project, launch) == prepare(project, launch) == "Import/job001/"
    # Killed after the directory was made and before the pipeline was written.
    write_pipeline(project.pipeline_path, Pipeline())
    assert prepare(project, launch) == "Import/job001/"
    assert prepare(project) == "Import/job002/"


def test_a_directory_of_someone_else_is_left_alone(project):
    (project.root / "Import/job001").mkdir(parents=True)
    (project.root / "Import/job001/mine").touch()
    assert prepare(project) == "Import/job002/"
    assert [path.name for path in (project.root / "Import/job001").iterdir()] == ["mine"]


def test_end_and_declared_outputs(project):
    directory = prepare(project)
    head = "\ndata_output_nodes\n\nloop_\n_rlnPipeLineNodeName #1\n_rlnPipeLineNodeTypeLabel #2\n"
    (project.root / directory / "RELION_OUTPUT_NODES.star").write_text(f"{head}Import/job001/x.star ParticlesData.star.relion\n\n")
    set_status(project, directory, Status.SUCCEEDED)
    pipeline = read_pipeline(project.pipeline_path)
    assert pipeline.process(directory).status is Status.SUCCEEDED
    assert "Import/job001/x.star" in pipeline.outputs_of(directory)
    assert (project.root / ".pipeline_has_changed").exists()


def test_the_notes_keep_all_executions(project):
    directory = prepare(project)
    note_start(project, directory, ["first"])
    note_start(project, directory, ["second"])
    text = (project.root / directory / "note.txt").read_text()
    assert text.count(" ++++ with the following command(s): \n") == 2 and "\nfirst\n ++++ \n" in text
    assert (project.root / directory / "default_pipeline.star").exists()


def test_what_makes_another_job():
    job = JobStar("relion.class2d", options={"nr_classes": "50", "gpu_ids": "0"})
    digest = template_digest(job)
    assert template_digest(JobStar("relion.class2d", True, options={"gpu_ids": "1", "nr_classes": "50", "nr_threads": "8"})) == digest
    assert template_digest(JobStar("relion.class2d", options={"nr_classes": "51", "gpu_ids": "0"})) != digest


def loop_of_jobs(name, label, rounds):
    operators = {"ADD": Operator("ADD", "float=plus", "n", "n", "one"), "MORE": Operator("MORE", "bool=lt", "more", "n", "limit")}
    operators["EXIT"] = Operator("EXIT", "exit")
    edges = (Edge("job", "ADD"), Edge("ADD", "MORE"), Edge("MORE", "EXIT", True, "job", "more"))
    floats = same(n=0.0, one=1.0, limit=float(rounds))
    jobs = {"job": SchemeJob("job", "job", "new")}
    scheme = Scheme(f"Schemes/{name}/", floats=floats, bools=same(more=False), operators=operators, jobs=jobs, edges=edges)
    return scheme, {"job": (label, {})}


def _run(root, name, results):
    os.fsync = lambda descriptor: None
    results.put((name, run_stubs(Project(root), name).outcome))


@pytest.mark.parametrize("rounds", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_two_schemes_side_by_side(tmp_path, rounds):
    """Conformance 16: no number twice, no job lost."""
    project = make_project(tmp_path, [loop_of_jobs("one", "relion.import", rounds), loop_of_jobs("two", "relion.motioncorr", rounds)])
    fork = multiprocessing.get_context("fork")
    results = fork.Queue()
    children = [fork.Process(target=_run, args=(tmp_path, name, results)) for name in ("one", "two")]
    for child in children:
        child.start()
    assert {results.get(timeout=200) for _ in children} == {("one", Outcome.FINISHED), ("two", Outcome.FINISHED)}
    for child in children:
        child.join()
    pipeline = read_pipeline(project.pipeline_path)
    assert sorted(process.number for process in pipeline.processes.values()) == list(range(1, 2 * rounds + 1))
    assert {process.status for process in pipeline.processes.values()} == {Status.SUCCEEDED}
    assert pipeline.counter == 2 * rounds + 1


def test_a_project_with_many_jobs_opens(tmp_path):
    """5,000 jobs; how long it takes is for the benchmarks, that it stays linear is checked against 500."""
    times = []
    for number in (500, 5000):
        processes = {f"Import/job{i:03d}/": Process(f"Import/job{i:03d}/", "relion.import", Status.SUCCEEDED) for i in range(1, number + 1)}
        pipeline = Pipeline(number + 1, processes)
        for_outputs = {f"{name}movies.star": "MicrographMoviesData.star.relion" for name in processes}
        write_pipeline(tmp_path / "default_pipeline.star", pipeline.with_outputs("Import/job001/", for_outputs))
        began = time.process_time()
        assert len(open_pipeline(Project(tmp_path)).processes) == number
        times.append(time.process_time() - began)
    assert times[1] < 60 * times[0] + 0.5
