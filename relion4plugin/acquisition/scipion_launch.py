"""Commands that make a Scipion project from a workflow and schedule its protocols."""

import re
import sys
from pathlib import Path

from relion4plugin.errors import UserError

_SCRIPTS = "pyworkflow.project.scripts"
_SAFE = re.compile(r"[\w /.,:=@+-]+", re.ASCII)  # Scipion's own launcher hands the words to a shell
WORKFLOW = "workflow.json"


def scipion_commands(program: str, folder: Path) -> tuple[tuple[str, ...], ...]:
    """Return the commands that create and schedule the project ``<folder>/<name of the folder>``.

    Parameters
    ----------
    program : str
        Scipion's program; this Python with ``-m scipion`` if empty.
    folder : Path
        Folder of the launch, absolute; the workflow lies in it.

    Raises
    ------
    UserError
        If the path has signs that Scipion's launcher does not protect from the shell.
    """
    if not _SAFE.fullmatch(str(folder)):
        raise UserError(f"Scipion cannot work in {folder}: paths may have letters, digits, blanks and ./,:=@+-_; choose another --project")
    start = (program,) if program else (sys.executable, "-m", "scipion")
    run = (*start, "python", "-m")
    create = (*run, f"{_SCRIPTS}.create", folder.name, str(folder / WORKFLOW), str(folder), "made by relion4plugin mdcatch")
    return create, (*run, f"{_SCRIPTS}.schedule", folder.name)


def project_of(folder: Path) -> Path:
    """Return the directory of the Scipion project of a launch."""
    return folder / folder.name
