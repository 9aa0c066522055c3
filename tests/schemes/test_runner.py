import os
import signal
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.markers import ABORT_NOW, ABORTED, FAILURE, SUCCESS
from relion4plugin.schemes.control import abort, edit_scheme
from relion4plugin.schemes.events import read_events
from relion4plugin.schemes.executors.choice import executor
from relion4plugin.schemes.job_wait import JobLimits
from relion4plugin.schemes.model import Edge, Operator, SchemeJob
from relion4plugin.schemes.owners import Owner
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.pipeline_star import read_pipeline
from relion4plugin.schemes.runner import Outcome
from tests.schemes.shipped_schemes import PREP_TEMPLATES, PROC_TEMPLATES, prep, proc, same
from tests.schemes.stubs import calls, make_project, run_stubs, state
from tests.schemes.world import toy

pytestmark = pytest.mark.usefixtures("no_fsync")
MARKERS = (SUCCESS, FAILURE, ABORTED)


def markers(project, name):
    return [marker for marker in MARKERS if (project.scheme_directory(name) / marker).exists()]


def events(project, name, kind):
    return [event for _, event in read_events(project.scheme_directory(name) / "events.jsonl") if event["event"] == kind]


def nodes(project, name):
    return [event["node"] for event in events(project, name, "node")]


@pytest.fixture
def prepared(tmp_path):
    return make_project(tmp_path, [(prep(wait_sec=0.01, maxtime_hr=0.0), PREP_TEMPLATES)])


def test_prep_cycles_in_the_same_directories(prepared):
    """Conformance 1: three jobs again and again, from the second time on continued; ended by the maximum time."""
    edit_scheme(prepared, "prep", lambda scheme: scheme.with_float("maxtime_hr", 1.0))
    assert run_stubs(prepared, "prep", max_steps=10).outcome is Outcome.PAUSED
    edit_scheme(prepared, "prep", lambda scheme: scheme.with_float("maxtime_hr", 0.0))
    end = run_stubs(prepared, "prep")
    assert (end.outcome, end.node) == (Outcome.FINISHED, "EXIT_maxtime")
    cycle = ["WAIT", "EXIT_maxtime", "importmovies", "motioncorr", "ctffind"]
    assert nodes(prepared, "prep") == [*cycle, *cycle, *cycle, "WAIT", "EXIT_maxtime"]
    jobs = ["Import/job001", "MotionCorr/job002", "CtfFind/job003"]
    assert calls(prepared) == [f"{job} --fresh" for job in jobs] + 2 * [f"{job} --continue" for job in jobs]
    assert markers(prepared, "prep") == [SUCCESS]
    scheme = state(prepared, "prep")
    assert scheme.current_node == "EXIT_maxtime"
    assert scheme.jobs["ctffind"] == SchemeJob("ctffind", "CtfFind/job003/", "continue", True)
    pipeline = read_pipeline(prepared.pipeline_path)
    assert pipeline.counter == 4
    assert {process.status for process in pipeline.processes.values()} == {Status.SUCCEEDED}
    assert pipeline.inputs == (
        ("Import/job001/movies.star", "MotionCorr/job002/"),
        ("MotionCorr/job002/corrected_micrographs.star", "CtfFind/job003/"),
    )
    assert read_job_star(prepared.root / "MotionCorr/job002/job.star").options["other_args"] == "--do_at_most 50"
    assert (prepared.root / ".Nodes/DensityMap/CtfFind/job003/micrographs_ctf.star").exists()
    assert not prepared.scheme_lock("prep").exists() and not prepared.pipeline_lock.exists()


def test_restart_and_reset(prepared):
    """Conformance 2 and 3."""
    run_stubs(prepared, "prep")
    assert len(calls(prepared)) == 3
    assert run_stubs(prepared, "prep").outcome is Outcome.FINISHED
    assert len(calls(prepared)) == 6
    assert read_pipeline(prepared.pipeline_path).counter == 4
    edit_scheme(prepared, "prep", lambda scheme: scheme.reset())
    run_stubs(prepared, "prep")
    assert calls(prepared)[6:] == ["Import/job004 --fresh", "MotionCorr/job005 --fresh", "CtfFind/job006 --fresh"]


@pytest.mark.parametrize(
    ("fault", "message"), [("fail", "no beam"), ("die", "exit code -9 and without a marker; run.err ends: out of memory")]
)
def test_a_job_that_fails_stops_the_scheme(prepared, fault, message):
    """Conformance 4 and 17: failure is told, not success; the failed job is executed again on restart."""
    (prepared.root / f"stubs/{fault}_MotionCorr").touch()
    end = run_stubs(prepared, "prep")
    assert end.outcome is Outcome.FAILED and message in end.reason
    assert state(prepared, "prep").current_node == "motioncorr"
    assert markers(prepared, "prep") == [FAILURE]
    assert (prepared.root / "MotionCorr/job002" / FAILURE).exists()
    assert read_pipeline(prepared.pipeline_path).process("MotionCorr/job002/").status is Status.FAILED
    (prepared.root / f"stubs/{fault}_MotionCorr").unlink()
    assert run_stubs(prepared, "prep").outcome is Outcome.FINISHED
    assert calls(prepared)[2] == "MotionCorr/job002 --continue"


def while_running(project, name, act, ready):
    """Run a scheme and call `act` from another thread once `ready` says so."""

    def wait_and_act():
        end = time.monotonic() + 20
        while not ready() and time.monotonic() < end:
            time.sleep(0.01)
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    end = run_stubs(project, name, limits=JobLimits(grace=0.3))
    thread.join()
    return end


def test_abort_during_a_job(prepared):
    """Conformance 5: the job ends by itself, and goes on in its directory after a restart."""
    (prepared.root / "stubs/slow_MotionCorr").touch()
    end = while_running(prepared, "prep", lambda: abort(prepared, "prep"), lambda: "MotionCorr/job002 --fresh" in calls(prepared))
    assert end.outcome is Outcome.ABORTED
    assert (prepared.root / "MotionCorr/job002" / ABORT_NOW).exists() and (prepared.scheme_directory("prep") / ABORT_NOW).exists()
    assert (prepared.root / "MotionCorr/job002" / ABORTED).exists() and markers(prepared, "prep") == [ABORTED]
    assert read_pipeline(prepared.pipeline_path).process("MotionCorr/job002/").status is Status.ABORTED
    assert state(prepared, "prep").current_node == "motioncorr"
    (prepared.root / "stubs/slow_MotionCorr").unlink()
    assert run_stubs(prepared, "prep").outcome is Outcome.FINISHED
    assert calls(prepared)[2] == "MotionCorr/job002 --continue"


def test_a_job_that_does_not_listen_is_ended(prepared):
    (prepared.root / "stubs/deaf_MotionCorr").touch()
    began = time.monotonic()
    end = while_running(prepared, "prep", lambda: abort(prepared, "prep"), (prepared.root / "stubs/deaf_started").exists)
    assert end.outcome is Outcome.ABORTED and time.monotonic() - began < 20
    assert (prepared.root / "MotionCorr/job002" / ABORTED).exists()


def test_abort_during_a_wait(tmp_path):
    """Conformance 6: the scheme stands at the node behind the wait."""
    project = make_project(tmp_path, [(prep(wait_sec=30), PREP_TEMPLATES)])
    waiting = lambda: any("Waiting" in event["text"] for event in events(project, "prep", "log"))  # noqa: E731
    end = while_running(project, "prep", lambda: abort(project, "prep"), waiting)
    assert (end.outcome, end.node) == (Outcome.ABORTED, "EXIT_maxtime")
    assert state(project, "prep").current_node == "EXIT_maxtime"
    assert markers(project, "prep") == [ABORTED] and not project.scheme_lock("prep").exists()


def test_first_pass_of_proc(tmp_path):
    """Conformance 11: order, directories and reference of the first pass; the second goes back to WAIT after the selection."""
    schemes = [(prep(0.0, 0.0), PREP_TEMPLATES), (proc(0.0, 1.0, 2.0), PROC_TEMPLATES)]
    project = make_project(tmp_path, schemes)
    run_stubs(project, "prep", max_steps=5)
    run_stubs(project, "proc", max_steps=18)
    assert nodes(project, "proc")[2:] == (
        "HAS_ctffind select_mics COUNT_mics HAS_mics_increased SET_prev_nr_mics SET_do_topaz autopick extract class2d select_parts "
        "COUNT_parts CHECK_do_3d CHECK_iniref inimodel3d SET_myref_inimodel refine3d"
    ).split()
    assert [line.split()[0] for line in calls(project)[3:]][:7] == [
        "Select/job004",
        "AutoPick/job005",
        "Extract/job006",
        "Class2D/job007",
        "Select/job008",
        "InitialModel/job009",
        "Refine3D/job010",
    ]
    assert read_pipeline(project.pipeline_path).counter == 11
    scheme = state(project, "proc")
    assert scheme.strings["myref"].value == "InitialModel/job009/initial_model.mrc"
    assert read_job_star(tmp_path / "Refine3D/job010/job.star").options["fn_ref"] == "InitialModel/job009/initial_model.mrc"
    run_stubs(project, "proc", max_steps=6)
    assert nodes(project, "proc")[-4:] == ["HAS_ctffind", "select_mics", "COUNT_mics", "HAS_mics_increased"]
    assert state(project, "proc").current_node == "WAIT"
    assert calls(project)[-1] == "Select/job004 --continue"
    decisions = {(event["node"], event["value"], event["next"]) for event in events(project, "proc", "fork")}
    assert ("HAS_mics_increased", True, "SET_prev_nr_mics") in decisions and ("HAS_mics_increased", False, "WAIT") in decisions


def test_an_input_that_never_comes(tmp_path, monkeypatch):
    """Conformance 12: aborted after the waiting; the job stays Scheduled and has not started."""
    monkeypatch.setattr("relion4plugin.schemes.job_node._INPUT_PAUSE", 0.01)
    project = make_project(tmp_path, [(prep(), {**PREP_TEMPLATES, "ctffind": ("relion.ctffind", {"input_star_mics": "nowhere.star"})})])
    edit_scheme(project, "prep", lambda scheme: scheme.with_current_node("ctffind"))
    end = run_stubs(project, "prep")
    assert end.outcome is Outcome.ABORTED and "nowhere.star" in end.reason
    assert len(events(project, "prep", "waiting")) == 5
    assert read_pipeline(project.pipeline_path).process("CtfFind/job001/").status is Status.SCHEDULED
    assert not state(project, "prep").jobs["ctffind"].has_started
    (tmp_path / "nowhere.star").touch()
    run_stubs(project, "prep", max_steps=1)
    assert calls(project) == ["CtfFind/job001 --fresh"]


def test_a_scheme_on_its_exit_says_so(world):
    """Conformance 13: no error, no lock left behind."""
    project = make_project(world.root, [(toy(edges=(Edge("EXIT", "EXIT"),), operators={"EXIT": Operator("EXIT", "exit")}), {})])
    for _ in range(2):
        end = run_stubs(project, "toy")
        assert (end.outcome, end.node) == (Outcome.FINISHED, "EXIT")
        assert not project.scheme_lock("toy").exists()


def test_an_edited_job_starts_afresh(prepared):
    run_stubs(prepared, "prep", max_steps=6)
    path = prepared.template("prep", "motioncorr")
    path.write_text(path.read_text().replace("--do_at_most $$do_at_most", "--do_at_most 3"))
    edit_scheme(prepared, "prep", lambda scheme: scheme.with_current_node("importmovies").with_float("do_at_most", 7.0))
    run_stubs(prepared, "prep", max_steps=3)
    assert calls(prepared)[-3:] == ["Import/job001 --continue", "MotionCorr/job004 --fresh", "CtfFind/job003 --continue"]


def test_new_values_of_variables_are_no_edit(prepared):
    run_stubs(prepared, "prep", max_steps=6)
    edit_scheme(prepared, "prep", lambda scheme: scheme.with_current_node("motioncorr").with_float("do_at_most", 7.0))
    run_stubs(prepared, "prep", max_steps=1)
    assert calls(prepared)[-1] == "MotionCorr/job002 --continue"
    assert read_job_star(prepared.root / "MotionCorr/job002/job.star").options["other_args"] == "--do_at_most 7"


@pytest.mark.parametrize(("mode", "again"), [("continue", "Import/job001 --continue"), ("new", "Import/job002 --fresh")])
def test_a_machine_that_went_down(tmp_path, mode, again):
    """Conformance 17: runner and job are gone without a word; the stale lock is seen and the node executed again."""
    scheme = prep(0.0, 0.0)
    scheme = replace(scheme, jobs={**scheme.jobs, "importmovies": SchemeJob("importmovies", "importmovies", mode)})
    project = make_project(tmp_path, [(scheme.with_current_node("importmovies"), PREP_TEMPLATES)])
    (tmp_path / "stubs/deaf_Import").touch()
    runner = os.fork()
    if not runner:
        run_stubs(project, "prep")
        os._exit(0)
    started = tmp_path / "stubs/deaf_started"
    end = time.monotonic() + 20
    while not started.exists() and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(runner, signal.SIGKILL)
    os.waitpid(runner, 0)
    (owner,) = (tmp_path / "Import/job001/.launch").glob("*.owner")
    supervisor = Owner.parse(owner.read_text())
    os.killpg(supervisor.pid, signal.SIGKILL)
    while supervisor.alive() and time.monotonic() < end:  # else the runner may find it alive, and wait for its end
        time.sleep(0.01)
    (tmp_path / "stubs/deaf_Import").unlink()
    run_stubs(project, "prep", max_steps=1)
    assert calls(project) == ["Import/job001 --fresh", again]
    states = [process.status for process in read_pipeline(project.pipeline_path).processes.values()]
    assert states == ([Status.SUCCEEDED] if mode == "continue" else [Status.FAILED, Status.SUCCEEDED])


def test_a_job_that_outlived_its_runner_is_not_run_again(tmp_path):
    project = make_project(tmp_path, [(prep(0.0, 0.0).with_current_node("importmovies"), PREP_TEMPLATES)])
    (tmp_path / "stubs/slow_Import").touch()
    runner = os.fork()
    if not runner:
        run_stubs(project, "prep")
        os._exit(0)
    while not calls(project):
        time.sleep(0.01)
    os.kill(runner, signal.SIGKILL)
    os.waitpid(runner, 0)
    lines = []
    threading.Timer(0.3, (tmp_path / "Import/job001" / ABORT_NOW).touch).start()
    assert run_stubs(project, "prep", lines=lines).outcome is Outcome.ABORTED
    assert any("Found Import/job001/ of importmovies, which was started before" in line for line in lines)
    assert calls(project) == ["Import/job001 --fresh"]


def test_a_job_that_cannot_start_keeps_its_directory(tmp_path):
    project = make_project(tmp_path, [(prep(0.0, 0.0).with_current_node("importmovies"), PREP_TEMPLATES)])
    for _ in range(2):
        with pytest.raises(UserError, match="relion_stub is not on this machine"):
            run_stubs(project, "prep", executor("relion"))
    pipeline = read_pipeline(project.pipeline_path)
    assert pipeline.counter == 2 and pipeline.process("Import/job001/").status is Status.FAILED
    run_stubs(project, "prep", max_steps=1)
    assert calls(project) == ["Import/job001 --fresh"]


def test_operators_that_circle_for_ever_are_refused(world):
    flip = {name: Operator(name, "bool=not", "b", "b") for name in ("A", "B")}
    project = make_project(world.root, [(toy(bools={"b": True}, edges=(Edge("A", "B"), Edge("B", "A")), operators=flip), {})])
    with pytest.raises(UserError, match="run in a circle"):
        run_stubs(project, "toy")
    assert markers(project, "toy") == [FAILURE] and not project.scheme_lock("toy").exists()


def test_faults_are_one_line(world):
    project = make_project(world.root, [(toy(jobs=["a"], edges=(Edge("a", "a"),)), {})])
    with pytest.raises(UserError, match=r"a/job.star"):
        run_stubs(project, "toy")
    with pytest.raises(UserError, match="schemes here: toy"):
        run_stubs(project, "nothing")
    world.save(toy(edges=()))
    with pytest.raises(UserError, match="no edges"):
        run_stubs(project, "toy")


def test_mail_at_the_end(tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr("relion4plugin.schemes.session.mailer", lambda report: lambda *letter: sent.append(letter))
    scheme = replace(prep(0.0, 0.0), strings=same(email="me@here"))
    project = make_project(tmp_path, [(scheme, PREP_TEMPLATES)])
    (tmp_path / "stubs/fail_Import").touch()
    run_stubs(project, "prep")
    assert sent[0][:2] == ("me@here", "Scheme: prep") and "failed" in sent[0][2]


OPERATOR = st.sampled_from(
    [
        ("bool=not", "b", "b", "undefined"),
        ("bool=gt", "b", "x", "y"),
        ("float=plus", "x", "x", "y"),
        ("float=mult", "y", "x", "x"),
        ("bool=file_exists", "b", "s", "undefined"),
        ("string=join", "s", "s", "s"),
        ("wait", "undefined", "zero", "undefined"),
        ("exit_maxtime", "undefined", "zero", "undefined"),
        ("exit", "undefined", "undefined", "undefined"),
        ("nothing", "x", "x", "x"),
        ("float=divide", "x", "b", "zero"),
    ]
)


@st.composite
def graphs(draw):
    names = [f"N{i}" for i in range(draw(st.integers(1, 6)))]
    ops = {name: Operator(name, *draw(OPERATOR)) for name in names}
    place = st.sampled_from([*names, "undefined", "missing"])
    edge = st.builds(Edge, place, place, st.booleans(), place, st.sampled_from(["b", "x"]))
    links = tuple(draw(st.lists(edge, min_size=1, max_size=9)))
    return toy(floats={"x": 1.0, "y": 2.0, "zero": 0.0}, bools={"b": True}, strings={"s": "f"}, operators=ops, edges=links)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(graphs())
def test_random_graphs_end_and_keep_their_state(tmp_path_factory, scheme):
    """Whatever the graph, a run ends with an outcome or one clear error, and the file stands at a node that exists."""
    project = make_project(tmp_path_factory.mktemp("graph"), [(scheme, {})])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("relion4plugin.schemes.runner._POLL_PAUSE", 0.0)
        try:
            run_stubs(project, "toy", max_steps=60)
        except UserError as error:
            assert "\n" not in str(error)
    assert not project.scheme_lock("toy").exists()
    saved = state(project, "toy")
    assert replace(saved, current_node="", floats={}, bools={}, strings={}, version=0) == replace(
        scheme, current_node="", floats={}, bools={}, strings={}, version=0
    )
    assert saved.current_node in {*scheme.operators, "undefined", "missing"}
