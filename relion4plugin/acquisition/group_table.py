"""Optics groups of movies as a table that the import job reads: ``movie_groups.star``.

The table has two columns, the path of the movie below the project directory and the name of its optics group.
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from relion4plugin.acquisition.settings import FOLDER
from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.star_text import loop, tables_text

NAME = "movie_groups.star"
OPTION = "optics_groups_file"
_BLOCK, _LABELS = "movie_groups", ("rlnMicrographMovieName", "rlnOpticsGroupName")


def group_text(groups: Mapping[str, str], root: Path, pattern: str) -> str:
    """Return the table.

    Parameters
    ----------
    groups : mapping
        Path of a movie to the name of its group.
    root : Path
        The project directory.
    pattern : str
        Pattern of the movies below the project directory; its first part may be a link to their folder.
    """
    first = PurePosixPath(pattern).parts[0]
    is_link = (root / first).is_symlink()
    folder = (root / first).resolve() if is_link else root.resolve()
    name = PurePosixPath(first) if is_link else PurePosixPath()
    rows = []
    for movie, group in sorted(groups.items()):
        path = Path(movie).resolve()
        if path.is_relative_to(folder):  # others are not imported either
            rows.append((str(name / path.relative_to(folder)), group))
    return tables_text([loop(_BLOCK, _LABELS, rows)])


def write_groups(groups: Mapping[str, str], root: Path, pattern: str) -> bool:
    """Write the table into a project if it differs from what is there; tell whether it was written.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    path, text = root / FOLDER / NAME, group_text(groups, root, pattern)
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path}: {(error.strerror or str(error)).lower()}; check the project directory") from error
    atomic_write_text(path, text)
    return True
