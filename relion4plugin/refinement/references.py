"""References as padded Fourier transforms, and back (scale of a 2D N x N transform; pad * N grid)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace, fft_module
from relion4plugin.imaging.fourier import centre_sign, round_half_away
from relion4plugin.imaging.masks import mask_with_background, soft_disc


@dataclass(frozen=True)
class PaddedGrid:
    """Geometry of the padded half grid for one box and padding factor."""

    box: int
    padding: int

    @property
    def size(self) -> int:
        """Linear size M of the padded grid."""
        return self.box * self.padding

    def radius_squared(self) -> np.ndarray:
        """Squared radius of every voxel in padded pixels, int64 (M, M//2+1)."""
        m = self.size
        ky = np.fft.fftfreq(m, 1 / m).round().astype(np.int64)[:, None]
        return ky**2 + np.arange(m // 2 + 1)[None] ** 2

    def shells(self) -> np.ndarray:
        """Shell of every voxel in pixels of the unpadded transform, int32 (M, M//2+1)."""
        return round_half_away(np.sqrt(self.radius_squared()) / self.padding).astype(np.int32)

    def inside(self, current_size: int) -> np.ndarray:
        """Flat indices of voxels with r^2 < (pad * r_max)^2, in ascending order."""
        radius = self.padding * (current_size // 2)
        return np.flatnonzero(self.radius_squared().ravel() < radius**2)


def gridding_correction(box: int, padding: int) -> np.ndarray:
    """Return sinc^2(r / (pad N)), the transform of the bilinear kernel taken radially, float32 (N, N)."""
    axis = np.arange(box) - box // 2
    r = np.hypot(axis[:, None], axis[None])
    return (np.sinc(r / (box * padding)) ** 2).astype(np.float32)


def forward(references: Any, grid: PaddedGrid, corrected: bool) -> Any:
    """Transform references (K, N, N) to complex64 (K, M, M//2+1).

    Parameters
    ----------
    corrected : bool
        Divide by the gridding correction first: for projection, not for the gradient update.
    """
    xp = array_namespace(references)
    fft = fft_module(xp)
    n, m = grid.box, grid.size
    if corrected:
        references = references / xp.asarray(gridding_correction(n, grid.padding))
    padded = xp.zeros((len(references), m, m), xp.float32)
    start = m // 2 - n // 2
    padded[:, start : start + n, start : start + n] = references
    half = fft.rfft2(padded)
    return half * (centre_sign(m, xp) / np.float32(n * n))


def inverse(transforms: Any, grid: PaddedGrid) -> Any:
    """Transform back to the padded grid and crop to references (K, N, N), float32."""
    xp = array_namespace(transforms)
    n, m = grid.box, grid.size
    images = fft_module(xp).irfft2(transforms * (centre_sign(m, xp) * np.float32(n * n)), s=(m, m))
    start = m // 2 - n // 2
    return xp.ascontiguousarray(images[:, start : start + n, start : start + n])


def shell_means(values: np.ndarray, shells: np.ndarray, n_shells: int) -> np.ndarray:
    """Average values (..., n_voxels) over shells of the same voxels, float64 (..., n_shells); 0 where a shell is empty."""
    counts = np.maximum(np.bincount(shells, minlength=n_shells)[:n_shells], 1)
    flat = values.reshape(-1, values.shape[-1])
    sums = np.stack([np.bincount(shells, row, minlength=n_shells)[:n_shells] for row in flat])
    return (sums / counts).reshape((*values.shape[:-1], n_shells))


def reference_power(transforms: np.ndarray, grid: PaddedGrid, current_size: int) -> np.ndarray:
    """Return tau2 (K, N//2+1): mean |F|^2 / 2 per shell of the current references, zero beyond the current size."""
    radius = grid.padding * (current_size // 2)
    voxels = np.flatnonzero(grid.radius_squared().ravel() <= radius**2)
    power = np.abs(transforms.reshape(len(transforms), -1)[:, voxels]) ** 2 / 2
    shells = grid.shells().ravel()[voxels]
    tau2 = shell_means(power, shells, grid.box // 2 + 1)
    tau2[:, current_size // 2 + 1 :] = 0.0
    return tau2


def soften_corners(references: Any, edge: float = 3.0) -> Any:
    """Fade what lies outside radius N/2 to the average of what is outside."""
    xp = array_namespace(references)
    n = references.shape[-1]
    return mask_with_background(references, xp.asarray(soft_disc(n, n / 2, edge)))
