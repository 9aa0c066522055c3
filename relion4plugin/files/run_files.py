"""Finding and reading the STAR files of a refinement's iterations, of RELION (3.1 to 5.0) and of this package."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import Block

_ITERATION = re.compile(r"_it(\d{3,})_(?:half[12]_)?(?:model|optimiser|data|sampling)\.star(?:\.gz)?$")
_KIND = re.compile(r"_(?:half[12]_)?(?:model|optimiser|data|sampling)\.star(?:\.gz)?$")


def iteration_of(path: Path) -> int:
    """Return the iteration number in a file's name.

    Raises
    ------
    UserError
        If there is none.
    """
    match = _ITERATION.search(path.name)
    if match is None:
        raise UserError(f"{path}: no iteration number in the name; expected a file such as run_it025_optimiser.star")
    return int(match[1])


def has_iteration(path: Path) -> bool:
    """Whether a file's name is that of a file of one iteration."""
    return _ITERATION.search(path.name) is not None


def existing(path: Path) -> Path | None:
    """Return the path, or its gzip form, whichever is there."""
    return next((candidate for candidate in (path, Path(f"{path}.gz")) if candidate.is_file()), None)


def sibling(path: Path, kind: str) -> Path:
    """Name another file of the same iteration: `kind` such as ``data`` or ``half1_model``."""
    return path.with_name(_KIND.sub("", path.name) + f"_{kind}.star")


def single_row(blocks: dict[str, Block], name: str, path: Path, what: str) -> dict[str, Any]:
    """Return the values of a table with one row.

    Parameters
    ----------
    blocks : dict
        Tables of the file.
    name : str
        Of the table, without ``data_``.
    path : Path
        The file, for messages.
    what : str
        What was expected, for messages, such as "a file of a 2D classification".

    Raises
    ------
    UserError
        If there is no such table.
    """
    block = blocks.get(name)
    if isinstance(block, pd.DataFrame) and len(block) == 1:
        return {str(key): value for key, value in block.iloc[0].items()}
    if not isinstance(block, dict) or not block:
        raise UserError(f"{path}: no table data_{name}; expected {what}")
    return block


def rows(blocks: dict[str, Block], name: str, required: tuple[str, ...], path: Path, what: str) -> pd.DataFrame:
    """Return a table with one or more rows; parameters as in `single_row`.

    Raises
    ------
    UserError
        If the table or one of the required columns is missing.
    """
    block = blocks.get(name)
    table = pd.DataFrame([block]) if isinstance(block, dict) and block else block
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"{path}: no table data_{name}; expected {what}")
    for label in required:
        if label not in table:
            raise UserError(f"{path}: data_{name} has no column {label}; expected {what}")
    return table


def class_counts(numbers: pd.Series, n_classes: int, data: Path) -> np.ndarray:
    """Count the particles of each class; 0 stands for a particle without a class yet.

    Parameters
    ----------
    numbers : Series
        Class numbers, from 1.
    n_classes : int
        Number of classes.
    data : Path
        Their file, for messages.

    Returns
    -------
    int (n_classes,)

    Raises
    ------
    UserError
        If a number is not one of the classes.
    """
    values = pd.to_numeric(numbers, errors="coerce").to_numpy(dtype=np.float64)
    valid = (values >= 0) & (values <= n_classes)
    if not valid.all():
        row = int(np.flatnonzero(~valid)[0])
        raise UserError(
            f"{data}: particle {row + 1} has rlnClassNumber {numbers.iloc[row]}, expected 0 to {n_classes}; give the files of one run"
        )
    return np.bincount(values.astype(np.int64), minlength=n_classes + 1)[1:]


def project_file(name: str, beside: Path, what: str) -> Path:
    """Locate a file that a STAR file names relative to the project folder.

    Parameters
    ----------
    name : str
        The name as written.
    beside : Path
        The STAR file; a file of the same name next to it comes first, so that a moved folder still works.
    what : str
        What the file is, for messages.

    Raises
    ------
    UserError
        If it is in neither place.
    """
    for candidate in (beside.parent / Path(name).name, Path.cwd() / name):
        if candidate.is_file():
            return candidate
    raise UserError(f"{beside}: {what} {name} not found in the current folder nor beside the model; start in the project folder")
