"""Writing of STAR files in RELION's formatting."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.files._star_dialect import float_format, quote
from relion4plugin.files._star_read import Block
from relion4plugin.files.atomic import atomic_path

_ROWS_PER_CHUNK = 20_000
_SUSPECT_STARTS = frozenset(("", '"', "'", "_", "#", ";", "d", "l"))
# Indexed by negative + 2 * scientific; RELION spends the place of the sign on a digit.
_FLOAT_FORMATS = np.array(["%12.6f ", "%12.5f ", "%12.6e ", "%12.5e "], dtype=object)


def _float_formats(values: np.ndarray) -> np.ndarray:
    size = np.abs(values)
    scientific = ((size < 1e-3) & (size > 0)) | (size > 1e5)
    return _FLOAT_FORMATS[(values < 0) + 2 * scientific]


def _format_value(value: Any) -> str:
    """Format one value as RELION prints it, without the blank behind it."""
    if isinstance(value, (bool, int, np.bool_, np.integer)):
        return f"{int(value):12d}"
    if isinstance(value, (float, np.floating)):
        return float_format(float(value)) % float(value)
    return f"{quote(str(value)):>10s}"


def _all_plain(values: list[Any]) -> bool:
    """Tell by two cheap looks at a whole column that no value needs quotes (or a closer look)."""
    try:
        return " ".join(values).split() == values and _SUSPECT_STARTS.isdisjoint({value[:1] for value in values})
    except TypeError:  # not all values are text
        return False


def _column(series: pd.Series) -> tuple[list[Any], list[str]]:
    """Return the values of a column and the format of each."""
    kind = series.dtype.kind
    if kind in "iub":
        return series.tolist(), ["%12d "] * len(series)
    if kind == "f":
        values = series.to_numpy(dtype=np.float64)
        return values.tolist(), _float_formats(values).tolist()
    words = series.tolist()
    if _all_plain(words):
        return words, ["%10s "] * len(series)
    return [_format_value(value) for value in words], ["%s "] * len(series)


def _loop_text(name: str, table: pd.DataFrame) -> Iterator[str]:
    yield f"\n# version 30001\n\ndata_{name}\n\nloop_ \n"
    yield "".join(f"_{label} #{i} \n" for i, label in enumerate(table.columns, 1))
    width = table.shape[1]
    for start in range(0, len(table), _ROWS_PER_CHUNK):
        chunk = table.iloc[start : start + _ROWS_PER_CHUNK]
        # One format string for the whole chunk: a single C call prints all its values, row after row.
        values: list[Any] = [None] * (len(chunk) * width)
        formats: list[str] = [""] * (len(chunk) * width)
        for i in range(width):
            values[i::width], formats[i::width] = _column(chunk.iloc[:, i])
        formats[width - 1 :: width] = [text + "\n" for text in formats[width - 1 :: width]]
        yield "".join(formats) % tuple(values)
    yield " \n"


def _list_text(name: str, values: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n# version 30001\n\ndata_{name}\n\n"
    column = 12 + max(10, *(len(label) + 1 for label in values))
    for label, value in values.items():
        yield f"_{label:<{column - 1}s}{quote(value) if isinstance(value, str) else _format_value(value)}\n"
    yield " \n"


def _labelled(blocks: Mapping[str, Block]) -> dict[str, Block]:
    return {name: block for name, block in blocks.items() if isinstance(block, pd.DataFrame) and len(block.columns)}


def write_star(path: str | os.PathLike[str], blocks: Mapping[str, Block], comment: str = "") -> None:
    """Write tables as RELION 3.1/4.0 does (version tag 30001); the file appears whole or not at all.

    Floats are printed as ``%12.6f`` (negative ``%12.5f``; scientific where 0 < abs(v) < 0.001 or abs(v) > 100000), so
    about seven digits survive; whole numbers and booleans as ``%12d``; text in quotes only where blanks, emptiness or a
    leading mark would change its meaning.

    Parameters
    ----------
    path : path-like
        The file to write.
    blocks : mapping of str to DataFrame or dict
        Name (without ``data_``) and table. Tables without rows are left out, as RELION does; if that leaves none, their labels
        are written, as a file without any table cannot be read again.
    comment : str
        Text for the top of the file; each line becomes a ``#`` line.

    Raises
    ------
    UserError
        If the folder cannot be written, or a text cannot be expressed in a STAR file.
    """
    filled = {name: block for name, block in blocks.items() if len(block)}
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as stream:
        stream.writelines(f"# {line}\n" for line in comment.splitlines())
        for name, block in (filled or _labelled(blocks)).items():
            text = _loop_text(name, block) if isinstance(block, pd.DataFrame) else _list_text(name, block)
            stream.writelines(text)
