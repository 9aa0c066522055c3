import time

import pytest

from relion4plugin.schemes.follow import follow
from relion4plugin.schemes.it.launch import start_runners
from relion4plugin.schemes.model import Edge, Operator, Scheme, Variable
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import scheme_text
from tests.schemes.shipped_schemes import PREP_TEMPLATES, prep
from tests.schemes.stubs import make_project, run_stubs

pytestmark = pytest.mark.usefixtures("no_fsync")


def test_jobs_and_the_end_are_told(tmp_path):
    project = make_project(tmp_path, [(prep(wait_sec=0.01, maxtime_hr=0.0), PREP_TEMPLATES)])
    run_stubs(project, "prep")
    lines = []
    assert follow(project, ["prep"], lines.append)["prep"].outcome == "finished"
    jobs = ["importmovies in Import/job001/", "motioncorr in MotionCorr/job002/", "ctffind in CtfFind/job003/"]
    assert [line for line in lines if " in " in line] == [f"prep: {job}" for job in jobs]


def test_a_failure_is_told(tmp_path):
    project = make_project(tmp_path, [(prep(wait_sec=0.01, maxtime_hr=0.0), PREP_TEMPLATES)])
    (project.root / "stubs/fail_MotionCorr").touch()
    run_stubs(project, "prep")
    lines = []
    end = follow(project, ["prep"], lines.append)["prep"]
    assert end.outcome == "failed" and "no beam" in end.reason
    assert any("motioncorr failed" in line and "no beam" in line for line in lines)


@pytest.fixture
def waiting(tmp_path):
    """A project with a scheme that waits for an hour."""
    scheme = Scheme(
        "Schemes/slow/", "WAIT", {"wait_sec": Variable(3600.0, 3600.0)}, operators={"WAIT": Operator("WAIT", "wait", input1="wait_sec")},
        edges=(Edge("WAIT", "WAIT"),),
    )  # fmt: skip
    (tmp_path / "Schemes/slow").mkdir(parents=True)
    (tmp_path / "Schemes/slow/scheme.star").write_text(scheme_text(scheme))
    return Project(tmp_path)


def test_an_interrupt_stops_the_schemes(waiting, monkeypatch):
    start_runners(waiting, ["slow"])
    looks = []

    def interrupted_once(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt
        pause(0.05)

    pause = time.sleep
    monkeypatch.setattr("relion4plugin.schemes.follow.time.sleep", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        follow(waiting, ["slow"], lambda line: None, pause=0.05)
    monkeypatch.undo()
    assert not waiting.scheme_lock("slow").is_dir()
    assert (waiting.scheme_directory("slow") / "RELION_JOB_EXIT_ABORTED").exists()


def test_a_scheme_that_never_ran_has_no_outcome(waiting):
    end = follow(waiting, ["slow"], lambda line: None)["slow"]
    assert end.outcome == "failed" and end.reason.startswith("ended without a word; see run.out and run.err in ")
