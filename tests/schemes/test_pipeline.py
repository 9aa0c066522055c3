import time
from dataclasses import replace

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.jobdir import JobDirectory
from relion4plugin.progress import Silent
from relion4plugin.schemes.labels import base_label, job_folder, relion4_label, relion5_label
from relion4plugin.schemes.pipeline import Dialect, Node, Pipeline, Process, Status, pipeline_of_job
from relion4plugin.schemes.pipeline_star import pipeline_text, read_pipeline, write_pipeline
from relion4plugin.schemes.pipeline_status import marked_status, mirror_path, refreshed, touch_nodes

MOVIES = "MicrographMoviesData.star.relion"


def small():
    pipeline, first = Pipeline().with_new_process("relion.import.movies", Status.SUCCEEDED)
    pipeline = pipeline.with_outputs(first.name, {f"{first.name}movies.star": MOVIES})
    pipeline, second = pipeline.with_new_process("relion.motioncorr.own")
    return pipeline.with_inputs(second.name, {f"{first.name}movies.star": "x"})


def test_real_pipelines_round_trip(shared_data, tmp_path):
    paths = sorted((shared_data / "star").glob("**/*pipeline.star"))
    assert len(paths) > 30
    seen = set()
    for path in paths:
        pipeline = read_pipeline(path)
        seen.add(pipeline.dialect)
        write_pipeline(tmp_path / "p.star", pipeline)
        assert read_pipeline(tmp_path / "p.star") == pipeline, path
    assert seen == set(Dialect)


@pytest.mark.parametrize("project", ["relion31_tutorial_bgal", "relion40_em_testdata", "relion50_project_bgal"])
def test_relions_own_files_come_out_byte_for_byte(shared_data, project):
    path = shared_data / "star" / project / "default_pipeline.star"
    assert pipeline_text(read_pipeline(path)) == path.read_text()


def test_what_stands_in_a_real_pipeline(shared_data):
    pipeline = read_pipeline(shared_data / "star" / "relion31_tutorial_bgal" / "default_pipeline.star")
    assert (pipeline.counter, len(pipeline.processes), pipeline.dialect) == (32, 31, Dialect.RELION31)
    assert pipeline.process("Select/job009/") == Process("Select/job009/", "relion.select", Status.SUCCEEDED, "Select/templates4autopick/")
    assert pipeline.process("Select/templates4autopick").number == 9
    assert pipeline.nodes["MaskCreate/job020/mask.mrc"] == Node("MaskCreate/job020/mask.mrc", "Mask3D.mrc")
    assert pipeline.producer("Class3D/job016/run_it025_class001_box256.mrc") == "Class3D/job016/"
    assert pipeline.inputs_of("LocalRes/job031/") == ["Refine3D/job029/run_half1_class001_unfil.mrc"]


def test_numbers_are_shared_by_all_types():
    pipeline = small()
    assert list(pipeline.processes) == ["Import/job001/", "MotionCorr/job002/"] and pipeline.counter == 3
    assert pipeline.processes["MotionCorr/job002/"].status is Status.SCHEDULED
    assert pipeline.nodes["Import/job001/movies.star"].type_label == MOVIES  # the first registration counts
    late, process = replace(pipeline, counter=1000).with_new_process("Class2D")
    assert (process.name, late.counter) == ("Class2D/job1000/", 1001)


def test_what_is_known_is_not_added_again():
    pipeline = small()
    again = pipeline.with_inputs("MotionCorr/job002/", {"Import/job001/movies.star": "x"})
    assert again == pipeline


def test_an_alias_is_written_as_the_real_directory():
    pipeline = small().with_process(Process("Import/job001/", "relion.import.movies", Status.SUCCEEDED, "Import/mine/"))
    pipeline = pipeline.with_inputs("MotionCorr/job002/", {"Import/mine/gain.mrc": "DensityMap.mrc"})
    assert "Import/job001/gain.mrc" in pipeline.nodes
    assert mirror_path(pipeline, "Import/job001/movies.star") == ".Nodes/MicrographMoviesData/Import/mine/movies.star"


def test_removing_files_takes_their_edges():
    pipeline = small().without_nodes(["Import/job001/movies.star"])
    assert (pipeline.nodes, pipeline.inputs, pipeline.outputs) == ({}, (), ())


def test_a_relion5_pipeline_gets_relion5_labels():
    pipeline = replace(small(), dialect=Dialect.RELION5).with_outputs(
        "MotionCorr/job002/", {"MotionCorr/job002/corrected_micrographs.star": "MicrographsData.star.relion.motioncorr"}
    )
    assert pipeline.nodes["MotionCorr/job002/corrected_micrographs.star"].type_label == "MicrographGroupMetadata.star.relion.motioncorr"
    assert "# version 50001" in pipeline_text(pipeline) and "rlnPipeLineNodeTypeLabelDepth #3" in pipeline_text(pipeline)


def test_an_old_pipeline_is_converted_only_when_asked(shared_data, tmp_path):
    pipeline = read_pipeline(shared_data / "star" / "relion31_tutorial_bgal" / "default_pipeline.star")
    added, _ = pipeline.with_new_process("relion.importtomo")
    with pytest.raises(UserError, match=r"RELION 3.1, which wrote this pipeline, has no job type 'relion.importtomo'"):
        pipeline_text(added)
    write_pipeline(tmp_path / "p.star", added.converted(Dialect.RELION4))
    assert read_pipeline(tmp_path / "p.star").processes["ImportTomo/job032/"].type_label == "relion.importtomo"
    modern = pipeline.converted(Dialect.RELION5)
    assert modern.nodes["Import/job001/movies.star"].type_label == "MicrographMovieGroupMetadata.star.relion"
    with pytest.raises(UserError, match="cannot be turned into one of RELION 4"):
        modern.converted(Dialect.RELION4)


def test_the_pipeline_of_one_job(tmp_path):
    part = pipeline_of_job(small(), "MotionCorr/job002/")
    assert (part.counter, list(part.processes), list(part.nodes)) == (2, ["MotionCorr/job002/"], ["Import/job001/movies.star"])
    fresh = pipeline_text(Pipeline())
    assert "data_pipeline_general" in fresh and "data_pipeline_processes" not in fresh


def test_the_pipeline_that_a_job_writes_is_read(tmp_path):
    out = tmp_path / "job001"
    out.mkdir()
    inputs, outputs = {"in.star": "ParticlesData.star.relion"}, {out / "x.star": "y"}
    with JobDirectory(out, JobStar("relion.class2d"), command="c", inputs=inputs, outputs=outputs, progress=Silent()):
        pipeline = read_pipeline(out / "job_pipeline.star")
    assert pipeline.inputs == (("in.star", f"{out}/"),) and pipeline.processes[f"{out}/"].status is Status.RUNNING
    assert marked_status(out) is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Scheduled", "Sleeping", "line 19: job MotionCorr/job002/ has the state 'Sleeping'"),
        ("           3", "       three", "the job counter is 'three'"),
        ("data_pipeline_general", "data_other", "no block data_pipeline_general"),
    ],
)
def test_damaged_pipelines_are_refused(tmp_path, old, new, message):
    path = tmp_path / "default_pipeline.star"
    text = pipeline_text(small())
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        read_pipeline(path)


def test_an_edge_to_nowhere_is_left_out_and_said(tmp_path):
    path = tmp_path / "default_pipeline.star"
    lost = replace(small(), inputs=(("none.star", "MotionCorr/job002/"),))
    write_pipeline(path, lost)
    lines = []
    assert read_pipeline(path, lines.append).inputs == ()
    assert "edge of 'none.star'" in lines[0]


def test_finished_jobs_are_noticed(tmp_path):
    pipeline = small().with_status("MotionCorr/job002/", Status.RUNNING)
    folder = tmp_path / "MotionCorr/job002"
    folder.mkdir(parents=True)
    assert refreshed(pipeline, tmp_path) is pipeline
    (folder / "RELION_JOB_EXIT_ABORTED").touch()
    assert refreshed(pipeline, tmp_path).process("MotionCorr/job002/").status is Status.ABORTED
    (folder / "RELION_JOB_EXIT_SUCCESS").touch()  # counts before the others
    assert refreshed(pipeline, tmp_path, lambda process: False) is pipeline
    head = "data_output_nodes\n\nloop_\n_rlnPipeLineNodeName\n_rlnPipeLineNodeTypeLabel\n"
    (folder / "RELION_OUTPUT_NODES.star").write_text(f"{head}MotionCorr/job002/x.star MicrographsData.star.relion\n")
    done = refreshed(pipeline, tmp_path)
    assert done.process("MotionCorr/job002/").status is Status.SUCCEEDED
    assert done.outputs_of("MotionCorr/job002/") == ["MotionCorr/job002/x.star"]


def test_files_are_mirrored_for_relions_window(tmp_path):
    pipeline = small().with_outputs("MotionCorr/job002/", {"MotionCorr/job002/out.star": "MicrographsData.star.relion.motioncorr"})
    touch_nodes(pipeline, "MotionCorr/job002/", tmp_path)  # scheduled: outputs are to come; the input does not exist
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob(".Nodes/**/*.star"))
    assert found == [".Nodes/MicrographsData/MotionCorr/job002/out.star"]


def test_labels():
    assert (base_label("relion.select.class2dauto"), base_label("Class2D")) == ("relion.select", "relion.class2d")
    assert job_folder("relion.autopick.topaz.pick") == "AutoPick"
    with pytest.raises(UserError, match=r"there is no job type 'relion\.none'"):
        base_label("relion.none")
    pairs = {
        "ParticlesData.star.relion.class2d": "ParticleGroupMetadata.star.relion.class2d",
        "ProcessData.star.relion.optimiser.class2d": "OptimiserData.star.relion.class2d",
        "ProcessData.star.relion.optimiser.autoselect": "OptimiserData.star.relion.select",
        "DensityMap.mrc.relion.refine3d": "DensityMap.mrc.relion.refine3d",
        "ParticlesDataX": "ParticlesDataX",
    }
    assert {old: relion5_label(old) for old in pairs} == pairs
    assert {new: relion4_label(new) for new in pairs.values()} == {new: old for old, new in pairs.items()}


def test_a_large_project_opens_fast(tmp_path):
    """Five thousand jobs with four outputs and two inputs each; the target is one second."""
    names = [f"Class2D/job{i:03d}/" for i in range(1, 5001)]
    nodes = {f"{name}out{k}.star": Node(f"{name}out{k}.star", "ParticlesData.star.relion") for name in names for k in range(4)}
    pipeline = Pipeline(
        5001,
        {name: Process(name, "relion.class2d", Status.SUCCEEDED) for name in names},
        nodes,
        tuple((f"{names[i - 1]}out{k}.star", names[i]) for i in range(1, 5000) for k in range(2)),
        tuple((name, f"{name}out{k}.star") for name in names for k in range(4)),
    )
    write_pipeline(tmp_path / "default_pipeline.star", pipeline)
    start = time.perf_counter()
    assert read_pipeline(tmp_path / "default_pipeline.star") == pipeline
    assert time.perf_counter() - start < 3  # a busy machine
