"""Picked particles of one micrograph, and their STAR file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star, write_star

_X, _Y, _SCORE = "rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit"


@dataclass(frozen=True)
class Picks:
    """Centres of particles, best first.

    `x` and `y` are in px of the micrograph as it is, counted from 0 at the centre of its first pixel; `score` is the figure of
    merit; `diameter` is in A, 0 where the method does not tell. All float64 (n,).
    """

    x: np.ndarray
    y: np.ndarray
    score: np.ndarray
    diameter: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    @property
    def centres(self) -> np.ndarray:
        """Positions (n, 2), x first."""
        return np.column_stack([self.x, self.y])

    def chosen(self, which: np.ndarray) -> "Picks":
        """Return some of the picks: a mask or indices."""
        return Picks(self.x[which], self.y[which], self.score[which], self.diameter[which])


def make_picks(x: np.ndarray, y: np.ndarray, score: np.ndarray, diameter: np.ndarray | float = 0.0) -> Picks:
    """Return picks sorted by score, best first; equal scores keep their order."""
    order = np.argsort(-np.asarray(score, dtype=np.float64), kind="stable")
    columns = (np.broadcast_to(np.asarray(values, dtype=np.float64), (len(order),))[order] for values in (x, y, score, diameter))
    return Picks(*columns)


def write_picks(path: Path, picks: Picks) -> None:
    """Write picks as RELION's picking program does; no picks give a table without rows.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    import pandas as pd

    path.parent.mkdir(parents=True, exist_ok=True)
    n = len(picks)
    columns = {_X: picks.x, _Y: picks.y, _SCORE: picks.score, "rlnClassNumber": np.zeros(n, dtype=np.int64), "rlnAnglePsi": np.zeros(n)}
    write_star(path, {"": pd.DataFrame(columns)})


def read_picks(path: str | Path) -> Picks:
    """Read picks of any origin: RELION's automatic or manual picking, Topaz, or coordinates alone (score 0).

    Raises
    ------
    UserError
        If there is no table with coordinates, or they are not numbers.
    """
    import pandas as pd

    if not Path(path).is_file():
        raise UserError(f"picks {path}: no such file; give a STAR file with {_X} and {_Y}")
    tables = [block for block in read_star(path).values() if isinstance(block, pd.DataFrame)]
    table = next((t for t in tables if {_X, _Y} <= set(t.columns)), None)
    if table is None:
        raise UserError(f"{path} has no picks: expected a table with the columns {_X} and {_Y}")
    try:
        values = [np.asarray(table[label], dtype=np.float64) if label in table else np.zeros(len(table)) for label in (_X, _Y, _SCORE)]
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: coordinates or scores are not numbers ({error}); correct the file") from error
    return make_picks(*values)
