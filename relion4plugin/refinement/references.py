"""References as padded Fourier transforms, and back (scale of a 2D N x N transform, also for volumes; pad * N grid)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace, fft_module
from relion4plugin.imaging.fourier import centre_sign, round_half_away
from relion4plugin.imaging.masks import mask_with_background, soft_disc
from relion4plugin.refinement.volume_transforms import fade_sphere, forward_volume, inverse_volume
from relion4plugin.refinement.voxels import ShellMeans, VoxelBlock, voxel_blocks


@dataclass(frozen=True)
class PaddedGrid:
    """Geometry of the padded half grid for one box and padding factor, in 2D (M, M//2+1) or 3D (M, M, M//2+1)."""

    box: int
    padding: int
    dimension: int = 2

    @property
    def size(self) -> int:
        """Linear size M of the padded grid."""
        return self.box * self.padding

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the half grid."""
        return (self.size,) * (self.dimension - 1) + (self.size // 2 + 1,)

    @property
    def n_shells(self) -> int:
        """Number of shells of the unpadded transform, N//2+1."""
        return self.box // 2 + 1

    def radius_squared(self) -> np.ndarray:
        """Squared radius of every voxel in padded pixels, int32 of the grid's shape."""
        m = self.size
        k2 = (np.fft.fftfreq(m, 1 / m).round() ** 2).astype(np.int32)
        squared = k2[:, None] + np.arange(m // 2 + 1, dtype=np.int32) ** 2
        return squared if self.dimension == 2 else k2[:, None, None] + squared

    def shells(self) -> np.ndarray:
        """Shell of every voxel in pixels of the unpadded transform, int32 of the grid's shape."""
        last = self.dimension * (self.size // 2) ** 2
        return round_half_away(np.sqrt(np.arange(last + 1)) / self.padding)[self.radius_squared()]

    def blocks(self, current_size: int, *, closed: bool = False) -> Iterator[VoxelBlock]:
        """Yield the voxels with r^2 < (pad * r_max)^2 (`closed`: <=), in ascending order, r_max = current_size / 2."""
        return voxel_blocks(self.size, self.padding, self.dimension, self.padding * (current_size // 2), closed=closed)

    def inside(self, current_size: int) -> np.ndarray:
        """Flat indices of all voxels of `blocks`, int64."""
        return np.concatenate([block.flat for block in self.blocks(current_size)])

    def together(self, classes: np.ndarray) -> list[np.ndarray]:
        """Split classes into groups that are transformed together: images at once, volumes one by one."""
        return [classes] if self.dimension == 2 else list(classes.reshape(-1, 1))


@lru_cache(maxsize=2)
def gridding_correction(box: int, padding: int, dimension: int = 2) -> np.ndarray:
    """Return sinc^2(r / (pad N)), the transform of the linear kernel taken radially, float32 (N,)*dimension, read-only."""
    squared = (np.arange(box) - box // 2) ** 2
    if dimension == 2:
        axis = np.arange(box) - box // 2
        values = (np.sinc(np.hypot(axis[:, None], axis[None]) / (box * padding)) ** 2).astype(np.float32)
    else:
        table = (np.sinc(np.sqrt(np.arange(3 * int(squared.max()) + 1)) / (box * padding)) ** 2).astype(np.float32)
        values = np.stack([table[z2 + (squared[:, None] + squared)] for z2 in squared])
    values.flags.writeable = False
    return values


def forward(references: Any, grid: PaddedGrid, corrected: bool, *, current_size: int = 0, workers: int | None = None) -> Any:
    """Transform references to complex64 (K, *grid.shape).

    Parameters
    ----------
    references : float32 (K, N, N) or (K, N, N, N)
    grid : PaddedGrid
    corrected : bool
        Divide by the gridding correction first: for projection, not for the gradient update.
    current_size : int
        Volumes only: frequencies beyond current_size / 2 along any axis stay zero; 0: all are computed.
    workers : int, optional
        Threads of the transforms of volumes.
    """
    xp = array_namespace(references)
    n, m = grid.box, grid.size
    if grid.dimension == 3:
        out = xp.zeros((len(references), *grid.shape), xp.complex64)
        for volume, transform in zip(references, out, strict=True):
            divided = volume / xp.asarray(gridding_correction(n, grid.padding, 3)) if corrected else volume
            forward_volume(divided, m, grid.padding * (current_size // 2), workers, transform)
        return out
    if corrected:
        references = references / xp.asarray(gridding_correction(n, grid.padding))
    padded = xp.zeros((len(references), m, m), xp.float32)
    start = m // 2 - n // 2
    padded[:, start : start + n, start : start + n] = references
    half = fft_module(xp).rfft2(padded)
    return half * (centre_sign(m, xp) / np.float32(n * n))


def inverse(transforms: Any, grid: PaddedGrid, *, current_size: int = 0, workers: int | None = None) -> Any:
    """Transform back to the padded grid and crop to references (K, N, N) or (K, N, N, N), float32.

    Parameters
    ----------
    transforms : complex64 (K, *grid.shape)
    grid : PaddedGrid
    current_size : int
        Volumes only: frequencies beyond current_size / 2 are taken as zero; 0: all count.
    workers : int, optional
        Threads of the transforms of volumes.
    """
    xp = array_namespace(transforms)
    n, m = grid.box, grid.size
    if grid.dimension == 3:
        radius = grid.padding * (current_size // 2)
        return xp.stack([inverse_volume(transform, n, m, radius, workers) for transform in transforms])
    images = fft_module(xp).irfft2(transforms * (centre_sign(m, xp) * np.float32(n * n)), s=(m, m))
    start = m // 2 - n // 2
    return xp.ascontiguousarray(images[:, start : start + n, start : start + n])


def reference_power(transforms: np.ndarray, grid: PaddedGrid, current_size: int) -> np.ndarray:
    """Return tau2 (K, N//2+1): mean |F|^2 / 2 per shell of the current references, zero beyond the current size."""
    flat = transforms.reshape(len(transforms), -1)
    power = ShellMeans(grid.n_shells, len(flat))
    for block in grid.blocks(current_size, closed=True):
        power.add(block.shell, *(np.abs(row[block.flat]) ** 2 / 2 for row in flat))
    tau2 = power.means()
    tau2[:, current_size // 2 + 1 :] = 0.0
    return tau2


def soften_corners(references: Any, edge: float = 3.0) -> Any:
    """Fade what lies outside radius N/2 to the average of what is outside.

    Parameters
    ----------
    references : float32 (K, N, N) or (K, N, N, N)
    edge : float
        Width of the fading, px.
    """
    n = references.shape[-1]
    if references.ndim == 4:
        soft = references.copy()
        for volume in soft:
            fade_sphere(volume, n / 2, edge)
        return soft
    xp = array_namespace(references)
    return mask_with_background(references, xp.asarray(soft_disc(n, n / 2, edge)))
