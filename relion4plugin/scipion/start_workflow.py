"""Load a workflow into a Scipion project that is in use, and schedule its runs: ``python -m relion4plugin.scipion.start_workflow``.

This is a process of its own, as Scipion's scripts for that are: a run works on a copy of the project's database and cannot add to the
project itself. Runs that were loaded from a workflow carry a mark in their comments, so nothing is loaded twice.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from relion4plugin.errors import UserError
from relion4plugin.scipion.schedule_doubts import schedule_doubts
from relion4plugin.scipion.start_command import Started, run_start_command

_USAGE = "PROJECT_FOLDER WORKFLOW MARK"
_CLASS, _ID = "object.className", "object.id"
_STEP = 30  # seconds that a run's scheduler sleeps first, for each run before it


def start_workflow(project_folder: Path, workflow: Path, mark: str) -> Started:
    """Load and schedule a workflow; what an earlier call has done is kept.

    Parameters
    ----------
    project_folder : Path
        Of the Scipion project.
    workflow : Path
        Filled workflow.
    mark : str
        Text that tells its runs from all others.

    Returns
    -------
    Started
        Its runs, and what keeps some of them from beginning: after an earlier call, of the inputs that have come since.

    Raises
    ------
    UserError
        If the file is no workflow, or a protocol is not installed.
    """
    import pyworkflow
    from pyworkflow.project import Project
    from pyworkflow.protocol.constants import STATUS_SAVED

    domain = pyworkflow.Config.getDomain()
    known = domain.getProtocols()
    missing = sorted({str(item[_CLASS]) for item in read_workflow(workflow)} - set(known))
    if missing:
        raise UserError(f"{workflow}: protocols {', '.join(missing)} are not installed; install their plugins, or choose another workflow")
    project = Project(domain, str(project_folder))
    project.load()
    runs = _marked(project, mark)
    if not runs:
        runs = list(project.loadProtocols(str(workflow)).values())
        for run in runs:
            run.setObjComment(f"{run.getObjComment()} {mark}".strip())
            project._storeProtocol(run)
        project.mapper.commit()
    for level, run in enumerate(runs):
        if run.getStatus() == STATUS_SAVED:
            project.scheduleProtocol(run, initialSleepTime=level * _STEP)
    return Started(tuple(run.getObjId() for run in runs), tuple(schedule_doubts(runs)))


def read_workflow(path: Path) -> list[dict[str, Any]]:
    """Read the protocols of a workflow that Scipion exported.

    Raises
    ------
    UserError
        If the file is anything else.
    """
    import json

    try:
        items = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is no JSON: {error}; expected a workflow that Scipion exported") from error
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) and item.keys() >= {_CLASS, _ID} for item in items):
        raise UserError(f"{path} is no workflow: expected a list of protocols, each with {_CLASS} and {_ID}, as Scipion exports it")
    return items


def _marked(project: Any, mark: str) -> list[Any]:
    return [run for run in project.getRuns() if mark in (run.getObjComment() or "")]


def main(words: list[str]) -> int:
    """Run the command; words are the project's folder, the workflow and the mark."""
    return run_start_command(__spec__.name, _USAGE, words, _start)


def _start(words: Sequence[str]) -> Started | None:
    return start_workflow(Path(words[0]), Path(words[1]), words[2]) if len(words) == 3 else None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
