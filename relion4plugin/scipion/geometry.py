"""Poses as RELION writes them and as Scipion's 4x4 matrices hold them, for whole sets at once.

RELION: Euler angles (rot, tilt, psi) in degrees and origins in A. Scipion: homogeneous matrices whose translations are pixels;
a 2D alignment rotates by +psi and moves by the origin, a projection alignment is the inverse of the rotation by the negated angles.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def alignment_matrices(psi: Floats, origins_px: Floats) -> Floats:
    """2D alignment matrices of in-plane angles and origins.

    Parameters
    ----------
    psi : array (n,)
        rlnAnglePsi, degrees.
    origins_px : array (n, 2)
        rlnOriginX/YAngst divided by the pixel size.

    Returns
    -------
    array (n, 4, 4)
    """
    angle = np.deg2rad(np.asarray(psi, dtype=np.float64))
    matrices = np.tile(np.eye(4), (len(angle), 1, 1))
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
    matrices[:, 1, 0] = np.sin(angle)
    matrices[:, 0, 1] = -matrices[:, 1, 0]
    matrices[:, :2, 3] = origins_px
    return matrices


def alignment_poses(matrices: Floats) -> tuple[Floats, Floats]:
    """Inverse of `alignment_matrices`: psi (n,) in degrees and origins (n, 2) in pixels."""
    return np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0])), matrices[:, :2, 3].copy()


def mirrored(matrices: Floats) -> NDArray[np.bool_]:
    """Which 2D alignments contain a mirror, which RELION's poses cannot express."""
    return np.linalg.det(matrices[:, :3, :3]) < 0


def projection_matrices(angles: Floats, origins_px: Floats) -> Floats:
    """Projection alignment matrices of Euler angles and origins.

    Parameters
    ----------
    angles : array (n, 3)
        rot, tilt, psi in degrees.
    origins_px : array (n, 3)
        x, y, z origins in pixels (z is 0 for images).

    Returns
    -------
    array (n, 4, 4)
    """
    rot, tilt, psi = -np.deg2rad(np.asarray(angles, dtype=np.float64)).T
    rotation = _about_z(psi) @ _about_y(tilt) @ _about_z(rot)
    matrices = np.tile(np.eye(4), (len(rot), 1, 1))
    inverse = np.swapaxes(rotation, 1, 2)
    matrices[:, :3, :3] = inverse
    matrices[:, :3, 3] = np.einsum("nij,nj->ni", inverse, np.asarray(origins_px, dtype=np.float64))
    return matrices


def projection_poses(matrices: Floats) -> tuple[Floats, Floats]:
    """Inverse of `projection_matrices`: angles (n, 3) in degrees and origins (n, 3) in pixels."""
    rotation = np.swapaxes(matrices[:, :3, :3], 1, 2)
    origins = np.einsum("nij,nj->ni", rotation, matrices[:, :3, 3])
    tilt = np.arccos(np.clip(rotation[:, 2, 2], -1.0, 1.0))  # the solution in which RELION's tilt is not negative
    flat = np.hypot(rotation[:, 0, 2], rotation[:, 1, 2]) < 1e-7
    sign = np.where(rotation[:, 2, 2] < 0, -1.0, 1.0)
    psi = np.where(
        flat,
        np.arctan2(sign * rotation[:, 1, 0], sign * rotation[:, 0, 0]),
        np.arctan2(-rotation[:, 1, 2], -rotation[:, 0, 2]),
    )
    rot = np.where(flat, 0.0, np.arctan2(-rotation[:, 2, 1], rotation[:, 2, 0]))
    return np.rad2deg(np.stack([-rot, tilt, -psi], axis=1)), origins


def _about_z(angle: Floats) -> Floats:
    matrices = np.zeros((len(angle), 3, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
    matrices[:, 1, 0] = np.sin(angle)
    matrices[:, 0, 1] = -matrices[:, 1, 0]
    matrices[:, 2, 2] = 1.0
    return matrices


def _about_y(angle: Floats) -> Floats:
    matrices = np.zeros((len(angle), 3, 3))
    matrices[:, 0, 0] = matrices[:, 2, 2] = np.cos(angle)
    matrices[:, 0, 2] = np.sin(angle)
    matrices[:, 2, 0] = -matrices[:, 0, 2]
    matrices[:, 1, 1] = 1.0
    return matrices
