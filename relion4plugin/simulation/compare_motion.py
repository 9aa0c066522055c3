"""Motion that was found in simulated movies against the motion that they have."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.motion_star import MotionRecord, read_motion
from relion4plugin.files.star import read_star
from relion4plugin.preprocessing.motion.model import LocalMotion
from relion4plugin.simulation.known_truth import KnownTruth


@dataclass(frozen=True)
class MotionErrors:
    """Errors of n movies, px of the file; those of movies that cannot be compared are NaN.

    Attributes
    ----------
    keys : tuple of str
        Of the movies.
    whole, local : float64 (n,)
        Rms distance from the true motion, mean over all places, and what is left of it at each place.
    """

    keys: tuple[str, ...]
    whole: np.ndarray
    local: np.ndarray


def motion_errors(truth: KnownTruth, records: Mapping[str, Path]) -> MotionErrors:
    """Compare the motion of movies with the truth.

    Parameters
    ----------
    truth : KnownTruth
        The truth.
    records : mapping of str to Path
        Movie (see `known_truth.movie_key`) -> STAR file of its motion.

    Returns
    -------
    MotionErrors
    """
    pairs = [_of_movie(truth.motion(key), path) for key, path in records.items()]
    values = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return MotionErrors(tuple(records), values[:, 0], values[:, 1])


def _of_movie(known: Path, found: Path) -> tuple[float, float]:
    """Return both errors of a movie; NaN where a file is missing or frames were counted in another way."""
    try:
        record, blocks = read_motion(found), read_star(known)
    except UserError:
        return np.nan, np.nan
    tables = [blocks.get(name) for name in ("whole_motion", "particles", "local_motion")]
    whole, items, local = (table if isinstance(table, pd.DataFrame) else None for table in tables)
    if whole is None or items is None or local is None or len(whole) != len(record.shifts):
        return np.nan, np.nan
    labels = ["rlnSimulatedMotionX", "rlnSimulatedMotionY"]
    moved = whole[labels].to_numpy(dtype=np.float64) + local[labels].to_numpy(dtype=np.float64).reshape(len(whole), len(items), 2).swapaxes(
        0, 1
    )
    return shift_errors(record, items[["rlnCoordinateX", "rlnCoordinateY"]].to_numpy(dtype=np.float64), moved)


def shift_errors(record: MotionRecord, places: np.ndarray, moved: np.ndarray) -> tuple[float, float]:
    """Compare shifts of a movie with motions at some places.

    A shift undoes a motion; both are known up to a constant at each place, which is removed.

    Parameters
    ----------
    record : MotionRecord
        What was found.
    places : float (n, 2)
        Coordinates in px, x first.
    moved : float (n, frames, 2)
        True displacements in px of all frames of the movie.

    Returns
    -------
    whole, local : float
        Rms over the frames of the sum of the mean difference over all places, and over frames and places of the rest, px.
    """
    used = np.flatnonzero(np.isfinite(record.shifts[:, 0]))
    shifts = np.broadcast_to(record.shifts[used], (len(places), len(used), 2))
    if record.coefficients is not None:
        u, v = places[:, 0] / record.shape[1] - 0.5, places[:, 1] / record.shape[0] - 0.5
        times = np.arange(len(used), dtype=np.float64)
        shifts = shifts + LocalMotion.from_list(record.coefficients).shifts(u[:, None], v[:, None], times)
    difference = shifts + moved[:, used]
    difference = difference - difference.mean(axis=1, keepdims=True)
    whole = difference.mean(axis=0)
    local = difference - whole
    return tuple(float(np.sqrt(np.mean(np.sum(part**2, axis=-1)))) for part in (whole, local))  # type: ignore[return-value]
