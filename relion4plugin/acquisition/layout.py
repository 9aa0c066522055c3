"""Which files of a session are what, by their names alone."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from relion4plugin.acquisition import names

SESSION_FILE = "EpuSession.dm"
_DISC = re.compile(r"^Images-Disc\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class FileEntry:
    """A file: path below the folder that was listed (with '/'), bytes, and time of the last change in ns."""

    path: str
    size: int
    mtime_ns: int

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]


def is_disc(name: str) -> bool:
    """Tell whether a folder is one of EPU's image folders."""
    return _DISC.match(name) is not None


def list_files(folder: str | Path, problems: list[str]) -> Iterator[FileEntry]:
    """Yield all files below a folder, sorted by folder and name.

    Folders that are symbolic links are not entered, links that lead out of the folder are left out, and what cannot be listed is told
    in `problems`.
    """
    root = os.path.realpath(folder)
    pending = [""]
    while pending:
        below = pending.pop()
        try:
            with os.scandir(os.path.join(root, below)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            problems.append(f"folder {os.path.join(root, below)} cannot be listed: {(error.strerror or str(error)).lower()}")
            continue
        folders = []
        for entry in entries:
            path = f"{below}/{entry.name}" if below else entry.name
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif not entry.name.startswith(".") and _inside(entry, root) and (found := _entry(entry, path)) is not None:
                yield found
        pending.extend(reversed(folders))


def _inside(entry: os.DirEntry[str], root: str) -> bool:
    return not entry.is_symlink() or os.path.realpath(entry.path).startswith(root + os.sep)


def _entry(entry: os.DirEntry[str], path: str) -> FileEntry | None:
    try:
        status = entry.stat()
    except FileNotFoundError:  # gone since it was listed
        return None
    return FileEntry(path, status.st_size, status.st_mtime_ns) if entry.is_file() else None


@dataclass
class SessionFiles:
    """Files of a session: metadata of images, lists of fractions, overviews, session file, mdocs, gain references and movies.

    Movies and gain references, and lists of fractions if `fractions_with_movies`, lie below the folder of movies.
    """

    images: list[FileEntry] = field(default_factory=list)
    fractions: list[FileEntry] = field(default_factory=list)
    overviews: list[FileEntry] = field(default_factory=list)
    mdocs: list[FileEntry] = field(default_factory=list)
    gains: list[FileEntry] = field(default_factory=list)
    movies: list[FileEntry] = field(default_factory=list)
    session: FileEntry | None = None
    fractions_with_movies: bool = False

    def add(self, entry: FileEntry, plain_mrc: bool) -> None:
        """Put a file where it belongs; `plain_mrc` tells whether an MRC file without an ending of movies counts as a movie."""
        name, lower = entry.name, entry.name.lower()
        if name == SESSION_FILE:
            if self.session is None or entry.path.count("/") < self.session.path.count("/"):
                self.session = entry
        elif lower.endswith(".mdoc"):
            self.mdocs.append(entry)
        elif lower.endswith(".xml"):
            self._add_xml(entry)
        elif names.is_gain(name):
            self.gains.append(entry)
        elif names.movie_rank(name) > (0 if plain_mrc else 1):
            self.movies.append(entry)

    def _add_xml(self, entry: FileEntry) -> None:
        if names.is_fractions_xml(entry.name):
            self.fractions.append(entry)
        elif names.data_name(entry.name):
            self.images.append(entry)
        elif names.is_overview(entry.name):
            self.overviews.append(entry)

    @property
    def software(self) -> str:
        """EPU, SerialEM, or empty where no metadata are there."""
        if self.session or self.images or self.overviews:
            return "EPU"
        return "SerialEM" if self.mdocs else ""


def session_files(folder: str | Path, movies: str | Path | None, problems: list[str]) -> SessionFiles:
    """Return the files of a session and of its folder of movies (the session's own folder if None).

    Plain MRC files beside the XML of EPU are summed images, not movies; in a folder of movies of its own, and beside mdocs, they count.
    """
    files = SessionFiles()
    own = list(list_files(folder, problems))
    epu = any(entry.name == SESSION_FILE or entry.name.lower().endswith(".xml") for entry in own)
    for entry in own:
        files.add(entry, plain_mrc=not epu)
    if movies is not None and os.path.realpath(movies) != os.path.realpath(folder):
        other = SessionFiles()
        for entry in list_files(movies, problems):
            other.add(entry, plain_mrc=True)
        files.movies, files.gains = other.movies, other.gains
        if other.fractions:
            files.fractions, files.fractions_with_movies = other.fractions, True
    return files
