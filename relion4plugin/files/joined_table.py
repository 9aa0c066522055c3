"""One STAR table made of the rows of many files, without reading again what stands in it already."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files._star_dialect import END_OF_ROWS, load
from relion4plugin.files.atomic import atomic_path, atomic_write_text
from relion4plugin.files.star import Block, read_star, write_star

_HEADER = re.compile(rb"^data_\S*[ \t]*\n\s*loop_[ \t]*\n((?:_\S+.*\n)+)", re.MULTILINE)
_BLOCK_BYTES = 1 << 22


@dataclass(frozen=True)
class _Rows:
    """Where rows stand as text: a range of bytes of a file, and the labels of their columns."""

    path: Path
    start: int
    n_bytes: int
    n_rows: int
    labels: tuple[str, ...]


class JoinedTable:
    """A table in a STAR file that grows by the rows of further files.

    Rows are copied as text. Which rows stand where is kept beside the table (``particles_index.json`` of ``particles.star``); where
    that does not fit the table, all files are read.

    Parameters
    ----------
    path : Path
        The STAR file.
    table : str
        Name of the table, without ``data_``.
    """

    def __init__(self, path: Path, table: str) -> None:
        self._path, self._table = path, table
        self._index = path.with_name(f"{path.stem}_index.json")
        self._known = self._read_index()

    def forget(self, name: str) -> None:
        """Read the file of a name again next time, as it was written anew."""
        self._known.pop(name, None)

    def write(self, before: Mapping[str, Block], files: Mapping[str, Path]) -> int:
        """Write the table anew; the file appears whole or not at all.

        Parameters
        ----------
        before : mapping of str to Block
            Tables in front of it.
        files : mapping of str to Path
            Name -> STAR file of one table with the rows of that name, in the order of the result. A file whose rows stand in the
            table already is not opened. Columns that some files lack are filled with 0 or empty text.

        Returns
        -------
        int
            Number of rows.

        Raises
        ------
        UserError
            If a file cannot be read, or the table cannot be written.
        """
        pieces = {name: self._known.get(name) or _locate(path) for name, path in files.items()}
        filled = {name: piece for name, piece in pieces.items() if piece.n_rows}
        labels = {piece.labels for piece in filled.values()}
        if len(labels) == 1:
            self._copy(before, filled, next(iter(labels)))
        else:
            self._known = {}
            self._index.unlink(missing_ok=True)
            write_star(self._path, {**before, self._table: _merged([files[name] for name in filled])})
        return sum(piece.n_rows for piece in filled.values())

    def _copy(self, before: Mapping[str, Block], pieces: Mapping[str, _Rows], labels: tuple[str, ...]) -> None:
        placed: dict[str, _Rows] = {}
        with atomic_path(self._path) as temporary:
            write_star(temporary, before)
            with temporary.open("ab") as stream:
                header = "".join(f"_{label} #{i} \n" for i, label in enumerate(labels, 1))
                stream.write(f"\n# version 30001\n\ndata_{self._table}\n\nloop_ \n{header}".encode())
                position = stream.tell()
                for name, piece in pieces.items():
                    placed[name] = replace(piece, path=self._path, start=position)
                    position += piece.n_bytes
                for run in _runs(pieces):
                    _append(run, stream)
                stream.write(b" \n")
        self._known = placed
        self._write_index(labels)

    def _write_index(self, labels: tuple[str, ...]) -> None:
        state = self._path.stat()
        rows = [[name, piece.start, piece.n_bytes, piece.n_rows] for name, piece in self._known.items()]
        atomic_write_text(self._index, json.dumps({"size": state.st_size, "time": state.st_mtime_ns, "labels": labels, "rows": rows}))

    def _read_index(self) -> dict[str, _Rows]:
        """Return what stands in the table; nothing where the index is missing, damaged or of another state of the table."""
        try:
            index, state = json.loads(self._index.read_text(encoding="utf-8")), self._path.stat()
            if (index["size"], index["time"]) != (state.st_size, state.st_mtime_ns):
                return {}
            labels = tuple(index["labels"])
            return {name: _Rows(self._path, start, n_bytes, n_rows, labels) for name, start, n_bytes, n_rows in index["rows"]}
        except (OSError, ValueError, KeyError, TypeError):
            return {}


def _locate(path: Path) -> _Rows:
    """Find the rows of a STAR file of one table."""
    data = load(path)
    header = _HEADER.search(data)
    if header is None:
        raise UserError(f"{path} has no table: expected the particles of one micrograph; remove the file, and they are extracted again")
    labels = tuple(line.split()[0][1:].decode() for line in header[1].splitlines())
    start = header.end()
    end = END_OF_ROWS.search(data, start - 1)  # a table without rows ends with its header
    rows = data[start : len(data) if end is None else end.end()]
    return _Rows(path, start, len(rows), rows.count(b"\n"), labels)


def _runs(pieces: Mapping[str, _Rows]) -> Iterator[_Rows]:
    """Join ranges that follow each other in one file."""
    run: _Rows | None = None
    for piece in pieces.values():
        if run is not None and run.path == piece.path and run.start + run.n_bytes == piece.start:
            run = replace(run, n_bytes=run.n_bytes + piece.n_bytes)
            continue
        if run is not None:
            yield run
        run = piece
    if run is not None:
        yield run


def _append(rows: _Rows, stream: BinaryIO) -> None:
    with rows.path.open("rb") as source:
        source.seek(rows.start)
        left = rows.n_bytes
        while left:
            data = source.read(min(left, _BLOCK_BYTES))
            if not data:
                raise UserError(f"{rows.path} became shorter while it was read; run the job again")
            stream.write(data)
            left -= len(data)


def _merged(paths: list[Path]) -> pd.DataFrame:
    """Join tables with different columns."""
    tables = [table for path in paths for table in read_star(path).values() if isinstance(table, pd.DataFrame)]
    is_text: dict[str, bool] = {}
    for table in tables:
        for label in table.columns:
            is_text[label] = is_text.get(label, False) or table[label].dtype.kind not in "iuf"
    defaults = {label: "" if text else 0 for label, text in is_text.items()}
    complete = [table.assign(**{k: v for k, v in defaults.items() if k not in table.columns})[list(defaults)] for table in tables]
    return pd.concat(complete, ignore_index=True) if complete else pd.DataFrame()
