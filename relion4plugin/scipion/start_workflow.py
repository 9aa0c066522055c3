"""Load a workflow into a Scipion project that is in use, and schedule its runs: ``python -m relion4plugin.scipion.start_workflow``.

This is a process of its own, as Scipion's scripts for that are: a run works on a copy of the project's database and cannot add to the
project itself. Runs that were loaded from a workflow carry a mark in their comments, so nothing is loaded twice.
"""

import sys
from pathlib import Path
from typing import Any

from relion4plugin.errors import UserError

SAID = "scheduled runs:"  # before their ids, in the output of the command
_STEP = 30  # seconds that a run's scheduler sleeps first, for each run before it


def start_workflow(project_folder: Path, workflow: Path, mark: str) -> list[int]:
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
    list of int
        Ids of its runs.

    Raises
    ------
    UserError
        If a protocol is not installed.
    """
    import json

    import pyworkflow
    from pyworkflow.project import Project
    from pyworkflow.protocol.constants import STATUS_SAVED

    domain = pyworkflow.Config.getDomain()
    known = domain.getProtocols()
    missing = sorted({item["object.className"] for item in json.loads(workflow.read_text(encoding="utf-8"))} - set(known))
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
    return [run.getObjId() for run in runs]


def _marked(project: Any, mark: str) -> list[Any]:
    return [run for run in project.getRuns() if mark in (run.getObjComment() or "")]


def main(words: list[str]) -> int:
    """Run the command; words are the project's folder, the workflow and the mark."""
    if len(words) != 3:
        print(f"usage: python -m {__spec__.name} PROJECT_FOLDER WORKFLOW MARK", file=sys.stderr)
        return 2
    try:
        runs = start_workflow(Path(words[0]), Path(words[1]), words[2])
    except (UserError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{SAID} {', '.join(map(str, runs))}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
