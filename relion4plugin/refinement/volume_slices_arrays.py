"""Central slices of cropped 3D transforms as array operations: cut by gathering eight voxels, inserted by adding to them.

The counterpart of `kernels.central_slices.cut_slice` and `insert_slice` for any array library, many slices of several maps at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.arrays import scatter_add
from relion4plugin.refinement.pixels import PixelList


@dataclass(frozen=True)
class SliceArrays:
    """The pixels of slices of one size, and where they lie in cropped grids (maps, Z, Y, X) of one shape.

    Grids are those of `volume_search.crop_transforms`: ``z, y = -R..R``, ``x = 0..R`` and a margin, zero beyond the radius.
    """

    xp: Any
    shape: tuple[int, int, int]  # Z, Y, X
    padding: int
    count: int  # pixels P
    kept: Any  # int64, those within the radius
    kx: Any  # float32, of the kept pixels, in padded px
    ky: Any

    @classmethod
    def of(cls, xp: Any, shape: tuple[int, int, int], padding: int, pixels: PixelList, count: int, radius: int) -> "SliceArrays":
        """Take the first `count` pixels of the list; those beyond `radius` (px) are zero in all slices."""
        kx, ky = pixels.kx[:count], pixels.ky[:count]
        kept = np.flatnonzero(kx * kx + ky * ky <= radius**2)
        scale = np.float32(padding)
        return cls(xp, shape, padding, count, xp.asarray(kept), xp.asarray(kx[kept] * scale), xp.asarray(ky[kept] * scale))

    def cut(self, grids: Any, which: Any, matrices: Any) -> Any:
        """Cut slices by trilinear interpolation.

        Parameters
        ----------
        grids : complex64 (maps * Z * Y * X,)
        which : int (n,), map of each slice
        matrices : float32 (n, 3, 3)

        Returns
        -------
        complex64 (n, P)
        """
        xp = self.xp
        out = xp.zeros((len(matrices), self.count), xp.complex64)
        behind, corners = self._corners(which, matrices)
        values = xp.zeros(behind.shape, xp.complex64)
        for index, weight in corners:
            values += grids[index] * weight
        out[:, self.kept] = xp.where(behind, values.conj(), values)
        return out

    def insert(self, sums: tuple[Any, Any, Any], which: Any, matrices: Any, values: Any, weights: Any) -> None:
        """Add slices to grids: the transpose of `cut`.

        Parameters
        ----------
        sums : three float32 (maps * Z * Y * X,), real parts, imaginary parts and weights, added to
        which, matrices :
            As for `cut`.
        values, weights : complex64 and float32 (n, P)
        """
        xp = self.xp
        behind, corners = self._corners(which, matrices)
        values = values[:, self.kept]
        parts = (values.real, xp.where(behind, -values.imag, values.imag), weights[:, self.kept])
        for index, share in corners:
            flat = index.ravel()
            for total, part in zip(sums, parts, strict=True):
                scatter_add(total, flat, (part * share).ravel())

    def _corners(self, which: Any, matrices: Any) -> tuple[Any, Iterator[tuple[Any, Any]]]:
        """Return which points lie at x < 0, so that their mirror image is seen, and the eight voxels of each with their weights."""
        xp, (depth, height, width) = self.xp, self.shape
        x, y, z = (matrices[:, 0, j, None] * self.kx + matrices[:, 1, j, None] * self.ky for j in range(3))
        behind = x < 0
        x, y, z = (xp.where(behind, -part, part) for part in (x, y, z))
        x0, y0, z0 = (xp.floor(part) for part in (x, y, z))
        fx, fy, fz = x - x0, y - y0, z - z0
        first = xp.asarray(which, dtype=xp.int64)[:, None] * depth
        row = (first + (depth - 1) // 2 + z0.astype(xp.int64)) * height + (height - 1) // 2 + y0.astype(xp.int64)
        base = row * width + x0.astype(xp.int64)

        def corners() -> Iterator[tuple[Any, Any]]:
            for corner in range(8):
                dx, dy, dz = corner & 1, corner >> 1 & 1, corner >> 2
                weight = (fx if dx else 1 - fx) * (fy if dy else 1 - fy) * (fz if dz else 1 - fz)
                yield base + ((dz * height + dy) * width + dx), weight

        return behind, corners()
