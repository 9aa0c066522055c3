"""Sessions below a folder: which there are, of what kind, how many images each has."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from relion4plugin.acquisition import layout, names
from relion4plugin.acquisition.serialem_mdoc import read_mdoc
from relion4plugin.errors import UserError

KINDS = ("empty", "screening", "data", "tilt_series")
_STARTED = "supervisor_"  # how EPU names the folder of a session, before it writes anything into it
_DEPTH = 8  # folders below the root
_LOOKED_AT = 5  # mdocs that tell a tilt series from single images


@dataclass(frozen=True)
class SessionInfo:
    """A session.

    Attributes
    ----------
    path : Path
        Its folder.
    name, software : str
        Name of the folder; 'EPU', 'SerialEM' or '' (movies without metadata).
    kind : str
        One of `KINDS`: 'screening' has images of squares and holes only.
    counts : mapping
        Numbers of 'images' (metadata of movies), 'overviews', 'movies' and 'mdocs'.
    first, last : str or None
        Times (ISO) of the first and the last image, by the file names of EPU or by the files' times.
    """

    path: Path
    name: str
    software: str
    kind: str
    counts: Mapping[str, int] = field(default_factory=dict)
    first: str | None = None
    last: str | None = None


def find_sessions(root: str | Path) -> list[SessionInfo]:
    """Return all sessions below `root`, which may be a session itself, sorted by path.

    A session of EPU is a folder with ``EpuSession.dm`` or ``Images-Disc*``, one of SerialEM a folder with mdocs; folders with nothing
    but movies are listed too.

    Raises
    ------
    UserError
        If the folder is not there or cannot be read.
    """
    root = Path(root)
    try:
        next(os.scandir(root), None)
    except OSError as error:
        raise UserError(f"folder {root}: {(error.strerror or str(error)).lower()}; expected a folder with sessions") from error
    return [info_of(folder, layout.session_files(folder, None, [])) for folder in _session_folders(root, _DEPTH)]


def _session_folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError:  # a folder of another user is passed over
        return
    folders = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")]
    files = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
    if layout.SESSION_FILE in files or any(layout.is_disc(name) for name in folders):
        yield folder
        return
    if any(_marks_session(name) for name in files):
        yield folder
    elif not folders and not files and _STARTED in folder.name.lower():
        yield folder
    if depth > 0:
        for name in folders:
            yield from _session_folders(folder / name, depth - 1)


def _marks_session(name: str) -> bool:
    if name.lower().endswith(".mdoc"):
        return True
    is_image = name.lower().endswith(".xml") and names.data_name(name) is not None and not names.is_fractions_xml(name)
    return is_image or names.movie_rank(name) > 1


def info_of(folder: Path, files: layout.SessionFiles) -> SessionInfo:
    """Return the summary of a session whose files are known."""
    counts = {
        "images": len(files.images), "overviews": len(files.overviews), "movies": len(files.movies), "mdocs": len(files.mdocs),
    }  # fmt: skip
    first, last = _times(files)
    return SessionInfo(folder, folder.resolve().name, files.software, _kind(folder, files), counts, first, last)


def _kind(folder: Path, files: layout.SessionFiles) -> str:
    if files.mdocs and files.software == "SerialEM":
        step = max(len(files.mdocs) // _LOOKED_AT, 1)
        roles = [read_mdoc(folder / entry.path)[0].role for entry in files.mdocs[::step][:_LOOKED_AT]]
        if roles.count("tilt_series") * 2 > len(roles):
            return "tilt_series"
        return "data"
    if files.images or files.movies:
        return "data"
    return "screening" if files.overviews else "empty"


def _times(files: layout.SessionFiles) -> tuple[str | None, str | None]:
    stamps = sorted(found.time for entry in files.images if (found := names.data_name(entry.name)) is not None)
    if not stamps:
        changed = sorted(entry.mtime_ns for entry in (*files.mdocs, *files.movies))
        stamps = [datetime.fromtimestamp(time / 1e9, timezone.utc).isoformat(timespec="seconds") for time in changed]
    return (stamps[0], stamps[-1]) if stamps else (None, None)
