"""What the metadata files of a session say, kept in a small database so that a file is read again only when it changes."""

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from relion4plugin.acquisition import eer_tags, epu_fractions, epu_image, epu_session, mdoc_values, mrc_fei, tiff_tags
from relion4plugin.acquisition.layout import FileEntry
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.record import frozen
from relion4plugin.errors import UserError
from relion4plugin.progress import Progress, Silent

_APPLICATION = 0x52344151  # marks a database as one of these
_VERSION = 1  # of what is stored; another one is read anew
_AT_ONCE = 1000  # files between two commits
_KEYS: Mapping[str, Mapping[str, str]] = {
    "epu_image_xml": epu_image.KEYS,
    "epu_fractions_xml": epu_fractions.KEYS,
    "epu_session_dm": epu_session.KEYS,
    "serialem_mdoc": mdoc_values.KEYS,
    "mrc_fei": mrc_fei.KEYS,
    "serialem_tiff": tiff_tags.KEYS,
    "tiff": tiff_tags.KEYS,
    "eer": eer_tags.KEYS,
}
Reader = Callable[[Path], tuple[Reading, ...]]


class MetadataIndex:
    """Readings by file. Without a path it lives in memory only."""

    def __init__(self, path: str | Path | None = None) -> None:
        self._path = None if path is None else Path(path)
        self._memory: dict[str, tuple[int, int, tuple[Reading, ...]]] = {}
        self._notes: dict[str, str] = {}
        if self._path is not None:
            self._open_file()

    def _open_file(self) -> None:
        with self._database() as database:
            found = database.execute("PRAGMA application_id").fetchone()[0]
            version = database.execute("PRAGMA user_version").fetchone()[0]
            tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if found != _APPLICATION and tables:
                raise UserError(f"{self._path} is a database of another program; give another name for the index")
            if version != _VERSION:
                database.execute("DROP TABLE IF EXISTS readings")
                database.execute("DROP TABLE IF EXISTS notes")
            database.execute("CREATE TABLE IF NOT EXISTS readings (path BLOB PRIMARY KEY, size INT, mtime INT, content TEXT)")
            database.execute("CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, content TEXT)")
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
            database.commit()
            for path, size, mtime, content in database.execute("SELECT path, size, mtime, content FROM readings"):
                name = os.fsdecode(path)  # names that are no valid text are kept byte for byte
                self._memory[name] = (size, mtime, _from_text(name, content))
            self._notes = dict(database.execute("SELECT name, content FROM notes"))

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        assert self._path is not None
        if not self._path.parent.is_dir():
            raise UserError(f"index {self._path}: folder {self._path.parent} does not exist; create it first")
        try:
            connection = sqlite3.connect(self._path, timeout=30)
            try:
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise UserError(f"index {self._path} cannot be used: {error}; remove it, or give another name") from error

    def refresh(
        self, folder: str | Path, files: Iterable[FileEntry], read: Reader, progress: Progress | None = None
    ) -> dict[str, tuple[Reading, ...]]:
        """Return the readings of files below `folder` by their path there; only those that changed since the last time are read.

        Parameters
        ----------
        folder : path
            Folder that the paths of `files` start at.
        files : iterable of FileEntry
            Files of one kind; files that the index knows but that are not among them stay in it.
        read : callable
            Gives the readings of one file.
        """
        progress = progress or Silent()
        root = os.path.realpath(folder)
        wanted = list(files)
        known = (self._memory.get(f"{root}/{entry.path}") for entry in wanted)
        new = [entry for entry, old in zip(wanted, known, strict=True) if old is None or old[:2] != (entry.size, entry.mtime_ns)]
        if new:
            progress.start("reading metadata", len(new))
            for start in range(0, len(new), _AT_ONCE):
                self._read_some(root, new[start : start + _AT_ONCE], read, progress)
            progress.finish()
        return {entry.path: self._memory[f"{root}/{entry.path}"][2] for entry in wanted}

    def _read_some(self, root: str, entries: list[FileEntry], read: Reader, progress: Progress) -> None:
        rows = []
        for entry in entries:
            path = f"{root}/{entry.path}"
            readings = read(Path(path))
            self._memory[path] = (entry.size, entry.mtime_ns, readings)
            rows.append((os.fsencode(path), entry.size, entry.mtime_ns, _as_text(readings)))
            progress.advance()
        if self._path is not None:
            with self._database() as database:
                database.executemany("INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?)", rows)
                database.commit()

    def note(self, name: str) -> str | None:
        """Return a text that was kept under a name."""
        return self._notes.get(name)

    def keep(self, name: str, text: str) -> None:
        """Keep a text under a name."""
        if self._notes.get(name) == text:
            return
        self._notes[name] = text
        if self._path is not None:
            with self._database() as database:
                database.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", (name, text))
                database.commit()


def _as_text(readings: tuple[Reading, ...]) -> str:
    return json.dumps([[r.format, r.role, dict(r.values), dict(r.confidence), dict(r.extra), r.problems] for r in readings])


def _from_text(path: str, text: str) -> tuple[Reading, ...]:
    return tuple(
        Reading(path, kind, role, _tuples(values), _keys(kind, confidence), confidence, _tuples(extra), tuple(problems))
        for kind, role, values, confidence, extra, problems in json.loads(text)
    )


def _keys(kind: str, confidence: Mapping[str, str]) -> Mapping[str, str]:
    if kind == "epu_image_xml" and confidence.get("n_frames") == "estimated":
        return epu_image.KEYS_ESTIMATED
    return _KEYS.get(kind, {})


def _tuples(content: dict[str, object]) -> dict[str, object]:
    for name, value in content.items():
        if type(value) is list:
            content[name] = frozen(value)
    return content
