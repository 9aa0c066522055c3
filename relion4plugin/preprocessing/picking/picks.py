"""Picked particles of one micrograph, and their STAR file."""

import dataclasses
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star, write_star

_X, _Y, _SCORE = "rlnCoordinateX", "rlnCoordinateY", "rlnAutopickFigureOfMerit"


@dataclasses.dataclass(frozen=True)
class Picks:
    """Centres of particles, best first.

    `x` and `y` are in px of the micrograph as it is, counted from 0 at the centre of its first pixel; `score` is the figure of
    merit; `diameter` is in A, 0 where the method does not tell; `reference` counts the images that picks look like from 1, 0 for none,
    and `psi` is the angle in degrees by which the image is turned, as RELION's rlnAnglePsi. All float64 (n,).
    """

    x: np.ndarray
    y: np.ndarray
    score: np.ndarray
    diameter: np.ndarray
    reference: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))
    psi: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        """Fill in what the method does not tell."""
        for name in ("reference", "psi"):
            if len(getattr(self, name)) != len(self.x):
                object.__setattr__(self, name, np.zeros(len(self.x)))

    def __len__(self) -> int:
        return len(self.x)

    @property
    def centres(self) -> np.ndarray:
        """Positions (n, 2), x first."""
        return np.column_stack([self.x, self.y])

    def chosen(self, which: np.ndarray) -> "Picks":
        """Return some of the picks: a mask or indices."""
        return Picks(*(getattr(self, field.name)[which] for field in dataclasses.fields(self)))


def make_picks(
    x: np.ndarray,
    y: np.ndarray,
    score: np.ndarray,
    diameter: np.ndarray | float = 0.0,
    reference: np.ndarray | float = 0.0,
    psi: np.ndarray | float = 0.0,
) -> Picks:
    """Return picks sorted by score, best first; equal scores keep their order."""
    order = np.argsort(-np.asarray(score, dtype=np.float64), kind="stable")
    columns = (x, y, score, diameter, reference, psi)
    return Picks(*(np.broadcast_to(np.asarray(values, dtype=np.float64), (len(order),))[order] for values in columns))


def write_picks(path: Path, picks: Picks) -> None:
    """Write picks as RELION's picking program does; no picks give a table without rows.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    import pandas as pd

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {_X: picks.x, _Y: picks.y, _SCORE: picks.score, "rlnClassNumber": picks.reference.astype(np.int64), "rlnAnglePsi": picks.psi}
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
