"""What a person can do to a scheme while it runs and while it does not: abort, reset, set something.

A scheme that does not run is edited in its file, under its lock. One that runs gets the change as a line of
Schemes/NAME/commands.jsonl, which its runner applies between two nodes.
"""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import read_job_star, write_job_star
from relion4plugin.jobs.markers import ABORT_NOW
from relion4plugin.schemes.editing import set_current_node, set_has_started, set_job_mode, set_variable
from relion4plugin.schemes.launches import launch_of, without_launch
from relion4plugin.schemes.locks import running_owner, scheme_lock
from relion4plugin.schemes.model import Scheme
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import read_scheme_star
from relion4plugin.schemes.store import back_up_scheme, load_scheme, save_scheme

_FILE, _TAKEN = "commands.jsonl", "commands.taken"
_EDIT_WAIT = 5.0


@dataclass(frozen=True)
class Change:
    """One change: `what` is variable, mode, has_started, node or reset; the others as far as it needs them."""

    what: str
    name: str = ""
    value: str = ""
    reset: str | None = None


def apply_change(scheme: Scheme, change: Change) -> Scheme:
    """Return the scheme with a change.

    Raises
    ------
    UserError
        If it names something that is not there, or a value does not fit.
    """
    if change.what == "variable":
        return set_variable(scheme, change.name, change.value, change.reset)
    if change.what == "mode":
        return set_job_mode(scheme, change.name, change.value)
    # The following change where the scheme stands: a launch that was interrupted there is over.
    if change.what == "has_started":
        scheme = set_has_started(scheme, change.name, change.value)
        return scheme if launch_of(scheme, change.name) is None else without_launch(scheme)
    if change.what == "node":
        return without_launch(set_current_node(scheme, change.name))
    if change.what == "reset":
        return without_launch(scheme.reset())
    raise UserError(f"there is no change '{change.what}'; known: variable, mode, has_started, node, reset")


def edit_scheme(project: Project, name: str, edit: Callable[[Scheme], Scheme]) -> Scheme:
    """Change a scheme that does not run, keeping a copy of its file as it was.

    Raises
    ------
    UserError
        If it runs, or the change makes no sense.
    """
    with scheme_lock(project, name, "an edit", _EDIT_WAIT):
        scheme = load_scheme(project, name)
        back_up_scheme(project, scheme)
        changed = edit(scheme)
        save_scheme(project, changed)
    return changed


def request_change(project: Project, name: str, change: Change) -> bool:
    """Make a change now, or ask the runner of the scheme to make it; True where it was made now.

    Raises
    ------
    UserError
        If the change makes no sense, or another program runs the scheme.
    """
    running, owner = running_owner(project, name)
    if not running:
        edit_scheme(project, name, lambda scheme: apply_change(scheme, change))
        return True
    if owner is None:
        raise UserError(f"{name} is run by another program, which takes no changes; abort it first")
    apply_change(read_scheme_star(project.scheme_file(name)), change)
    line = json.dumps(asdict(change)).encode() + b"\n"
    descriptor = os.open(project.scheme_directory(name) / _FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
    return False


def pending_changes(directory: Path) -> list[Change]:
    """Take the changes that were asked for; they stay on disk until `forget_changes`, and come again after a crash."""
    taken = directory / _TAKEN
    if not taken.exists():
        try:
            os.replace(directory / _FILE, taken)
        except FileNotFoundError:
            return []
    changes = []
    for line in taken.read_text(encoding="utf-8").splitlines():
        try:
            changes.append(Change(**json.loads(line)))
        except (ValueError, TypeError):
            changes.append(Change(line))
    return changes


def forget_changes(directory: Path) -> None:
    """Remove the changes that are in the scheme's file now."""
    (directory / _TAKEN).unlink(missing_ok=True)


def set_option(project: Project, name: str, job: str, option: str, value: str) -> None:
    """Change an option in the template of a job; the job starts afresh when it is executed next.

    Raises
    ------
    UserError
        If there is no such job.
    """
    path = project.template(name, job)
    if not path.exists():
        raise UserError(f"{project.scheme_file(name)} has no job '{job}' with a template; expected {path}")
    template = read_job_star(path)
    template.options[option] = "" if value == '""' else value
    write_job_star(path, template)


def abort(project: Project, name: str) -> str | None:
    """Ask a scheme to stop, and the job that it runs; needs no lock. Returns the job's directory where there is one.

    Raises
    ------
    UserError
        If there is no such scheme, or its folder cannot be written.
    """
    scheme = read_scheme_star(project.scheme_file(name))
    job = scheme.jobs.get(scheme.current_node)
    directory = job.name if job is not None and job.has_directory and (project.root / job.name).is_dir() else None
    try:
        if directory is not None:
            (project.root / directory / ABORT_NOW).touch()
        (project.scheme_directory(name) / ABORT_NOW).touch()
    except OSError as error:
        raise UserError(f"cannot abort {scheme.name}: {(error.strerror or str(error)).lower()}") from error
    return directory
