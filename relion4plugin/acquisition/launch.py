"""A plan carried out, once for each session."""

import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.acquisition.acquisition_record import write_acquisition_record
from relion4plugin.acquisition.fill_scipion import workflow_text
from relion4plugin.acquisition.group_table import write_groups
from relion4plugin.acquisition.launches import Launch, State, launch_lock, note_launch
from relion4plugin.acquisition.plan import LaunchPlan, errors_of, uses_groups
from relion4plugin.acquisition.scipion_launch import WORKFLOW, project_of, said_by_scipion
from relion4plugin.acquisition.target import target_for
from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path, atomic_write_text
from relion4plugin.schemes.findings import Severity
from relion4plugin.schemes.it.launch import Runner, start_runners
from relion4plugin.schemes.it.plan import lint_plan, write_plan
from relion4plugin.schemes.locks import running_owner
from relion4plugin.schemes.project import Project

_SCIPION_TIME = 900.0  # seconds that Scipion may take to make a project, and to schedule it
_LOG = "launch.log"


@dataclass(frozen=True)
class Launched:
    """A launch that was done: project directory, saved record, and the runners of schemes that were started."""

    project: Path
    record: Path
    runners: tuple[Runner, ...] = ()


def launch(plan: LaunchPlan, again: bool = False, accepted: Iterable[str] = ()) -> Launched:
    """Carry out a plan.

    Parameters
    ----------
    plan : LaunchPlan
        What to do.
    again : bool
        Do it although the session was launched before (its target must be a new project).
    accepted : iterable of str
        Rules whose errors do not forbid the launch.

    Raises
    ------
    AlreadyLaunched
        If the session was launched before.
    UserError
        If the plan has errors, or something cannot be written or started.
    """
    errors = errors_of(plan, accepted)
    if errors:
        first = errors[0]
        raise UserError(f"{len(errors)} error(s), first: {first.text} ({first.rule}); correct it with --set, or --accept {first.rule}")
    root = plan.target.root
    _make(root)
    with launch_lock(root):
        if not again and plan.target.unfinished is None:
            target_for(plan.facts, root, project=plan.target.project)  # another process may have been faster
        entry = Launch(plan.facts.fingerprint, str(plan.facts.path.resolve()), str(plan.target.project), plan.pipeline, "")
        note_launch(root, entry.now(State.STARTED))
        launched = _launch_schemes(plan) if plan.schemes is not None else _launch_scipion(plan, entry)
        note_launch(root, entry.now(State.LAUNCHED))
    return launched


def write_files(plan: LaunchPlan) -> Path:
    """Write all files of a plan and start nothing; return the saved record.

    Raises
    ------
    UserError
        If a file cannot be written, or the schemes have mistakes.
    """
    folder = plan.target.project
    _make(folder)
    for source, name in plan.settings.copies.items():
        _copy(source, folder / name)
    if plan.workflow is not None:
        atomic_write_text(folder / WORKFLOW, workflow_text(plan.workflow))
    if plan.schemes is not None:
        project = Project(folder)
        write_plan(project, plan.schemes)
        if uses_groups(plan.facts):
            write_groups(plan.facts.groups, folder, plan.schemes.choices.options.fn_in_raw)
        mistakes = [finding for finding in lint_plan(project, plan.schemes) if finding.severity is Severity.ERROR]
        if mistakes:
            raise UserError(f"{len(mistakes)} error(s) in the schemes, first: {mistakes[0]}; nothing was started")
    return _write_record(plan)


def _launch_schemes(plan: LaunchPlan) -> Launched:
    assert plan.schemes is not None
    project = Project(plan.target.project)
    idle = [name for name in plan.schemes.schemes if not running_owner(project, name)[0]]
    if len(idle) < len(plan.schemes.schemes):  # cut off between two runners: all files are there
        record = _write_record(plan)
    else:
        record = write_files(plan)
    return Launched(plan.target.project, record, tuple(start_runners(project, idle)))


def _launch_scipion(plan: LaunchPlan, entry: Launch) -> Launched:
    folder = plan.target.project
    create, schedule = plan.commands
    record = write_files(plan)
    if not project_of(folder).is_dir():
        _run(create, folder)
    note_launch(plan.target.root, entry.now(State.SCHEDULING))
    try:
        _run(schedule, folder)
    except UserError:
        note_launch(plan.target.root, entry.now(State.STARTED))  # nothing is in doubt: it can be tried again
        raise
    return Launched(folder, record)


def _run(words: tuple[str, ...], folder: Path) -> None:
    """Run a command to its end; its output goes to the log of the launch."""
    try:
        with open(folder / _LOG, "ab") as log:
            start = log.tell()
            done = subprocess.run(
                words, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, timeout=_SCIPION_TIME, check=False
            )
    except OSError as error:
        raise UserError(f"cannot run {words[0]}: {(error.strerror or str(error)).lower()}; set paths.scipion in the preset") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{words[0]} did not end within {_SCIPION_TIME:g} s; see {folder / _LOG}") from error
    if done.returncode:
        said = (folder / _LOG).read_bytes()[start:].decode("utf-8", "replace").strip().splitlines()
        raise UserError(f"{' '.join(words[:5])} ended with code {done.returncode}: {said_by_scipion(said)}; see {folder / _LOG}")


def _write_record(plan: LaunchPlan) -> Path:
    details = {
        "session": str(plan.facts.path),
        "fingerprint": plan.facts.fingerprint,
        "preset": {"name": plan.preset.name, "file": str(plan.preset.path), "sha256": plan.preset.checksum},
        "user": plan.user.words,
        "commands": [list(words) for words in plan.commands],
        "changes": [vars(change) for change in plan.changes],
        "findings": [vars(finding) for finding in plan.findings],
    }
    return write_acquisition_record(plan.target.project, plan.settings.choices.options.fn_in_raw, plan.record, details)[0]


def _copy(source: Path, target: Path) -> None:
    _make(target.parent)
    try:
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
    except OSError as error:
        raise UserError(f"cannot copy {source} to {target}: {(error.strerror or str(error)).lower()}; check both") from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {(error.strerror or str(error)).lower()}; choose another --project") from error
