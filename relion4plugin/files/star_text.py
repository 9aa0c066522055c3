"""STAR tables as texts with line numbers, without pandas: for small state files that are read and written often.

Values stay the texts that stand in the file. `relion4plugin.files.star` is for tables of data.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files._star_dialect import END_OF_ROWS, HIDDEN, float_format, load, quote

RELION4, RELION5 = 30001, 50001
_OLDEST = 30000  # RELION's version of a table without a version line
_VERSION = re.compile(r"#\s*version\s+(\d+)")
_WORD = re.compile(r""""(.*?)"(?!\S)|'(.*?)'(?!\S)|(\S+)""", re.ASCII)
_BLANKS = re.compile(r"[ \t]+")
_HEADER = re.compile(rb"(?:[ \t]*(?:[#;].*)?\n)*[ \t]*loop_[ \t]*\n(?:[ \t]*(?:[#;_].*)?(?:\n|\Z))*")  # of a loop, after its data_ line
_UNSTORABLE = re.compile(f"[\0-\x08\n-\x1f{HIDDEN}\ud800-\udfff]")  # the last are bytes of names that are no UTF-8
_TABLE = re.compile(r"data_\S*\s*$")


@dataclass(frozen=True)
class TextTable:
    """One table: a list block is a table with one row.

    `lines` are the line numbers (from 1) of the rows, in a list block of the values; `labels` are without the leading
    underscore; `version` is that of the ``# version`` line before the table. Columns named in `numeric` are printed in 12 characters,
    others in 10.
    """

    name: str
    labels: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...] = ()
    is_loop: bool = True
    version: int = _OLDEST
    numeric: frozenset[str] = frozenset()

    def columns(self, *labels: str) -> Iterator[tuple[str, ...]]:
        """Give of each row the values of these labels, empty where there is no such column."""
        places = [self.labels.index(label) if label in self.labels else None for label in labels]
        for row in self.rows:
            yield tuple("" if place is None else row[place] for place in places)

    def value(self, label: str) -> str:
        """Return the value of a label in the first row; empty where there is none."""
        return next(self.columns(label), ("",))[0]

    def line(self, label: str) -> int:
        """Return the line of a value of a list block; 0 where there is none."""
        return self.lines[self.labels.index(label)] if label in self.labels and self.lines else 0


def _words(line: str) -> tuple[str, ...]:
    """Split a row; blanks inside quotes shrink to one, as RELION reads them."""
    if '"' not in line and "'" not in line and line.isascii():
        return tuple(line.split())
    return tuple(word if word else _BLANKS.sub(" ", double or single) for double, single, word in _WORD.findall(line))


class _Parser:
    """Reads the tables of a text one after the other."""

    def __init__(self, text: str, path: Path) -> None:
        self.lines, self.path, self.at, self.version = text.split("\n"), path, 0, _OLDEST

    def error(self, at: int, message: str) -> UserError:
        return UserError(f"{self.path}, line {at + 1}: {message}")

    def skip(self) -> str:
        """Move to the next line that says something and return it stripped; empty at the end of the text."""
        while self.at < len(self.lines):
            line = self.lines[self.at].strip()
            if line[:1] == "#":
                if match := _VERSION.match(line):
                    self.version = int(match[1])
            elif line and line[0] != ";":
                return line
            self.at += 1
        return ""

    def tables(self) -> Iterator[TextTable]:
        while line := self.skip():
            if not _TABLE.match(line):
                raise self.error(self.at, f"unexpected text '{line[:40]}' outside a table (a blank or comment line ends a table)")
            name, version = line[5:].strip(), self.version
            self.version = _OLDEST
            self.at += 1
            if self.skip() == "loop_":
                self.at += 1
                yield self.read_loop(name, version)
            else:
                yield self.read_list(name, version)

    def read_list(self, name: str, version: int) -> TextTable:
        labels, values, places = [], [], []
        while (line := self.skip()).startswith("_"):
            words = _words(line)
            if len(words) < 2:
                raise self.error(self.at, f"{words[0]} has no value; expected '_label value', with \"\" for an empty text")
            labels.append(words[0][1:])
            values.append(words[1])
            places.append(self.at + 1)
            self.at += 1
        return TextTable(name, tuple(labels), (tuple(values),) if values else (), tuple(places), False, version)

    def read_loop(self, name: str, version: int) -> TextTable:
        labels: list[str] = []
        while (line := self.skip()).startswith("_"):
            labels.append(line.split()[0][1:])
            self.at += 1
        if not labels:
            raise self.error(self.at - 1, "loop_ without labels; expected lines such as _rlnImageName")
        rows, places, width = [], [], len(labels)
        if line and not _TABLE.match(line):
            while self.at < len(self.lines):
                line = self.lines[self.at]
                row = _words(line)
                start = line.lstrip()
                if not row or start[:1] == "#" or (len(row) == 1 and (start.rstrip() == "loop_" or start[:5] == "data_")):
                    break
                if len(row) != width:
                    if (len(row), width) != (1, 2):
                        raise self.error(self.at, f"{len(row)} values, expected {width} (one for each label); correct this row")
                    row = (*row, "")  # RELION reads a missing second value as empty
                rows.append(row)
                self.at += 1
                places.append(self.at)
        return TextTable(name, tuple(labels), tuple(rows), tuple(places), True, version)


def parse_tables(text: str, path: Path) -> dict[str, TextTable]:
    """Read the tables of a text; of two with the same name the first counts.

    Parameters
    ----------
    text : str
        The text, with Unix line ends.
    path : Path
        Named in errors.

    Raises
    ------
    UserError
        If it is not a STAR text, with the line number.
    """
    tables: dict[str, TextTable] = {}
    for table in _Parser(text, path).tables():
        tables.setdefault(table.name, table)
    if not tables:
        raise UserError(f"{path}: no table in this file; expected at least one data_ block")
    return tables


def read_tables(path: Path, before: str = "") -> dict[str, TextTable]:
    """Read the tables of a file; `before` is a line at which reading stops.

    Raises
    ------
    UserError
        If the file is missing or is not a STAR file, with the line number.
    """
    text = load(path).decode("utf-8")
    return parse_tables(text.split(f"\n{before}", 1)[0] if before else text, path)


def count_rows(path: Path, name: str) -> int | None:
    """Count the rows of a table without parsing its values: a list block has one; None where there is no such table.

    Raises
    ------
    UserError
        If the file cannot be read or is no text.
    """
    data = load(path)
    start = re.search(rb"^[ \t]*data_" + re.escape(name.encode()) + rb"[ \t]*$", data, re.MULTILINE)
    if start is None:
        return None
    body = _HEADER.match(data, start.end())
    if body is None:
        return 1
    at = body.end()
    if at >= len(data) or data.startswith(b"data_", at):
        return 0
    end = END_OF_ROWS.search(data, at)
    return data.count(b"\n", at, len(data) if end is None else end.start()) + 1


def stored_text(text: str) -> str:
    """Return a text as a reader of the file will find it: blanks shrink to one, two quotes are the empty text.

    Raises
    ------
    UserError
        If the text cannot be expressed in a STAR file.
    """
    if _UNSTORABLE.search(text):
        raise UserError(f"the text {text!r} has a line break or control character and cannot be stored in a STAR file; remove it")
    text = _BLANKS.sub(" ", text)
    quote(text)
    return "" if text == '""' else text


@lru_cache(maxsize=1 << 16)
def _cell(text: str) -> str:
    return f"{quote(text):>10s} "


def _number_cell(text: str) -> str:
    return f"{text:>12s} "


def float_text(value: float) -> str:
    """Return a float as RELION prints it, with more digits where these would change the value."""
    text = float_format(value) % value
    return text if float(text) == value or value != value else f"{value!r:>12s}"


def table_text(table: TextTable) -> str:
    """Return the text of a table in RELION's layout; nothing for a table without rows.

    Raises
    ------
    UserError
        If a text cannot be expressed in a STAR file.
    """
    if not table.rows:
        return ""
    head = f"\n# version {table.version}\n\ndata_{table.name}\n\n"
    numeric = [label in table.numeric for label in table.labels]
    if not table.is_loop:
        column = 12 + max(10, *(len(label) + 1 for label in table.labels))
        values = [f"{value:>12s}" if wide else quote(value) for value, wide in zip(table.rows[0], numeric, strict=True)]
        pairs = zip(table.labels, values, strict=True)
        return head + "".join(f"_{label:<{column - 1}s}{value}\n" for label, value in pairs) + " \n"
    names = "".join(f"_{label} #{i} \n" for i, label in enumerate(table.labels, 1))
    cells = [_number_cell if wide else _cell for wide in numeric]
    rows = "".join(["".join([cell(text) for cell, text in zip(cells, row, strict=True)]) + "\n" for row in table.rows])
    return f"{head}loop_ \n{names}{rows} \n"


def tables_text(tables: Iterable[TextTable]) -> str:
    """Return the text of a file with these tables."""
    return "".join(map(table_text, tables))


def loop(
    name: str, labels: Sequence[str], rows: Iterable[tuple[str, ...]], version: int = RELION4, numeric: Iterable[str] = ()
) -> TextTable:
    """Make a table with many rows."""
    return TextTable(name, tuple(labels), tuple(rows), version=version, numeric=frozenset(numeric))


def list_block(name: str, values: Mapping[str, str], version: int = RELION4, numeric: Iterable[str] = ()) -> TextTable:
    """Make a list block."""
    rows = (tuple(values.values()),) if values else ()
    return TextTable(name, tuple(values), rows, is_loop=False, version=version, numeric=frozenset(numeric))
