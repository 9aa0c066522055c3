"""Reading of STAR files in RELION's dialect: the file is cut into tables here, rows are parsed by pandas' C engine."""

import io
import os
import re
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files._star_dialect import END_OF_ROWS, HIDDEN, QUOTED, load

Block = pd.DataFrame | dict[str, Any]

# Labels whose values are text even where they look like numbers (a micrograph called "0012", a job option "10").
_TEXT_LABEL = re.compile(
    r"(Name\d?|NameOriginal|NameIfTrue|File\d?|TypeLabel|StatusLabel|Alias|(Reference|Ctf|Gradient)Image|GradMoment\d|Scheme|SymmetryGroup"
    r"|Coordinates|Metadata|BooleanVariable|JobMode|OperatorInput\d|OperatorOutput|OperatorType|String\w*Value|PipeLineEdge\w+|Zernike"
    r"|JobOption(Variable|Value|DefaultValue|GUILabel|HelpText|MenuOptions|FilePattern|DirectoryDefault))$"
)
_COUNTED_BYTES = 1 << 22
_NAN_WORDS = ["nan", "NaN", "NAN", "-nan"]


class _Lines:
    """A cursor over the lines of a file."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data, self.path, self.position, self.start = data, path, 0, 0

    def next(self) -> str | None:
        """Return the next line that is neither blank nor a comment, stripped; None at the end."""
        while self.position < len(self.data):
            self.start = self.position
            end = self.data.find(b"\n", self.start)
            self.position = len(self.data) if end < 0 else end + 1
            line = self.data[self.start : self.position].strip()
            if line and line[:1] not in (b"#", b";"):
                return line.decode("utf-8")
        self.start = self.position
        return None

    def push_back(self) -> None:
        """Read the current line again."""
        self.position = self.start

    def error(self, message: str, extra_lines: int = 0) -> UserError:
        """Make the error for the current line (or `extra_lines` after it)."""
        line = self.data.count(b"\n", 0, self.start) + 1 + extra_lines
        return UserError(f"{self.path}, line {line}: {message}")


def is_text_label(label: str) -> bool:
    """Tell whether values of this label are kept as text even where they look like numbers."""
    return _TEXT_LABEL.search(label) is not None


def _number_or_text(text: str) -> int | float | str:
    for convert in (int, float):
        try:
            return convert(text) if "_" not in text else text
        except ValueError:
            continue
    return text


def _is_number(text: str) -> bool:
    return not isinstance(_number_or_text(text), str)


def _tokens_per_line(rows: bytes) -> np.ndarray:
    """Count the words of each line, in pieces that keep memory small and without a Python loop over lines."""
    counts = []
    start = 0
    while start < len(rows):
        end = rows.find(b"\n", start + _COUNTED_BYTES) + 1 or len(rows)
        characters = np.frombuffer(rows, dtype=np.uint8, count=end - start, offset=start)
        inside = characters > 32
        first = inside.copy()
        first[1:] &= ~inside[:-1]
        line_ends = np.flatnonzero(characters == 10)
        if characters[-1] != 10:
            line_ends = np.append(line_ends, len(characters))
        counts.append(np.diff(np.searchsorted(np.flatnonzero(first), line_ends), prepend=0))
        start = end
    return np.concatenate(counts)


def _plain_rows(rows: bytes, labels: list[str]) -> pd.DataFrame:
    """Parse rows with one word per label."""
    first = rows.split(b"\n", 1)[0].decode("utf-8").split()
    text = {i for i, (label, word) in enumerate(zip(labels, first, strict=True)) if is_text_label(label) or not _is_number(word)}
    while True:
        kinds: dict[Hashable, type[object]] = dict.fromkeys(text, object)
        missing: dict[Any, list[str]] = {i: _NAN_WORDS for i in range(len(labels)) if i not in text}
        table = pd.read_csv(
            io.BytesIO(rows),
            sep=r"\s+",
            header=None,
            names=range(len(labels)),
            index_col=False,
            quoting=3,  # csv.QUOTE_NONE
            dtype=kinds,
            keep_default_na=False,
            na_values=missing,
            low_memory=False,
            encoding="utf-8",
        )
        # A column with a number in the first row and a word further down is text as a whole.
        mixed = {i for i in range(len(labels)) if i not in text and table[i].dtype.kind not in "iuf"}
        if not mixed:
            table.columns = pd.Index(labels)
            return table
        text |= mixed


def _hide_quoted(rows: bytes) -> tuple[bytes, list[str]]:
    """Put a numbered word without blanks in the place of each quoted text."""
    texts: list[str] = []

    def hide(match: re.Match[bytes]) -> bytes:
        texts.append((match[1] if match[1] is not None else match[2]).decode("utf-8"))
        return b"%s%d" % (HIDDEN.encode(), len(texts) - 1)

    return QUOTED.sub(hide, rows), texts


def _show_quoted(table: pd.DataFrame, texts: list[str]) -> pd.DataFrame:
    """Put the texts back; a column with a quoted value is text."""
    for label in table.columns[[dtype.kind == "O" for dtype in table.dtypes]]:
        words = [texts[int(word[1:])] if word[:1] == HIDDEN else word for word in table[label]]
        table[label] = pd.Series(words, dtype=object)
    return table


def _complete_pairs(rows: bytes, counts: np.ndarray, texts: list[str]) -> bytes:
    """Give a missing second value the empty string, as RELION does in tables of two columns."""
    lines = rows.rstrip(b"\n").split(b"\n")
    for row in np.flatnonzero(counts == 1):
        lines[row] += b" %s%d" % (HIDDEN.encode(), len(texts))
    texts.append("")
    return b"\n".join(lines) + b"\n"


def _read_rows(lines: _Lines, labels: list[str]) -> pd.DataFrame:
    end = END_OF_ROWS.search(lines.data, lines.start)
    lines.position = len(lines.data) if end is None else end.end()
    rows = lines.data[lines.start : lines.position]
    texts: list[str] = []
    if b'"' in rows or b"'" in rows:
        rows, texts = _hide_quoted(rows)
    counts = _tokens_per_line(rows)
    allowed = (1, 2) if len(labels) == 2 else (len(labels),)
    wrong = np.flatnonzero(~np.isin(counts, allowed))
    if len(wrong):
        row = int(wrong[0])
        raise lines.error(f"{counts[row]} values, expected {len(labels)} (one for each label); correct this row", row)
    if (counts < len(labels)).any():
        rows = _complete_pairs(rows, counts, texts)
    table = _plain_rows(rows, labels)
    return _show_quoted(table, texts) if texts else table


def _read_loop(lines: _Lines) -> pd.DataFrame:
    labels: list[str] = []
    while (line := lines.next()) is not None and line.startswith("_"):
        labels.append(line.split()[0][1:])
    if not labels:
        raise lines.error("loop_ without labels; expected lines such as _rlnImageName")
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise lines.error(f"label _{twice} stands twice in one table; remove one column")
    if line is None or re.fullmatch(r"data_\S*", line):
        lines.push_back()
        return pd.DataFrame({label: pd.Series(dtype=object if is_text_label(label) else float) for label in labels})
    return _read_rows(lines, labels)


def _read_list(lines: _Lines) -> dict[str, Any]:
    values: dict[str, Any] = {}
    while (line := lines.next()) is not None and line.startswith("_"):
        hidden, texts = _hide_quoted(line.encode("utf-8"))
        words = hidden.decode("utf-8").split()
        if len(words) < 2:
            raise lines.error(f"{words[0]} has no value; expected '_label value', with \"\" for an empty text")
        label, value = words[0][1:], words[1]
        if value[:1] == HIDDEN:
            values[label] = texts[int(value[1:])]
        else:
            values[label] = value if is_text_label(label) else _number_or_text(value)
    lines.push_back()
    return values


def read_star(path: str | os.PathLike[str]) -> dict[str, Block]:
    """Read all tables of a STAR file (RELION 3.0 to 5.0, Scipion, the starfile library; plain or gzip).

    Parameters
    ----------
    path : path-like
        The file.

    Returns
    -------
    dict
        Keys are the names behind ``data_`` (may be empty). A ``loop_`` becomes a DataFrame, a list block a dict; labels
        are without the leading underscore. Columns are int64, float64 or text (object); names of images, micrographs
        and files, job options and quoted values stay text even where they look like numbers. Of two tables with the
        same name the first counts, as in RELION.

    Raises
    ------
    UserError
        If the file is missing, is not a STAR file, or a row has too many or too few values; with the line number.
    """
    path = Path(path)
    lines = _Lines(load(path), path)
    blocks: dict[str, Block] = {}
    while (line := lines.next()) is not None:
        if not line.startswith("data_"):
            place = "outside a table (a blank or comment line ends a table)" if blocks else "before the first data_ block"
            raise lines.error(f"unexpected text '{line[:40]}' {place}; expected a STAR table beginning with data_")
        name = line[5:]
        content = lines.next()
        block: Block
        if content == "loop_":
            block = _read_loop(lines)
        else:
            lines.push_back()
            block = _read_list(lines)
        blocks.setdefault(name, block)
    if not blocks:
        raise UserError(f"{path}: no table in this file; expected at least one data_ block")
    return blocks
