"""Columns of a Scipion set, read straight from its SQLite file.

A set of a million items takes a minute through Scipion's objects and a second through SQLite, so nothing here makes an object per item.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relion4plugin.errors import UserError

_CLOSED = 2  # the host's Set.STREAM_CLOSED


@dataclass(frozen=True)
class SetColumns:
    """Enabled items of a set, in the order of their ids.

    Attributes
    ----------
    ids : tuple of int
        Object ids.
    columns : dict
        Attribute label (such as ``_ctfModel._defocusU``) to one value per item; only the labels which the set has.
    """

    ids: tuple[int, ...]
    columns: dict[str, tuple[Any, ...]]

    def __len__(self) -> int:
        return len(self.ids)

    def get(self, label: str, default: Any = None) -> tuple[Any, ...]:
        """Values of a label; `default` where the set has no such column or the item no value."""
        values = self.columns.get(label)
        if values is None:
            return (default,) * len(self.ids)
        return tuple(default if value is None else value for value in values)


def read_labels(path: str | Path, prefix: str = "") -> dict[str, str]:
    """Attribute labels of a set and the SQLite columns which hold them."""
    with closing(_open(path)) as connection:
        return _labels(connection, _table_prefix(prefix), path)


def is_growing(path: str | Path) -> bool:
    """Whether more items may still come into a set.

    Raises
    ------
    UserError
        The file is not a readable set.
    """
    with closing(_open(path)) as connection:
        try:
            row = connection.execute("SELECT value FROM Properties WHERE key = '_streamState'").fetchone()
        except sqlite3.Error as error:
            raise UserError(f"{path}: not a Scipion set ({error}); choose another input") from error
    return row is not None and int(row[0] or _CLOSED) != _CLOSED


def read_columns(path: str | Path, labels: Iterable[str] | None = None, prefix: str = "") -> SetColumns:
    """Read the wanted attributes of all enabled items of a set.

    Parameters
    ----------
    path : path
        SQLite file of the set.
    labels : iterable of str, optional
        Attribute labels; those that the set lacks are left out. All of them if not given.
    prefix : str
        Table prefix, as in the second part of a class's mapper path.

    Raises
    ------
    UserError
        The file is not a readable set.
    """
    tables = _table_prefix(prefix)
    with closing(_open(path)) as connection:
        known = _labels(connection, tables, path)
        wanted: Sequence[str] = [label for label in (known if labels is None else labels) if label in known]
        selection = ", ".join(["id", *(known[label] for label in wanted)])
        try:
            rows = connection.execute(f"SELECT {selection} FROM {tables}Objects WHERE enabled = 1 ORDER BY id").fetchall()
        except sqlite3.Error as error:
            raise UserError(f"{path}: cannot read the items of this set ({error}); repeat the run that made it") from error
    if not rows:
        return SetColumns((), dict.fromkeys(wanted, ()))
    ids, *values = zip(*rows, strict=True)
    return SetColumns(ids, dict(zip(wanted, values, strict=True)))


def _open(path: str | Path) -> sqlite3.Connection:
    if not Path(path).is_file():
        raise UserError(f"{path}: the input set's file does not exist; repeat the run that made it")
    return sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True, timeout=60)


def _labels(connection: sqlite3.Connection, tables: str, path: str | Path) -> dict[str, str]:
    try:
        rows = connection.execute(f"SELECT label_property, column_name FROM {tables}Classes WHERE label_property != 'self'").fetchall()
    except sqlite3.Error as error:
        raise UserError(f"{path}: not a Scipion set ({error}); choose another input") from error
    return dict(rows)


def _table_prefix(prefix: str) -> str:
    prefix = prefix.strip()
    return f"{prefix}_" if prefix and not prefix.endswith("_") else prefix
