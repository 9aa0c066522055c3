"""Euler angles (rot, tilt, psi) in degrees and rotation matrices.

``A = Rz(psi) Ry(tilt) Rz(rot)`` (ZYZ, passive): the image-frame point (x, y, 0) is the map-frame point ``A^T (x, y, 0)``,
and the view direction in the map frame is the third row of A (the 3DEM convention of Heymann et al. 2005).
"""

from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace

_POLE = 16 * float(np.finfo(np.float32).eps)


def euler_to_matrix(rot: Any, tilt: Any, psi: Any) -> Any:
    """Rotation matrices of Euler angles.

    Parameters
    ----------
    rot, tilt, psi : float or array
        Angles in degrees, broadcast against each other.

    Returns
    -------
    float64 (..., 3, 3)
    """
    xp = array_namespace(rot, tilt, psi)
    a, b, g = xp.broadcast_arrays(*(xp.deg2rad(xp.asarray(angle, dtype=xp.float64)) for angle in (rot, tilt, psi)))
    ca, sa, cb, sb, cg, sg = xp.cos(a), xp.sin(a), xp.cos(b), xp.sin(b), xp.cos(g), xp.sin(g)
    rows = [
        [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
        [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
        [sb * ca, sb * sa, cb],
    ]
    return xp.stack([xp.stack(row, axis=-1) for row in rows], axis=-2)


def matrix_to_euler(matrices: Any) -> tuple[Any, Any, Any]:
    """Euler angles of rotation matrices.

    At the poles, where only rot + psi or psi - rot is defined, rot is 0.

    Parameters
    ----------
    matrices : float (..., 3, 3)
        Rotation matrices.

    Returns
    -------
    rot, tilt, psi : float64 (...)
        Degrees; tilt in [0, 180], rot and psi in (-180, 180].
    """
    xp = array_namespace(matrices)
    m = xp.asarray(matrices, dtype=xp.float64)
    sin_tilt = xp.hypot(m[..., 0, 2], m[..., 1, 2])
    regular = sin_tilt > _POLE
    rot = xp.where(regular, xp.arctan2(m[..., 2, 1], m[..., 2, 0]), 0.0)
    tilt = xp.where(regular, xp.arctan2(sin_tilt, m[..., 2, 2]), xp.where(m[..., 2, 2] > 0, 0.0, np.pi))
    up = xp.where(m[..., 2, 2] > 0, 1.0, -1.0)
    at_pole = xp.arctan2(-m[..., 1, 0] * up, m[..., 0, 0] * up)
    psi = xp.where(regular, xp.arctan2(m[..., 1, 2], -m[..., 0, 2]), at_pole)
    return xp.rad2deg(rot), xp.rad2deg(tilt), xp.rad2deg(psi)


def random_rotations(n: int, rng: np.random.Generator) -> np.ndarray:
    """Rotation matrices drawn uniformly from SO(3).

    Parameters
    ----------
    n : int
        How many.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    float64 (n, 3, 3)
    """
    rot, psi = rng.uniform(-180.0, 180.0, (2, n))
    tilt = np.rad2deg(np.arccos(rng.uniform(-1.0, 1.0, n)))
    return euler_to_matrix(rot, tilt, psi)


def angular_distance(a: Any, b: Any) -> Any:
    """Angle of the rotation that turns one orientation into the other.

    Parameters
    ----------
    a, b : float (..., 3, 3)
        Rotation matrices, broadcast against each other.

    Returns
    -------
    float64 (...)
        Degrees in [0, 180].
    """
    xp = array_namespace(a, b)
    # the norm of the difference stays accurate for small angles, where the arc cosine of the trace does not
    difference = xp.asarray(a, dtype=xp.float64) - xp.asarray(b, dtype=xp.float64)
    norm = xp.sqrt(xp.sum(difference * difference, axis=(-2, -1)))
    return xp.rad2deg(2 * xp.arcsin(xp.clip(norm / np.sqrt(8.0), 0.0, 1.0)))
