"""Movies of a motion correction: the rows of the input with their optics."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.jobs.motioncorr_parameters import MotionCorrParameters
from relion4plugin.jobs.star_rows import RowFile, read_rows

_NAME = "rlnMicrographMovieName"
ORIGINAL_PIXEL = "rlnMicrographOriginalPixelSize"


@dataclass(frozen=True)
class Movie:
    """One row: file, optics group, pixel size (A) and voltage (kV)."""

    name: str
    group: int
    pixel_size: float
    voltage: float


def read_movies(parameters: MotionCorrParameters) -> tuple[RowFile, list[Movie]]:
    """Read the STAR file of movies.

    Raises
    ------
    UserError
        If it has no movies, or their optics are missing or make no sense.
    """
    rows = read_rows(parameters.input_star_mics, "movies", "--i")
    names = [str(name) for name in rows.column(_NAME)]
    if not names:
        raise UserError(f"{rows.path} has no movies: give a STAR file with at least one row")
    optics = rows.others.get("optics")
    if not isinstance(optics, pd.DataFrame):
        raise UserError(f"{rows.path} has no table data_optics: import the movies with RELION 3.1 or later, or with this program")
    known = {int(row["rlnOpticsGroup"]): _constants(row, rows.path) for row in optics.to_dict("records")}
    groups = [int(group) for group in rows.numbers("rlnOpticsGroup")]
    unknown = next((group for group in groups if group not in known), None)
    if unknown is not None:
        raise UserError(f"{rows.path}: optics group {unknown} is not in data_optics; add it")
    return rows, [Movie(name, group, *known[group]) for name, group in zip(names, groups, strict=True)]


def _constants(row: Mapping[Any, Any], path: Path) -> tuple[float, float]:
    """Return pixel size and voltage of an optics group."""
    values = []
    for label, what in ((ORIGINAL_PIXEL, "A"), ("rlnVoltage", "kV")):
        value = pd.to_numeric(row.get(label, ""), errors="coerce")
        if not np.isfinite(value) or value <= 0:
            raise UserError(
                f"{path}: optics group {row['rlnOpticsGroup']} has {label} '{row.get(label, '')}', expected {what} above 0; correct it"
            )
        values.append(float(value))
    return values[0], values[1]
