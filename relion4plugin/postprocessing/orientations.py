"""Rotations to try: an even grid, and small turns."""

import numpy as np
import scipy.spatial.transform

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.geometry.healpix import directions


def orientation_grid(order: int, operators: np.ndarray) -> np.ndarray:
    """Rotations that sample SO(3) evenly, of those that a point group makes equal only the smallest one.

    Parameters
    ----------
    order : int
        HEALPix order of the directions; in-plane angles are as far apart as the directions.
    operators : float (m, 3, 3)
        Point group of what the rotations lead to: A and ``R A`` are equal.

    Returns
    -------
    float64 (n, 3, 3)
    """
    rot, tilt = directions(order)
    n_psi = round(360 / (58.6 / 2**order))
    psi = np.arange(n_psi) * 360.0 / n_psi
    # the start of the psi circle differs between directions, so that grids do not line up along meridians
    matrices = euler_to_matrix(rot[:, None], tilt[:, None], psi[None, :] - rot[:, None]).reshape(-1, 3, 3)
    traces = np.einsum("gij,nji->ng", operators, matrices)
    return matrices[traces[:, 0] >= traces.max(axis=1) - 1e-9]


def turn(vector: np.ndarray) -> np.ndarray:
    """Rotation matrix of a rotation vector (radians)."""
    return np.asarray(scipy.spatial.transform.Rotation.from_rotvec(vector).as_matrix())
