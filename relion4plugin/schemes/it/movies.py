"""Movies outside the project: a link in the project, and the pattern that goes through it.

RELION reads only patterns of files below the project directory.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from relion4plugin.errors import UserError

_LINK = "Movies"
_WILDCARDS = "*?["


@dataclass(frozen=True)
class MovieLink:
    """A symbolic link to be made in the project; `target` is an absolute path."""

    path: Path
    target: Path


def movies_in_project(root: Path, pattern: str) -> tuple[str, MovieLink | None]:
    """Return the pattern relative to the project, and the link that it needs.

    Parameters
    ----------
    root : Path
        The project directory.
    pattern : str
        Pattern of movies; relative ones are relative to the project.

    Raises
    ------
    UserError
        If the folder of the movies does not exist, or the name of the link is taken.
    """
    path = PurePosixPath(str(Path(pattern).expanduser()))
    if not path.is_absolute() and ".." not in path.parts:
        return pattern, None
    parts = (PurePosixPath(str(root.resolve())) / path).parts
    first = next((i for i, part in enumerate(parts) if any(sign in part for sign in _WILDCARDS)), len(parts) - 1)
    folder = Path(*parts[:first]).resolve()
    rest = PurePosixPath(*parts[first:])
    if not folder.is_dir():
        raise UserError(f"fn_in_raw is {pattern}, but there is no folder {folder}; give the folder in which movies are or will be")
    if folder.is_relative_to(root.resolve()):
        return str(PurePosixPath(folder.relative_to(root.resolve())) / rest), None
    link = root / _LINK
    if link.is_symlink() and link.resolve() == folder:
        return f"{_LINK}/{rest}", None
    if link.is_symlink() or link.exists():
        raise UserError(f"{link} exists and does not lead to {folder}; remove it, or give a pattern below it")
    return f"{_LINK}/{rest}", MovieLink(link, folder)


def make_link(link: MovieLink) -> None:
    """Make the link.

    Raises
    ------
    UserError
        If it cannot be made.
    """
    try:
        link.path.symlink_to(link.target, target_is_directory=True)
    except OSError as error:
        raise UserError(f"cannot make the link {link.path}: {(error.strerror or str(error)).lower()}; make it by hand") from error
