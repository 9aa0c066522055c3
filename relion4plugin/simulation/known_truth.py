"""The truth that simulated movies come with, for comparison with what was found in them."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import Block, read_star
from relion4plugin.simulation.movie_layout import ENDINGS

FILE, FOLDER = "truth.star", "Truth"
MOVIE = "rlnMicrographMovieName"
_ENDINGS = tuple(PurePosixPath(ending).stem for ending in ENDINGS.values())  # of EPU's movies
_SEARCHED = 6  # folders above a movie in which its session's truth may lie


def movie_key(name: str) -> str:
    """Return what movie, micrograph and truth of one exposure have in common: the name without folders and ending."""
    stem = PurePosixPath(name).stem
    return next((stem.removesuffix(ending) for ending in _ENDINGS if stem.endswith(ending)), stem)


@dataclass(frozen=True)
class KnownTruth:
    """Truth of a session.

    Attributes
    ----------
    root : Path
        Folder with truth.star and Truth/.
    movies, particles : DataFrame
        One row each per movie, and per particle or contaminant; both have a column ``key``, that of `movie_key`.
    pixel_size : float
        Of the files, A; coordinates and motions are in px of the files.
    """

    root: Path
    movies: pd.DataFrame
    particles: pd.DataFrame
    pixel_size: float

    @cached_property
    def places(self) -> dict[str, np.ndarray]:
        """Movie -> coordinates of its true particles (n, 2) in px, x first; movies without any have an empty array."""
        genuine = self.particles[self.particles["rlnSimulatedIsParticle"].astype(int) == 1]
        found = {key: rows[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy(dtype=np.float64) for key, rows in genuine.groupby("key")}
        return {key: found.get(key, np.zeros((0, 2))) for key in self.movies["key"]}

    @property
    def maps(self) -> list[Path]:
        """The densities that were simulated."""
        return sorted((self.root / FOLDER).glob("map*.mrc"))

    def motion(self, key: str) -> Path:
        """Return the file with the motion of a movie."""
        return self.root / FOLDER / f"{key}.star"


def find_truth(root: Path, movies: Iterable[Path]) -> Path | None:
    """Return the folder that holds the truth of a project: the project itself, or one above its movies; None where there is none.

    Parameters
    ----------
    root : Path
        The project.
    movies : iterable of Path
        Some of its movies; links are followed.
    """
    if (root / FILE).is_file():
        return root
    for movie in movies:
        for folder in list(movie.resolve().parents)[:_SEARCHED]:
            if (folder / FILE).is_file() and (folder / FOLDER).is_dir():
                return folder
    return None


def read_truth(root: Path) -> KnownTruth:
    """Read the truth of a session.

    Raises
    ------
    UserError
        If truth.star is missing or not that of simulated movies.
    """
    blocks = read_star(root / FILE)
    movies, particles = (_table(blocks, name, root / FILE) for name in ("movies", "particles"))
    sizes = pd.to_numeric(movies["rlnMicrographOriginalPixelSize"])
    return KnownTruth(root, movies, particles, float(sizes.iloc[0]))


def _table(blocks: dict[str, Block], name: str, path: Path) -> pd.DataFrame:
    table = blocks.get(name)
    if not isinstance(table, pd.DataFrame) or MOVIE not in table:
        raise UserError(f"{path}: no table data_{name} with {MOVIE}: expected the truth of simulated movies")
    return table.assign(key=[movie_key(str(movie)) for movie in table[MOVIE]])
