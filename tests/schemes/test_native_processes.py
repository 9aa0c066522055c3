"""A job of this program in several processes: started by mpirun on this machine, by its script in a queue."""

from dataclasses import replace

import pytest

from relion4plugin.jobs.registry import job_type
from relion4plugin.jobs.relion import native as runners
from relion4plugin.schemes.executors import native
from relion4plugin.schemes.executors.choice import executor
from tests.schemes.stubs import stub_type
from tests.schemes.test_executors import a_run

START = ("mpirun", "-n", "3")
SHARED = replace(stub_type("relion.class3d", "Class3D"), native=lambda options: lambda execution: (), shares_work=True)


@pytest.fixture(autouse=True)
def large_machine(monkeypatch):
    monkeypatch.setattr(native, "mpirun_words", lambda wanted, threads: ("mpirun", "-n", str(wanted)) if wanted > 1 else ())


def test_only_jobs_that_can_be_shared_start_under_mpirun(tmp_path):
    (words,) = executor("auto").commands(a_run(tmp_path, SHARED, nr_mpi="3"))
    assert words[:3] == START and words[4:] == ("-m", "relion4plugin.cli.main", "run-job", "Class3D/job001/")
    (words,) = executor("auto").commands(a_run(tmp_path, SHARED, nr_mpi="1"))
    assert words[0] != "mpirun"
    (words,) = executor("auto").commands(a_run(tmp_path, replace(SHARED, shares_work=False), nr_mpi="3"))
    assert words[0] != "mpirun"


def test_the_script_of_a_queue_starts_the_processes_itself(tmp_path):
    (tmp_path / "slurm.sh").write_text("mpirun -n XXXmpinodesXXX XXXcommandXXX\n")
    run = a_run(tmp_path, SHARED, nr_mpi="3", do_queue="Yes", qsub="sbatch", qsubscript="slurm.sh")
    executor("auto").commands(run)
    line = (run.path / "run_submit.script").read_text()
    assert line.startswith("mpirun -n 3 ") and line.count("mpirun") == 1 and line.endswith("run-job Class3D/job001/\n")


def test_refinements_can_be_shared():
    labels = ("class2d", "initialmodel", "class3d", "refine3d", "motioncorr")
    shared = [label for label in labels if job_type(f"relion.{label}").shares_work]
    assert shared == ["class2d", "initialmodel", "class3d", "refine3d"]


def test_fewer_processes_than_asked_for_are_remarked(monkeypatch):
    monkeypatch.setattr(runners, "shortage", lambda wanted, threads: "2 cores have room for 1 of 2 threads")
    told = runners.process_remarks({"nr_mpi": "3", "nr_threads": "2"})
    assert told == ("nr_mpi is 3, but this job runs as 1: 2 cores have room for 1 of 2 threads",)
    monkeypatch.setattr(runners, "shortage", lambda wanted, threads: "")
    assert runners.process_remarks({"nr_mpi": "3"}) == ("nr_mpi is 3, but this job runs as 1: it was started without mpirun",)
    assert runners.process_remarks({"nr_mpi": "1", "nr_threads": "2"}) == () == runners.process_remarks({})
