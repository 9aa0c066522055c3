"""Files in the folder of a run over many items: whose results lie there, and what a job has set aside."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text

_MARK = "run_digest.txt"
_NAME = "r4pName"


def claim_results(folder: Path, digest: str, has_outputs: bool) -> None:
    """Make a folder the present run's; without outputs, what other parameters left is removed.

    Raises
    ------
    UserError
        If there are outputs that were made of another input or with other parameters.
    """
    mark = folder / _MARK
    if mark.is_file() and mark.read_text(encoding="utf-8").strip() == digest:
        return
    if mark.is_file() and has_outputs:
        raise UserError("input or parameters differ from those of the results that are there: change them back, or use Restart")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    atomic_write_text(mark, digest + "\n")


def clear_reasons(folder: Path) -> None:
    """Forget what a job set aside before."""
    _list(folder).unlink(missing_ok=True)


def read_reasons(folder: Path) -> dict[str, str]:
    """Return the names of items that a job has just set aside, and why."""
    from relion4plugin.files.run_files import rows
    from relion4plugin.files.star import read_star

    path = _list(folder)
    if not path.is_file():
        return {}
    table = rows(read_star(path), "set_aside", (), path, "the list of what a job has set aside")
    return {str(row[0]): str(row[1]) for row in table.itertuples(index=False)}


def write_reasons(folder: Path, reasons: Mapping[str, str]) -> None:
    """Write the list of all items that this execution has set aside: name -> reason."""
    from relion4plugin.jobs.one_by_one import write_set_aside

    write_set_aside(folder, _NAME, reasons.items())


def _list(folder: Path) -> Path:
    from relion4plugin.jobs.one_by_one import SET_ASIDE

    return folder / SET_ASIDE
