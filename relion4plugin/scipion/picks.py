"""Coordinates of particles: those of a job as items of a Scipion set, and those of a set as files for an extraction."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pwem.objects import Coordinate, Float, SetOfCoordinates

from relion4plugin.scipion.sets import SetColumns, read_columns

if TYPE_CHECKING:
    from relion4plugin.preprocessing.picking.picks import Picks

SCORE = "rlnAutopickFigureOfMerit"
_ATTRIBUTE = f"_{SCORE}"


def append_picks(coordinates: SetOfCoordinates, micrograph: Any, picks: "Picks") -> None:
    """Append the picks of a micrograph; positions are whole pixels, the part before the point as an extraction takes it."""
    for x, y, score in zip(picks.x, picks.y, picks.score, strict=True):
        coordinate = Coordinate(x=int(x), y=int(y))
        coordinate.setMicId(micrograph.getObjId())
        coordinate.setMicName(micrograph.getMicName())
        setattr(coordinate, _ATTRIBUTE, Float(float(score)))
        coordinates.append(coordinate)


def picked_micrographs(path: str) -> tuple[int, ...]:
    """Return the ids of the micrographs that have coordinates, in order of their first one.

    Raises
    ------
    UserError
        If the set cannot be read.
    """
    return tuple(dict.fromkeys(read_columns(path, ("_micId",)).get("_micId")))


@dataclass(frozen=True, eq=False)
class Positions:
    """n coordinates of some micrographs: their own ids, positions in px and scores (None where the set has none)."""

    ids: np.ndarray
    micrographs: np.ndarray
    x: np.ndarray
    y: np.ndarray
    scores: np.ndarray | None

    def of(self, micrograph: int) -> np.ndarray:
        """Return the rows of a micrograph."""
        return np.flatnonzero(self.micrographs == micrograph)


def read_positions(path: str, micrographs: Iterable[int]) -> Positions:
    """Read the coordinates of some micrographs of a set.

    Raises
    ------
    UserError
        If the set cannot be read.
    """
    columns = read_columns(path, ("_micId", "_x", "_y", _ATTRIBUTE))
    of = np.asarray(columns.get("_micId", 0), dtype=np.int64)
    rows = np.flatnonzero(np.isin(of, list(micrographs)))
    x, y = (np.asarray(columns.get(label), dtype=np.float64)[rows] for label in ("_x", "_y"))
    return Positions(np.asarray(columns.ids, dtype=np.int64)[rows], of[rows], x, y, _scores(columns, rows))


def _scores(columns: SetColumns, rows: np.ndarray) -> np.ndarray | None:
    values = columns.columns.get(_ATTRIBUTE)
    if values is None or any(value is None for value in values):
        return None
    return np.asarray(values, dtype=np.float64)[rows]


def write_positions(folder: Path, positions: Positions, micrographs: Mapping[str, int]) -> Path:
    """Write coordinates as files of a picking job, with their ids as rlnImageId.

    Parameters
    ----------
    folder : Path
        For the files.
    positions : Positions
    micrographs : mapping
        Name of each micrograph, as the extraction knows it -> its id.

    Returns
    -------
    Path
        The list of files.
    """
    import pandas as pd

    from relion4plugin.files.coordinates import X, Y, write_coordinate_list
    from relion4plugin.files.star import write_star

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, number in micrographs.items():
        rows = positions.of(number)
        table = {X: positions.x[rows], Y: positions.y[rows], "rlnImageId": positions.ids[rows]}
        if positions.scores is not None:
            table[SCORE] = positions.scores[rows]
        path = folder / f"{Path(name).stem}.star"
        write_star(path, {"": pd.DataFrame(table)})
        files.append(path.as_posix())
    list_file = folder / "coordinates.star"
    write_coordinate_list(list_file, micrographs, files)
    return list_file
