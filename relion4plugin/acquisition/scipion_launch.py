"""Commands that make a Scipion project from a workflow and schedule its protocols."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from relion4plugin.errors import UserError

_SCRIPTS = "pyworkflow.project.scripts"
_SAFE = re.compile(r"[\w /.,:=@+-]+", re.ASCII)  # Scipion's own launcher hands the words to a shell
_COLOUR = re.compile(r"\x1b\[[\d;]*m")
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
        If the path has signs that Scipion's launcher does not protect from the shell, or Scipion has a project of this name.
    """
    if not _SAFE.fullmatch(str(folder)):
        raise UserError(f"Scipion cannot work in {folder}: paths may have letters, digits, blanks and ./,:=@+-_; choose another --project")
    _check_name(folder)
    start = (program,) if program else (sys.executable, "-m", "scipion")
    run = (*start, "python", "-m")
    create = (*run, f"{_SCRIPTS}.create", folder.name, str(folder / WORKFLOW), str(folder), "made by relion4plugin mdcatch")
    return create, (*run, f"{_SCRIPTS}.schedule", folder.name)


def project_of(folder: Path) -> Path:
    """Return the directory of the Scipion project of a launch."""
    return folder / folder.name


def _check_name(folder: Path) -> None:
    """Check that Scipion takes the name: its own folder of projects gets a link of that name, and whatever is in it counts as a project."""
    own = Path(os.environ.get("SCIPION_USER_DATA", "~/ScipionUserData")).expanduser() / "projects"
    if own.resolve() in folder.resolve().parents:
        raise UserError(f"{folder} lies in Scipion's own folder of projects, {own}, which only gets a link to it; choose another --project")
    if os.path.lexists(own / folder.name) and not project_of(folder).is_dir():
        raise UserError(f"Scipion has a project {folder.name} already, in {own}; choose a --project of another name")


def said_by_scipion(lines: Sequence[str]) -> str:
    """Return the line of Scipion's output that tells why it failed: its scripts print their usage after it."""
    errors = [_COLOUR.sub("", line.strip()) for line in lines if line.strip().startswith("ERROR:")]
    return errors[-1] if errors else lines[-1] if lines else "no message"
