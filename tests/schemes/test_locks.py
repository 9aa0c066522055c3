import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes import locks
from relion4plugin.schemes.locks import pipeline_lock, running_owner, scheme_lock, unlock
from relion4plugin.schemes.owners import Owner
from relion4plugin.schemes.project import Project

BOOT = Owner.current("test")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def held_by(lock, text, age=0.0):
    """Put a lock there as someone else would leave it; None leaves the directory empty."""
    lock.directory.mkdir()
    if text is not None:
        lock.file.write_text(text)
    for path in (lock.file, lock.directory):
        if path.exists():
            os.utime(path, (time.time() - age,) * 2)
    return lock


def dead():
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    child.wait()
    return replace(BOOT, pid=child.pid, ticks="1")


def test_relion_sees_and_makes_the_same_names(project):
    with scheme_lock(project, "prep", "x"), pipeline_lock(project, "y"):
        assert (project.root / ".relion_lock_scheme_prep/lock_scheme").is_file()
        assert (project.root / ".relion_lock/lock_default_pipeline.star").is_file()
    assert list(project.root.iterdir()) == []


def test_a_held_lock_names_its_owner(project):
    with scheme_lock(project, "prep", "scheme prep"), pytest.raises(UserError) as caught:
        scheme_lock(project, "prep", "another").acquire()
    text = str(caught.value)
    assert f"process {os.getpid()} on" in text and "scheme prep, since 20" in text and "\n" not in text
    assert "scheme unlock prep" in text


def test_it_is_released_on_errors(project):
    with pytest.raises(ZeroDivisionError), scheme_lock(project, "prep", "x"):
        raise ZeroDivisionError
    assert list(project.root.iterdir()) == []


@pytest.mark.parametrize(
    "gone",
    [
        pytest.param(dead(), id="dead process"),
        pytest.param(replace(BOOT, ticks="1"), id="number given to another process"),
        pytest.param(replace(BOOT, boot="another"), id="machine started anew"),
    ],
)
def test_a_dead_owner_loses_the_lock(project, gone):
    held_by(scheme_lock(project, "prep", "x"), gone.text())
    lines = []
    lock = replace(scheme_lock(project, "prep", "new"), report=lines.append)
    with lock:
        assert lock.holder() is not None and lock.holder().purpose == "new"
    assert "was left behind by process" in lines[0]


@pytest.mark.parametrize(
    ("make", "text", "age", "stale"),
    [
        (scheme_lock, "RELION was here", 1e6, False),
        (pipeline_lock, "RELION was here", 100, False),
        (pipeline_lock, "RELION was here", 1000, True),
        (scheme_lock, None, 1, False),
        (scheme_lock, None, 60, True),
        (scheme_lock, replace(BOOT, host="elsewhere").text(), 600, False),
        (scheme_lock, replace(BOOT, host="elsewhere").text(), 1000, True),
        (scheme_lock, BOOT.text(), 1e6, False),
    ],
)
def test_what_counts_as_left_behind(project, make, text, age, stale):
    arguments = (project, "prep", "x") if make is scheme_lock else (project, "x")
    assert held_by(make(*arguments), text, age).is_stale() is stale


def test_a_heartbeat_keeps_it_alive(project, monkeypatch):
    monkeypatch.setattr(locks, "_HEARTBEAT", 0.0)
    with scheme_lock(project, "prep", "x") as lock:
        os.utime(lock.file, (0, 0))
        lock.heartbeat()
        assert time.time() - lock.file.stat().st_mtime < 60


def test_unlock_only_what_does_not_run(project):
    assert not unlock(project, "prep")
    held_by(scheme_lock(project, "prep", "x"), "RELION was here")
    assert running_owner(project, "prep") == (True, None)
    assert unlock(project, "prep") and running_owner(project, "prep") == (False, None)
    with scheme_lock(project, "prep", "x"), pytest.raises(UserError, match="which is alive"):
        unlock(project, "prep")


def test_a_lock_that_was_taken_over_is_left_alone(project):
    with scheme_lock(project, "prep", "x") as lock:
        lock.file.write_text(dead().text())
    assert lock.directory.exists()


def test_a_project_that_cannot_be_written(project, monkeypatch):
    monkeypatch.setattr(type(project.root), "mkdir", lambda *a, **k: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(UserError, match=r"cannot lock .*permission denied; the project directory must be writable"):
        scheme_lock(project, "prep", "x").acquire()


def test_only_one_of_many_holds_it(project):
    """Many processes add to a counter in a file under the lock; one of them is killed while holding it."""
    script = (
        "import sys; from pathlib import Path; from relion4plugin.schemes.project import Project;"
        "from relion4plugin.schemes.locks import pipeline_lock\n"
        "path = Path(sys.argv[1]) / 'count'\n"
        "for _ in range(40):\n"
        "    with pipeline_lock(Project(Path(sys.argv[1])), 'counting', 30):\n"
        "        number = int(path.read_text()); path.write_text(str(number + 1))\n"
    )
    (project.root / "count").write_text("0")
    dying = "import os, signal, sys; from pathlib import Path; from relion4plugin.schemes.project import Project;"
    dying += "from relion4plugin.schemes.locks import pipeline_lock; pipeline_lock(Project(Path(sys.argv[1])), 'dying').acquire();"
    dying += "os.kill(os.getpid(), signal.SIGKILL)"
    assert subprocess.run([sys.executable, "-c", dying, str(project.root)]).returncode == -signal.SIGKILL
    children = [subprocess.Popen([sys.executable, "-c", script, str(project.root)]) for _ in range(4)]
    assert [child.wait(60) for child in children] == [0] * 4
    assert (project.root / "count").read_text() == "160"
