"""Movies of a session as they become ready: written to their end, readable, with their metadata, and alike."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.epu_image import read_epu_image
from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.layout import FileEntry
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.acquisition.serialem_mdoc import read_mdoc
from relion4plugin.acquisition.session import Session, find_sessions
from relion4plugin.acquisition.session_reading import read_session
from relion4plugin.errors import UserError
from relion4plugin.files.movies import MovieHeader, read_movie_header
from relion4plugin.files.settled import SettledFiles

_AT_ONCE = 200  # movies that are opened in one look
_SHOWN = 5  # sessions that an error lists
_ALIKE = {"voltage_kV": 1e-3, "magnification": 1e-3, "movie_px_A": 5e-3}  # relative difference within one set of movies


@dataclass(frozen=True)
class ReadyMovie:
    """A movie that can be imported: path below the folder of movies, row of the session's table, and header."""

    name: str
    row: Mapping[str, Any]
    header: MovieHeader


@dataclass(frozen=True)
class Look:
    """One look at a session.

    Attributes
    ----------
    session : Session
        All that is known about it.
    ready : tuple of ReadyMovie
        Movies that can be imported, in the order of acquisition.
    waiting : int
        Number of movies that still change, or wait for their metadata.
    unusable : mapping
        Movies that cannot be used, and why.
    complete : bool
        Whether all movies were looked at; otherwise there are more that may be ready.
    """

    session: Session
    ready: tuple[ReadyMovie, ...] = ()
    waiting: int = 0
    unusable: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True


def session_folder(folder: Path) -> Path | None:
    """Return the folder of the session: the folder itself, or the only session below it; None where there is none yet.

    Raises
    ------
    UserError
        If there are several below it.
    """
    data = [info.path for info in find_sessions(folder) if info.kind in ("data", "tilt_series")]
    if len(data) > 1 and folder not in data:
        listed = ", ".join(str(path.relative_to(folder)) for path in data[:_SHOWN])
        raise UserError(f"there are {len(data)} sessions in {folder} ({listed}); choose the folder of one")
    return folder if folder in data else next(iter(data), None)


class SessionMovies:
    """Looks at a session again and again.

    Parameters
    ----------
    folder, movies : Path
        Of the session, and of its movies where that is another one.
    preset : Preset
        May name the folder of movies.
    index : Path
        Keeps what was read.
    settle, patience : float
        Seconds that a movie must not have changed, and for which a movie without metadata waits for them.
    """

    def __init__(self, folder: Path, movies: Path | None, preset: Preset, index: Path, settle: float, patience: float) -> None:
        self._root, self._movies, self._preset = folder, movies, preset
        self._folder: Path | None = None
        self._index = MetadataIndex(index)
        self._settled = SettledFiles(settle)
        self._patience = patience
        self._bare: dict[str, float] = {}  # movies without metadata, and since when
        self._damaged: dict[str, tuple[tuple[int, int], str]] = {}  # with size and time of change, so that they are not read again

    def look(self, known: Collection[str], like: AcquisitionRecord | None = None, shape: tuple[int, int] | None = None) -> Look:
        """Scan the session.

        Parameters
        ----------
        known : collection of str
            Movies that are imported already.
        like : AcquisitionRecord
            What held for the session when its first movie was imported; movies of other settings are not used.
        shape : tuple of int
            Rows and columns of the frames that were imported.

        Raises
        ------
        UserError
            If the session cannot be read.
        """
        self._folder = self._folder or session_folder(self._root)
        session, _ = read_session(self._folder or self._root, (self._preset,), self._movies, self._index)
        new = {row["movie"]: row for row in session.movies.rows() if row["movie"] and row["movie"] not in known}
        settled, growing = self._settled.look(session.movies_dir / name for name in new)
        ready: list[ReadyMovie] = []
        unusable: dict[str, str] = {}
        waiting = len(growing)
        for path in settled:
            if len(ready) == _AT_ONCE:
                return Look(session, tuple(ready), waiting, unusable, complete=False)
            name = str(path.relative_to(session.movies_dir))
            row = new[name]
            if self._waits(row):
                waiting += 1
                continue
            try:
                header = self._header(path)
                shape = shape or header.shape
                _check_shape(header, shape)
                self._check_setting(session, row, like or session.record)
                ready.append(ReadyMovie(name, row, header))
            except UserError as error:
                unusable[name] = str(error)
        return Look(session, tuple(ready), waiting, unusable)

    def _waits(self, row: Mapping[str, Any]) -> bool:
        """Tell whether a movie still waits for its metadata."""
        if row["metadata"]:
            self._bare.pop(row["movie"], None)
            return False
        since = self._bare.setdefault(row["movie"], time.monotonic())
        return time.monotonic() - since < self._patience

    def _header(self, path: Path) -> MovieHeader:
        try:
            status = path.stat()
        except OSError as error:
            raise UserError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        state, name = (status.st_size, status.st_mtime_ns), str(path)
        before = self._damaged.get(name)
        if before is not None and before[0] == state:
            raise UserError(before[1])
        try:
            header = read_movie_header(path, eer_grouping=1)
        except UserError as error:
            self._damaged[name] = (state, str(error))
            raise
        self._damaged.pop(name, None)
        return header

    def _check_setting(self, session: Session, row: Mapping[str, Any], like: AcquisitionRecord) -> None:
        """Refuse a movie of another magnification, pixel size or voltage; only sessions with several settings are looked at."""
        if len(session.settings) < 2 or not row["metadata"]:
            return
        reading = self._reading(session, row)
        for name, tolerance in _ALIKE.items():
            own, common = reading.get(name) if reading else None, like.get(name)
            if own is not None and common is not None and abs(own - common) > tolerance * abs(common):
                raise UserError(f"{row['movie']}: its {name} is {own:g}, that of the others {common:g}; import it in a run of its own")

    def _reading(self, session: Session, row: Mapping[str, Any]) -> Reading | None:
        path = session.info.path / row["metadata"]
        status = path.stat()
        entry = FileEntry(row["metadata"], status.st_size, status.st_mtime_ns)
        reader = read_mdoc if path.suffix.lower() == ".mdoc" else _read_image
        readings = self._index.refresh(session.info.path, [entry], reader)[entry.path]
        named = [reading for reading in readings if reading.role == "movie"]
        own = [reading for reading in named if row["name"] in str(reading.get("movie_path", ""))]
        return next(iter(own or named), None)


def _read_image(path: Path) -> tuple[Reading, ...]:
    return (read_epu_image(path),)


def _check_shape(header: MovieHeader, shape: tuple[int, int]) -> None:
    if header.shape != shape:
        (ny, nx), (rows, columns) = header.shape, shape
        raise UserError(f"{header.path}: frames of {nx} x {ny} px, the others have {columns} x {rows}; import it in a run of its own")
