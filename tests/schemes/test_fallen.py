"""A runner that is killed or fails: whoever waits for its scheme notices, says so in one line, and ends."""

import os
import signal
import time
from dataclasses import replace

import pytest

from relion4plugin.cli.following import wait_for
from relion4plugin.jobs.markers import ABORTED, FAILURE
from relion4plugin.schemes.fallen import Abandonment, fallen
from relion4plugin.schemes.it.launch import start_runners
from relion4plugin.schemes.locks import running_owner
from relion4plugin.schemes.model import Edge, Operator, Scheme, Variable
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.runner import Outcome
from relion4plugin.schemes.scheme_star import scheme_text
from tests.schemes.stubs import run_stubs

pytestmark = pytest.mark.usefixtures("no_fsync")


def waiting(name, seconds, **strings):
    return Scheme(
        f"Schemes/{name}/", "WAIT", {"wait_sec": Variable(seconds, seconds), "max_idle_waits": Variable(3.0, 3.0)},
        strings={key: Variable(value, value) for key, value in strings.items()},
        operators={"WAIT": Operator("WAIT", "wait", input1="wait_sec")}, edges=(Edge("WAIT", "WAIT"),),
    )  # fmt: skip


@pytest.fixture
def project(tmp_path):
    """A project whose scheme proc looks at files of prep; both do nothing but wait."""
    for scheme in (waiting("prep", 3600.0), waiting("proc", 0.01, mics="Schemes/prep/ctffind/micrographs_ctf.star")):
        (tmp_path / scheme.name).mkdir(parents=True)
        (tmp_path / scheme.name / "scheme.star").write_text(scheme_text(scheme))
    made = Project(tmp_path)
    yield made
    for name in ("prep", "proc"):
        held, owner = running_owner(made, name)
        if held and owner.pid != os.getpid():
            os.kill(owner.pid, signal.SIGKILL)


def kill_runner(project, name):
    (runner,) = start_runners(project, [name])
    os.kill(runner.pid, signal.SIGKILL)
    end = time.monotonic() + 10
    while not fallen(project, name) and time.monotonic() < end:
        time.sleep(0.01)


def test_a_scheme_that_waits_for_a_dead_one_ends_after_its_idle_passes(project, monkeypatch):
    monkeypatch.setattr("relion4plugin.schemes.fallen._PATIENCE", 0.0)
    kill_runner(project, "prep")
    lines = []
    end = run_stubs(project, "proc", lines=lines, max_steps=50)
    assert end.outcome is Outcome.FAILED and "\n" not in end.reason
    assert end.reason.startswith("it waits for scheme prep in vain: its runner has died: process ")
    (warning,) = [line for line in lines if "WARNING" in line]
    assert "scheme prep: its runner has died" in warning and "go on with: relion4plugin scheme run prep" in warning
    assert sum("Waiting" in line for line in lines) == 4  # the first of five only starts the clock
    assert (project.scheme_directory("proc") / FAILURE).exists()


def test_what_is_no_reason_to_end(project, monkeypatch):
    monkeypatch.setattr("relion4plugin.schemes.fallen._PATIENCE", 0.0)
    assert run_stubs(project, "proc", max_steps=20).outcome is Outcome.PAUSED  # prep never began
    start_runners(project, ["prep"])
    assert run_stubs(project, "proc", max_steps=20).outcome is Outcome.PAUSED
    os.kill(running_owner(project, "prep")[1].pid, signal.SIGTERM)  # aborts it
    while not (project.scheme_directory("prep") / ABORTED).exists() or running_owner(project, "prep")[0]:
        time.sleep(0.01)
    assert run_stubs(project, "proc", max_steps=20).outcome is Outcome.PAUSED


def test_patience_begins_anew_when_the_other_one_is_started_again(project):
    now, lines = [0.0], []
    watch = Abandonment(project, lambda: now[0], lines.append)
    scheme = waiting("proc", 1.0, mics="Schemes/prep/x.star")
    marker = project.scheme_directory("prep") / FAILURE
    marker.touch()

    def look(seconds, times):
        said = [watch.look(scheme) for now[0] in range(int(now[0]) + seconds, int(now[0]) + seconds * (times + 1), seconds)]
        return [bool(text) for text in said]

    assert look(10, 20) == [False] * 20 and len(lines) == 1
    marker.unlink()
    assert look(10, 1) == [False]
    marker.touch()
    assert look(100, 5) == [False] * 5  # passes left, and then no patience
    assert look(100, 1) == [True]
    assert len(lines) == 2 and lines[1].startswith(" + WARNING: scheme prep: it has failed; ")


def test_passes_count_only_while_nothing_arrives(project):
    """What prep left still comes in, at intervals that are longer than all patience; so does nothing where there is no file at all."""
    now, lines = [0.0], []
    watch = Abandonment(project, lambda: now[0], lines.append)
    (project.scheme_directory("prep") / FAILURE).touch()
    scheme = waiting("proc", 1.0, mics="Schemes/prep/x.star")

    def look(idle, mics):
        now[0] += 200
        floats = {"idle_waits": Variable(idle, 0.0), "current_nr_mics": Variable(mics, 0.0), "max_idle_waits": Variable(3.0, 3.0)}
        return bool(watch.look(replace(scheme, floats=floats)))

    assert [look(0.0, float(n)) for n in range(20)] == [False] * 20 and len(lines) == 1
    assert [look(float(n), 19.0) for n in (1, 2, 3)] == [False] * 3
    assert look(0.0, 20.0) is False
    assert [look(float(n), 20.0) for n in (1, 2, 3, 4, 5)] == [False] * 4 + [True]
    watch = Abandonment(project, lambda: now[0], lines.append)
    assert [look(0.0, 0.0) for _ in range(6)] == [False] * 5 + [True]


@pytest.mark.parametrize("dies", ["prep", "proc"])
def test_who_follows_both_is_told_when_one_dies(project, dies, capsys):
    lives = {"prep": "proc", "proc": "prep"}[dies]
    start_runners(project, [lives])
    kill_runner(project, dies)
    ends, code = wait_for(project, ["prep", "proc"])
    assert code == 1 and (ends[dies].outcome, ends[lives].outcome) == ("failed", "running")
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("scheme ")]
    told = {line.split()[1]: line for line in lines}
    assert "its runner has died: process " in told[dies] and f"relion4plugin scheme run {dies} --project " in told[dies]
    assert f"scheme {lives} running: it goes on in the background" in told[lives] and len(lines) == 2


def test_a_mistake_that_a_person_can_mend_is_code_2(project):
    path = project.scheme_file("prep")
    path.write_text(path.read_text().replace(" wait ", " wait_a_bit "))
    with pytest.raises(Exception, match="wait_a_bit"):
        run_stubs(project, "prep")
    ends, code = wait_for(project, ["prep"], quiet=True)
    assert code == 2 and "go on with: relion4plugin scheme run prep" in ends["prep"].reason
