"""The voxels of a padded half grid within a radius, block by block, so that large volumes need no index arrays of their size."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from relion4plugin.imaging.fourier import round_half_away

BLOCK = 1 << 21  # voxels
CACHED = 1 << 21  # grids up to this many voxels keep their blocks


@dataclass(frozen=True)
class VoxelBlock:
    """Some voxels of a half grid in ascending order, with their radii in pixels of the unpadded transform."""

    flat: np.ndarray  # int64 (V,), index into the flattened grid
    shell: np.ndarray  # int32 (V,), rounded radius
    ring: np.ndarray  # int32 (V,), radius rounded down


def axis_indices(size: int, radius: int) -> tuple[np.ndarray, np.ndarray]:
    """Return indices (ascending) and frequencies with |k| <= radius along a full axis of `size`, both int64."""
    if 2 * radius + 1 >= size:
        index = np.arange(size)
    else:
        index = np.concatenate([np.arange(radius + 1), np.arange(size - radius, size)])
    return index, np.where(index < size // 2, index, index - size)


def voxel_blocks(size: int, padding: int, dimension: int, radius: int, *, closed: bool = False) -> Iterator[VoxelBlock]:
    """Yield the voxels of a half grid (size, [size,] size//2+1) inside a ball, in ascending order.

    Parameters
    ----------
    size, padding : int
        Linear size of the padded grid and its padding factor.
    dimension : int
        2 or 3; a 2D grid is one block.
    radius : int
        Padded pixels.
    closed : bool
        Include voxels exactly at the radius.
    """
    arguments = (size, padding, dimension, radius, closed)
    if dimension == 2 or (min(2 * radius + 1, size)) ** 3 // 2 <= CACHED:
        return iter(_kept_blocks(*arguments))
    return _make_blocks(*arguments)


@lru_cache(maxsize=4)
def _kept_blocks(size: int, padding: int, dimension: int, radius: int, closed: bool) -> tuple[VoxelBlock, ...]:
    return tuple(_make_blocks(size, padding, dimension, radius, closed))


def _make_blocks(size: int, padding: int, dimension: int, radius: int, closed: bool) -> Iterator[VoxelBlock]:
    half = size // 2 + 1
    row_index, row = axis_indices(size, radius)
    column = np.arange(min(radius + 1, half))
    plane_index, plane = (row_index, row) if dimension == 3 else (np.zeros(1, np.int64), np.zeros(1, np.int64))
    flat_plane = row_index[:, None] * half + column
    squared_plane = row[:, None] ** 2 + column**2
    radii = np.sqrt(np.arange(radius**2 + 1)) / padding  # a table over the squared radius: no root per voxel
    shells, rings = round_half_away(radii), np.floor(radii).astype(np.int32)
    step = max(1, BLOCK // flat_plane.size) if dimension == 3 else 1
    for first in range(0, len(plane), step):
        part = slice(first, first + step)
        squared = plane[part, None, None] ** 2 + squared_plane
        inside = squared <= radius**2 if closed else squared < radius**2
        flat = (plane_index[part, None, None] * (size * half) + flat_plane)[inside]
        squared = squared[inside]
        if len(flat):
            yield VoxelBlock(flat, shells[squared], rings[squared])


class ShellMeans:
    """Means over shells of values that come in blocks.

    Parameters
    ----------
    n_shells : int
        Shells kept; voxels beyond are left out.
    n_rows : int
        Number of quantities averaged side by side.
    """

    def __init__(self, n_shells: int, n_rows: int = 1) -> None:
        self._n = n_shells
        self._sums = np.zeros((n_rows, n_shells))
        self._counts = np.zeros(n_shells, np.int64)

    def add(self, shells: np.ndarray, *rows: np.ndarray) -> None:
        """Add the values (V,) of each row at voxels of the given shells."""
        self._counts += np.bincount(shells, minlength=self._n)[: self._n]
        for total, values in zip(self._sums, rows, strict=True):
            total += np.bincount(shells, values, minlength=self._n)[: self._n]

    def means(self) -> np.ndarray:
        """Return the means, float64 (n_rows, n_shells); 0 where a shell is empty."""
        return self._sums / np.maximum(self._counts, 1)
