"""From which directions the particles of a 3D run are seen."""

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from relion4plugin.errors import UserError
from relion4plugin.files.model3d_star import Class3DResults
from relion4plugin.files.run_files import rows
from relion4plugin.files.star import read_star
from relion4plugin.geometry.healpix import directions
from relion4plugin.geometry.symmetry import point_group

_FINER = 2  # orders by which the grid of the search exceeds that of the answer


def unit_vectors(rot: Any, tilt: Any) -> np.ndarray:
    """Directions of view in the frame of the map, float64 (n, 3) as (x, y, z), of angles in degrees."""
    a, b = np.deg2rad(np.asarray(rot, dtype=np.float64)), np.deg2rad(np.asarray(tilt, dtype=np.float64))
    return np.stack([np.sin(b) * np.cos(a), np.sin(b) * np.sin(a), np.cos(b)], axis=-1)


@lru_cache(maxsize=4)
def _tree(order: int) -> cKDTree:
    return cKDTree(unit_vectors(*directions(order)))


def pixels_of(vectors: np.ndarray, order: int) -> np.ndarray:
    """HEALPix pixels (NESTED) in which unit vectors lie.

    The nearest centre of a grid that is finer by two orders decides, so a vector close to a border may fall on its other side.

    Parameters
    ----------
    vectors : float (..., 3)
        Unit vectors.
    order : int
        Of the grid, 0 to 6.

    Returns
    -------
    int64 (...)
    """
    return _tree(order + _FINER).query(vectors)[1] >> (2 * _FINER)


def direction_counts(rot: Any, tilt: Any, weight: Any = None, order: int = 3, symmetry: str = "C1") -> np.ndarray:
    """Count directions of view per pixel of a HEALPix grid, with all directions that the symmetry makes equivalent.

    Parameters
    ----------
    rot, tilt : float (n,)
        Degrees.
    weight : float (n,), optional
        What each direction counts; 1 if not given.
    order : int
        Of the grid, 0 to 4: 768 pixels of 7.3 degrees at order 3.
    symmetry : str
        Point group. Each of its m equivalent directions counts 1/m.

    Returns
    -------
    float64 (12 * 4^order,)
        The sum is that of the weights.

    Raises
    ------
    UserError
        If there is no such point group.
    """
    operators, fine = point_group(symmetry), order + _FINER
    per_fine = np.bincount(_tree(fine).query(unit_vectors(rot, tilt))[1], weight, minlength=12 * 4**fine).astype(np.float64)
    if len(operators) == 1:
        return per_fine.reshape(-1, 4**_FINER).sum(axis=1)
    seen = np.flatnonzero(per_fine)  # a few thousand pixels at most stand for any number of particles
    centres = unit_vectors(*directions(fine))[seen]
    counts = np.zeros(12 * 4**order)
    for operator in operators:
        counts += np.bincount(pixels_of(centres @ operator.T, order), per_fine[seen], minlength=len(counts))
    return counts / len(operators)


def particle_directions(results: Class3DResults, class_number: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Angles rot and tilt (degrees) of the particles that have a class, or of one class.

    Raises
    ------
    UserError
        If the particles have no angles.
    """
    particles = rows(read_star(results.data_star), "particles", ("rlnAngleRot", "rlnAngleTilt"), results.data_star, "poses of a 3D run")
    numbers = particles.get("rlnClassNumber", pd.Series(np.ones(len(particles), dtype=np.int64)))
    chosen = particles[numbers > 0 if class_number is None else numbers == class_number]
    return chosen["rlnAngleRot"].to_numpy(dtype=np.float64), chosen["rlnAngleTilt"].to_numpy(dtype=np.float64)


def direction_prior(results: Class3DResults, class_number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Directions of the sampling (rot and tilt in degrees) and the model's probability of each; None where not written.

    Raises
    ------
    UserError
        If the model and the sampling file disagree on the number of directions.
    """
    if results.sampling_star is None:
        return None
    grid = read_star(results.sampling_star).get("sampling_directions")
    prior = read_star(results.model_star).get(f"model_pdf_orient_class_{class_number}")
    if not isinstance(grid, pd.DataFrame) or not isinstance(prior, pd.DataFrame):
        return None
    if len(grid) != len(prior):
        name, other = results.model_star, results.sampling_star.name
        raise UserError(f"{name}: {len(prior)} directions, but {other} has {len(grid)}; give the files of one run")
    rot, tilt, share = (column.to_numpy(dtype=np.float64) for column in (grid["rlnAngleRot"], grid["rlnAngleTilt"], prior.iloc[:, 0]))
    return rot, tilt, share
