"""Errors that end a run: what is told is the error itself, and marker and log say that it has ended, as far as the disk allows."""

import errno
import re
from pathlib import Path

import pytest

from relion4plugin.errors import UserError
from relion4plugin.jobs.markers import FAILURE, SUCCESS
from relion4plugin.schemes import runner
from relion4plugin.schemes.events import EventLog, read_events
from relion4plugin.schemes.model import Edge, Operator
from tests.schemes.stubs import make_project, run_stubs
from tests.schemes.world import toy

pytestmark = pytest.mark.usefixtures("no_fsync")


@pytest.fixture
def project(tmp_path):
    scheme = toy(
        floats={"one": 1.0}, current_node="ADD", operators={"ADD": Operator("ADD", "float=plus", "one", "one", "one")},
        edges=(Edge("ADD", "ADD"),), name="Schemes/sum/",
    )  # fmt: skip
    return make_project(tmp_path, [(scheme, {})])


def fail_with(monkeypatch, error):
    def fail(*args):
        raise error

    monkeypatch.setattr(runner, "evaluate", fail)


def ends(project):
    folder = project.scheme_directory("sum")
    return [event for _, event in read_events(folder / "events.jsonl") if event["event"] == "end"]


def fill_disk(monkeypatch):
    """From now on nothing can be written any more."""

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "touch", full)
    monkeypatch.setattr(runner, "save_scheme", full)
    monkeypatch.setattr(EventLog, "write", lambda log, event, **fields: full() if event == "end" else None)


def test_a_full_disk_does_not_hide_the_first_error(project, monkeypatch):
    fail_with(monkeypatch, UserError("one cannot be added"))
    fill_disk(monkeypatch)
    with pytest.raises(UserError, match=r"^one cannot be added$"):
        run_stubs(project, "sum")


@pytest.mark.parametrize(
    ("error", "raised", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), UserError, "cannot write .*/Schemes/sum: no space left on device; "),
        (PermissionError(errno.EACCES, "Permission denied", "x.star"), PermissionError, "cannot use x.star: permission denied"),
        (OSError(errno.EMFILE, "Too many open files"), OSError, "Too many open files"),
    ],
)
def test_errors_of_the_system_leave_marker_and_event(project, monkeypatch, error, raised, reason):
    fail_with(monkeypatch, error)
    with pytest.raises(raised):
        run_stubs(project, "sum")
    folder = project.scheme_directory("sum")
    assert (folder / FAILURE).exists() and not (folder / SUCCESS).exists()
    (end,) = ends(project)
    assert end["outcome"] == "error"
    assert re.search(reason, end["reason"])
    assert not project.scheme_lock("sum").exists()
