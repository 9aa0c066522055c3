"""Central slices of padded 2D references: bilinear gather, and its exact transpose.

The plan (which four voxels, with which weights) depends only on angles and image size, so it is made once per
iteration and shared by all classes.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.refinement.pixels import PixelList


@dataclass(frozen=True)
class SlicePlan:
    """Where the pixels of R slices lie on a padded half grid of shape (M, M//2+1), M = pad * N."""

    size: int  # M
    corners: np.ndarray  # int32 (R, P, 4), flat index of the four voxels
    weights: np.ndarray  # float32 (R, P, 4), zero where the voxel is outside the radius
    sign: np.ndarray  # float32 (R, P), -1 where the conjugate voxel was taken

    @property
    def n_voxels(self) -> int:
        """Number of voxels of the half grid."""
        return self.size * (self.size // 2 + 1)


def make_slice_plan(psi: np.ndarray, pixels: PixelList, size: int, padding: int, reference_size: int = 0) -> SlicePlan:
    """Plan the slices at angles `psi` (deg) for images of `size` px, from a reference known to `reference_size` (0: the same).

    The image-frame point (kx, ky) is the reference-frame point ``A^T (kx, ky)`` with ``A = [[c, s], [-s, c]]``.
    """
    grid = padding * pixels.box
    count = pixels.count(size)
    kx, ky = pixels.kx[:count].astype(np.float64), pixels.ky[:count].astype(np.float64)
    angle = np.deg2rad(psi)[:, None]
    x = padding * (np.cos(angle) * kx - np.sin(angle) * ky)
    y = padding * (np.sin(angle) * kx + np.cos(angle) * ky)
    flip = x < 0
    x, y = np.where(flip, -x, x), np.where(flip, -y, y)
    x0, y0 = np.floor(x), np.floor(y)
    fx, fy = x - x0, y - y0
    radius = padding * (max(size, reference_size) // 2)
    corners, weights = [], []
    for dy in (0, 1):
        for dx in (0, 1):
            cx, cy = x0 + dx, y0 + dy
            weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy)
            weight = np.where(cx**2 + cy**2 <= radius**2, weight, 0.0)
            column = np.minimum(cx, grid // 2).astype(np.int64)
            corners.append(np.mod(cy.astype(np.int64), grid) * (grid // 2 + 1) + column)
            weights.append(weight)
    outside = kx**2 + ky**2 > (size // 2) ** 2
    stacked = np.stack(weights, axis=-1)
    stacked[:, outside] = 0.0
    return SlicePlan(
        grid, np.stack(corners, axis=-1).astype(np.int32), stacked.astype(np.float32), np.where(flip, -1.0, 1.0).astype(np.float32)
    )


def extract_slices(transforms: Any, plan: SlicePlan, xp: Any) -> Any:
    """Gather slices of all classes.

    Parameters
    ----------
    transforms : complex64 (K, M, M//2+1)
        Padded transforms on the device of `xp`.

    Returns
    -------
    complex64 (K, R, P)
    """
    flat = transforms.reshape(len(transforms), -1)
    corners, weights = xp.asarray(plan.corners), xp.asarray(plan.weights)
    slices = flat[:, corners[..., 0]] * weights[..., 0]
    for corner in range(1, 4):
        slices += flat[:, corners[..., corner]] * weights[..., corner]
    slices.imag *= xp.asarray(plan.sign)
    return slices


def insertion_matrix(plan: SlicePlan, xp: Any, sparse: Any) -> Any:
    """Return the transpose of the gather as a CSR matrix, float32 (M * (M//2+1), R * P)."""
    columns = np.repeat(np.arange(plan.sign.size), 4)
    matrix = sparse.csr_matrix(
        (xp.asarray(plan.weights.ravel()), (xp.asarray(plan.corners.ravel()), xp.asarray(columns))), shape=(plan.n_voxels, plan.sign.size)
    )
    return matrix


def make_hermitian(grids: Any) -> None:
    """Add Friedel pairs on the kx = 0 column, in place, so that data and weight there are consistent.

    Parameters
    ----------
    grids : (..., M, M//2+1)
        Complex data or real weights.
    """
    column = grids[..., 0]
    mirrored = column[..., (-np.arange(column.shape[-1])) % column.shape[-1]]
    grids[..., 0] = column + mirrored.conj()
