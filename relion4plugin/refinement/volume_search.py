"""The search of one iteration in 3D as data: orientations, shifts, image sizes, and how pixels mirror."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.imaging.fourier import shift_phases
from relion4plugin.refinement.orientations import GlobalGrid, LocalLattice
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.sampling import Shifts


@dataclass(frozen=True)
class Mirror:
    """What the view from behind shows: the slice mirrored in y, pixel by pixel of a shell-sorted list of P pixels."""

    index: np.ndarray  # int32 (P,), pixel that is seen
    conjugate: np.ndarray  # float32 (P,), -1 where its conjugate is seen
    first: np.ndarray  # int32 (pairs,), pixels with kx > 0, ky > 0
    second: np.ndarray  # int32 (pairs,), their mirror images
    axis: np.ndarray  # int32, pixels on the ky = 0 line as p, on the kx = 0 line as -p - 1; without the mean

    @classmethod
    def of(cls, pixels: PixelList, count: int) -> "Mirror":
        """Find the mirror images among the first `count` pixels."""
        kx, ky = pixels.kx[:count].astype(np.int64), pixels.ky[:count].astype(np.int64)
        half = pixels.box // 2
        place = np.full((2 * half + 1, half + 1), -1, np.int32)
        place[ky + half, kx] = np.arange(count)
        on_line, seen = kx == 0, place[half - ky, kx]
        # a pixel of the Nyquist row has no partner; it lies beyond the radius, where slices are zero
        index = np.where(on_line | (seen < 0), np.arange(count), seen).astype(np.int32)
        first = np.flatnonzero((kx > 0) & (ky > 0)).astype(np.int32)
        flat, line = np.flatnonzero((kx > 0) & ((ky == 0) | (seen < 0))), np.flatnonzero(on_line & (ky != 0))
        axis = np.concatenate([flat, -line - 1]).astype(np.int32)
        return cls(index, np.where(on_line, -1.0, 1.0).astype(np.float32), first, index[first], axis)

    @property
    def width(self) -> int:
        """Columns of a folded row."""
        return len(self.first) + len(self.axis)


@dataclass(frozen=True)
class VolumeSearchPlan:
    """Everything that all particles of an iteration share, apart from the references.

    Pixel counts are prefixes of the shell-sorted list: ``coarse <= likelihood <= all``. Either `grid` or `lattice` is given.
    """

    grid: GlobalGrid | None
    lattice: LocalLattice | None
    shifts: Shifts
    pixels: PixelList
    padding: int
    current_size: int  # px
    coarse_size: int  # px
    count: int  # pixels of the fine images
    count_likelihood: int  # of them in the likelihood
    count_coarse: int  # in the coarse pass
    phases_coarse: np.ndarray  # complex64 (T, count_coarse)
    phases_fine: np.ndarray  # complex64 (T_fine, count)
    mirror: Mirror  # of `count` pixels
    mirror_coarse: Mirror
    fraction: float  # adaptive fraction
    max_significants: int  # <= 0: no cap
    halves: int  # accumulators: 2 pseudo half-sets, or 1
    gradient: bool  # accumulate residuals instead of images
    correlate: bool  # score by cross-correlation, keep only the best
    keep_shifts: bool  # images are shifted by what rounding left of their offset, and no shift is searched

    @property
    def radius(self) -> int:
        """Radius r_max in px up to which slices are known."""
        return self.current_size // 2

    @property
    def crop(self) -> int:
        """Radius R of the cropped grids in padded px."""
        return self.padding * self.radius + 1

    @property
    def n_directions(self) -> int:
        """View directions of a global search; 0 for a local one."""
        return 0 if self.grid is None else self.grid.n_directions

    def spread_directions(self, weights: np.ndarray) -> np.ndarray:
        """Give the weights of searched directions (K, D) to all that symmetry makes equal; of a local search, leave them."""
        return weights if self.grid is None else self.grid.spread(weights)


def make_volume_plan(
    pixels: PixelList,
    padding: int,
    shifts: Shifts,
    grid: GlobalGrid | None,
    lattice: LocalLattice | None,
    *,
    current_size: int,
    coarse_size: int,
    likelihood_size: int,
    fraction: float,
    max_significants: int,
    gradient: bool,
    correlate: bool = False,
    keep_shifts: bool = False,
) -> VolumeSearchPlan:
    """Plan the search for image sizes in px."""
    count, count_coarse = pixels.count(current_size), pixels.count(coarse_size)

    def phases(values: np.ndarray, n: int) -> np.ndarray:
        return shift_phases(pixels.ky[:n], pixels.kx[:n], values, pixels.box).astype(np.complex64)

    return VolumeSearchPlan(
        grid,
        lattice,
        shifts,
        pixels,
        padding,
        current_size,
        coarse_size,
        count,
        pixels.count(likelihood_size),
        count_coarse,
        phases(shifts.coarse, count_coarse),
        phases(shifts.fine, count),
        Mirror.of(pixels, count),
        Mirror.of(pixels, count_coarse),
        fraction,
        max_significants,
        2 if gradient else 1,
        gradient,
        correlate,
        keep_shifts,
    )


def crop_transforms(transforms: np.ndarray, crop: int, radius: int) -> np.ndarray:
    """Cut padded half transforms (K, M, M, M//2+1) to the cropped grids of the kernels, float32 (K, Z, Y, X, 2).

    Voxels beyond `radius` (padded px) are zero.
    """
    size = transforms.shape[1]
    axis = np.arange(-crop, crop + 1)
    along = np.arange(crop + 1)
    columns = np.minimum(along, size // 2)
    out = np.empty((len(transforms), len(axis), len(axis), len(along) + 1, 2), np.float32)
    plane = (axis[:, None] ** 2 + along**2)[None]
    for k, transform in enumerate(transforms):
        for z0 in range(0, len(axis), 64):
            z = axis[z0 : z0 + 64]
            part = transform[np.ix_(z % size, axis % size, columns)]
            part[plane + (z**2)[:, None, None] > radius**2] = 0
            out[k, z0 : z0 + 64, :, :-1, 0] = part.real
            out[k, z0 : z0 + 64, :, :-1, 1] = part.imag
        out[k, :, :, -1] = 0
    return out


def uncrop(values: np.ndarray, size: int) -> np.ndarray:
    """Put a cropped grid [z, y, x] back into a plain half grid (M, M, M//2+1) of the same type; the rest is zero."""
    crop = (len(values) - 1) // 2
    out = np.zeros((size, size, size // 2 + 1), values.dtype)
    reach = min(crop, size // 2 - 1)
    axis, width = np.arange(-reach, reach + 1), min(crop, size // 2) + 1
    inner = slice(crop - reach, crop + reach + 1)
    out[np.ix_(axis % size, axis % size, np.arange(width))] = values[inner, inner, :width]
    return out
