"""Single values and statistics of columns of STAR files, for operators."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from relion4plugin.errors import UserError
from relion4plugin.files.star_text import count_rows, read_tables

if TYPE_CHECKING:
    import numpy as np

_TRIES = 3
_PAUSE = 1.0
# Labels that RELION declares as booleans.
_BOOLEAN_LABEL = re.compile(r"^rln(Is|Do|Has|CtfDataAre|JobIs|SchemeEdgeIsFork|SchemeJobHasStarted|SchemeBoolean\w*Value)")
_OPTICS = ("rlnVoltage", "rlnSphericalAberration")
_PIXEL_SIZES = ("rlnMicrographOriginalPixelSize", "rlnMicrographPixelSize", "rlnImagePixelSize")

T = TypeVar("T")


def patiently(read: Callable[[], T], sleep: Callable[[float], None]) -> T:
    """Read a file that another program may be writing at this moment: try a few times, a second apart.

    Raises
    ------
    UserError
        If it still cannot be read.
    """
    for _ in range(_TRIES - 1):
        try:
            return read()
        except UserError:
            sleep(_PAUSE)
    return read()


def split_address(text: str) -> tuple[str, str, str]:
    """Split ``file,table,label``.

    Raises
    ------
    UserError
        If there are not three parts.
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) < 3 or not all(parts[:3:2]):
        raise UserError(f"'{text}' does not name a column; expected FILE,TABLE,LABEL")
    return parts[0], parts[1], parts[2]


def read_column(path: Path, table: str, label: str) -> "np.ndarray":
    """Return a column of a table, of a list block as an array of one value.

    Returns
    -------
    array, shape (rows,)
        Of numbers, or of texts (object).

    Raises
    ------
    UserError
        If the file, the table or the column does not exist.
    """
    import numpy as np

    from relion4plugin.files.star import read_star

    blocks = read_star(path)
    name = table.removeprefix("data_")
    if name not in blocks:
        raise UserError(f"{path} has no table {name}; its tables: {', '.join(key or '(without name)' for key in blocks)}")
    block = blocks[name]
    key = label.removeprefix("_")
    if key not in block:
        raise UserError(f"{path}: table {name} has no column {key}")
    return np.array([block[key]]) if isinstance(block, dict) else block[key].to_numpy()


def numeric_column(path: Path, table: str, label: str) -> "np.ndarray":
    """Return a column of numbers as float64.

    Raises
    ------
    UserError
        If it does not exist or holds text.
    """
    column = read_column(path, table, label)
    if column.dtype.kind not in "iufb" and len(column):
        raise UserError(f"{path}: {label} of table {table} holds text; expected a column of numbers")
    return column.astype("float64")


def cell(path: Path, table: str, label: str, row: int) -> bool | float | str:
    """Return one value: a boolean for labels that RELION declares so, else a number or a text.

    Raises
    ------
    UserError
        If it does not exist.
    """
    column = read_column(path, table, label)
    if not 0 <= row < len(column):
        raise UserError(f"{path}: table {table} has {len(column)} rows, so there is no row {row} (the first is 0)")
    value = column[row]
    if column.dtype.kind not in "iufb":
        return str(value)
    number = float(value)
    return number != 0 if _BOOLEAN_LABEL.match(label.removeprefix("_")) else number


def count_images(path: Path, table: str) -> int:
    """Count the rows of a table of images; 0 where the file or the table is missing.

    A file of RELION 3.0 has one table, without name or called ``images``.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    if not path.exists():
        return 0
    rows = count_rows(path, table)
    if rows is None and count_rows(path, "optics") is None:
        rows = next((n for name in ("", "images") if (n := count_rows(path, name)) is not None), None)
    return rows or 0


def check_optics(path: Path) -> None:
    """Refuse a file of images without complete optics, as RELION does when it counts.

    Raises
    ------
    UserError
        If there is no table of optics with voltage, spherical aberration and a pixel size.
    """
    optics = read_tables(path).get("optics")
    labels = set(optics.labels) if optics is not None else set()
    missing = [label for label in _OPTICS if label not in labels]
    if missing or not labels.intersection(_PIXEL_SIZES):
        lacking = missing or ["a pixel size"]
        raise UserError(f"{path}: table optics lacks {', '.join(lacking)}, and RELION cannot count its images")


def order_index(values: "np.ndarray", number: float) -> int:
    """Return the row of the n-th smallest value, of the n-th largest for negative n.

    Raises
    ------
    UserError
        If n is 0, not finite, or beyond the number of rows.
    """
    if not math.isfinite(number) or number == 0 or abs(number) > len(values):
        raise UserError(f"the order is {number:g}, but there are {len(values)} rows; expected 1 for the smallest, -1 for the largest")
    order = values.argsort(kind="stable")
    return int(order[int(number) - 1 if number > 0 else int(number)])
