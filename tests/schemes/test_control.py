import os
import signal
import threading
import time

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.schemes.control import Change, apply_change, edit_scheme, pending_changes, request_change, set_option
from relion4plugin.schemes.launches import launch_of, new_launch, with_launch
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.runner import Outcome
from relion4plugin.schemes.scheme_star import read_scheme_star, scheme_text
from tests.schemes.shipped_schemes import PREP_TEMPLATES, prep
from tests.schemes.stubs import calls, make_project, run_stubs, state

pytestmark = pytest.mark.usefixtures("no_fsync")


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path, [(prep(wait_sec=0.01, maxtime_hr=0.0), PREP_TEMPLATES)])


def test_a_change_of_a_scheme_at_rest(project):
    assert request_change(project, "prep", Change("variable", "do_at_most", "7", reset="3"))
    variable = state(project, "prep").floats["do_at_most"]
    assert (variable.value, variable.reset) == (7.0, 3.0)
    assert project.scheme_file("prep").with_name("scheme.star.bck").exists()


def test_a_change_of_a_running_scheme_comes_at_the_next_node(project):
    with scheme_lock(project, "prep", "running"):
        assert not request_change(project, "prep", Change("variable", "do_at_most", "7"))
        assert not request_change(project, "prep", Change("node", "importmovies"))
        with pytest.raises(UserError, match="has no variable 'typo'"):
            request_change(project, "prep", Change("variable", "typo", "7"))
    assert state(project, "prep").floats["do_at_most"].value == 50.0
    with open(project.scheme_directory("prep") / "commands.jsonl", "a") as stream:
        stream.write("nonsense\n")
    lines = []
    request_change(project, "prep", Change("has_started", "ctffind", "False"))
    edit_scheme(project, "prep", lambda scheme: scheme.with_current_node("ctffind"))
    run_stubs(project, "prep", lines=lines, max_steps=1)
    assert state(project, "prep").floats["do_at_most"].value == 7.0
    assert any("a change was refused" in line for line in lines) and calls(project) == ["Import/job001 --fresh"]
    assert not list(project.scheme_directory("prep").glob("commands*"))


def test_changes_survive_a_crash_before_they_were_saved(project):
    folder = project.scheme_directory("prep")
    with scheme_lock(project, "prep", "running"):
        request_change(project, "prep", Change("variable", "do_at_most", "7"))
    assert pending_changes(folder) == pending_changes(folder) == [Change("variable", "do_at_most", "7")]


def test_another_program_takes_no_changes(project):
    lock = scheme_lock(project, "prep", "x")
    lock.directory.mkdir()
    lock.file.write_text("RELION")
    with pytest.raises(UserError, match="run by another program"):
        request_change(project, "prep", Change("reset"))


def test_a_launch_is_forgotten_with_its_place():
    scheme = with_launch(prep(), new_launch("ctffind", "CtfFind/job003/", True))
    assert launch_of(scheme, "ctffind").directory == "CtfFind/job003/" and launch_of(scheme, "motioncorr") is None
    for change in (Change("reset"), Change("node", "WAIT"), Change("has_started", "ctffind", "False")):
        assert launch_of(apply_change(scheme, change), "ctffind") is None
    assert launch_of(apply_change(scheme, Change("variable", "wait_sec", "1")), "ctffind") is not None


def test_a_launch_survives_the_file(tmp_path):
    launch = new_launch("ctffind")
    path = tmp_path / "scheme.star"
    path.write_text(scheme_text(with_launch(prep(), launch)))
    assert launch_of(read_scheme_star(path), "ctffind") == launch


def test_an_option_is_changed_in_the_template(project):
    set_option(project, "prep", "motioncorr", "bin_factor", "2")
    assert read_job_star(project.template("prep", "motioncorr")).options["bin_factor"] == "2"
    with pytest.raises(UserError, match="no job 'nothing'"):
        set_option(project, "prep", "nothing", "bin_factor", "2")


def test_two_runners_on_one_scheme(project):
    with scheme_lock(project, "prep", "scheme prep"), pytest.raises(UserError, match="so scheme prep is running"):
        run_stubs(project, "prep")
    assert calls(project) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_aborts_cleanly(project, number):
    (project.root / "stubs/slow_MotionCorr").touch()

    def strike():
        end = time.monotonic() + 20
        while len(calls(project)) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=strike)
    thread.start()
    end = run_stubs(project, "prep")
    thread.join()
    assert end.outcome is Outcome.ABORTED
    assert (project.root / "MotionCorr/job002/RELION_JOB_EXIT_ABORTED").exists()
    assert not project.scheme_lock("prep").exists()
