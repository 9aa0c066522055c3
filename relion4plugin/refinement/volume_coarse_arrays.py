"""The coarse pass of a 3D search as array operations: matrix products over a global grid, or all points of a local lattice."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from relion4plugin.arrays import to_numpy
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.refinement.coarse_samples import list_samples, log_prior, significance_thresholds
from relion4plugin.refinement.orientations import rotation_vectors_to_matrices
from relion4plugin.refinement.search import Batch
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.volume_pairs import Samples
from relion4plugin.refinement.volume_search import VolumeSearchPlan
from relion4plugin.refinement.volume_slices_arrays import SliceArrays

BYTES_PER_SCORE = 48  # with the sorted copies that a threshold needs
BYTES_PER_VOXEL = 160  # of a pixel of a slice while it is cut
TINY = np.float32(1e-30)


class ArrayCoarseSearch:
    """Scores all coarse samples of particles and lists the significant ones, on the device of `xp`.

    Parameters
    ----------
    grids : complex64 (K * Z * Y * X,), cropped references on the device
    slices : SliceArrays, of the coarse pixels
    room : float, bytes for each of: kept slices, scores, slices being cut
    """

    def __init__(self, xp: Any, plan: VolumeSearchPlan, grids: Any, slices: SliceArrays, model: Model, room: float) -> None:
        self._xp, self._plan, self._grids, self._slices, self._room = xp, plan, grids, slices, room
        self._n_classes = model.n_classes
        self._host_prior = log_prior(plan, model)
        self._prior = xp.asarray(self._host_prior)
        self._phases = xp.asarray(plan.phases_coarse)
        self._tile = max(1, int(room / (BYTES_PER_VOXEL * plan.count_coarse)))
        mirror = plan.mirror_coarse
        self._first, self._second = xp.asarray(mirror.first), xp.asarray(mirror.second)
        self._flat, self._line = xp.asarray(mirror.axis[mirror.axis >= 0]), xp.asarray(-mirror.axis[mirror.axis < 0] - 1)
        self._kept: list[tuple[int, slice, tuple[Any, ...]]] | None = None
        if plan.grid is not None:
            self._matrices = plan.grid.slice_matrices().astype(np.float32)
            if self._n_classes * plan.grid.n_slices * mirror.width * 24 <= room:
                self._kept = list(self._cut_tiles())

    def run(self, batch: Batch, images: Any, data_weight: Any, norm_weight: Any) -> Samples:
        """Return the significant samples of a batch, on the host.

        Parameters
        ----------
        images : complex64 (n, P) on the device, P at least the coarse pixels
        data_weight, norm_weight : float32 (n, P), weights of their cross and norm terms
        """
        xp, plan, n, count = self._xp, self._plan, len(batch.rows), self._plan.count_coarse
        cap, fraction = (1, 1.0) if plan.correlate else (plan.max_significants, plan.fraction)
        variants = 1 if plan.grid is None else 4
        per_particle = len(plan.shifts.coarse) * variants * self._n_classes * self._host_prior.shape[2]
        size = max(1, int(self._room / (BYTES_PER_SCORE * per_particle)))
        score = self._local if plan.grid is None else self._global
        found: list[tuple[np.ndarray, ...]] = []
        for first in range(0, n, size):
            rows = slice(first, min(first + size, n))
            scores = score(batch.part(rows), images[rows, :count], data_weight[rows, :count], norm_weight[rows, :count])
            flat = scores.reshape(len(scores), -1)
            keep = flat >= significance_thresholds(xp, flat, fraction, cap)[:, None]
            indices = [to_numpy(values) for values in xp.nonzero(keep.reshape(scores.shape))]
            found.append((indices[0] + first, *indices[1:]))
        together = tuple(np.concatenate([part[j] for part in found]) for j in range(5))
        return list_samples(together, self._host_prior, n)

    def _cut_tiles(self) -> Iterator[tuple[int, slice, tuple[Any, ...]]]:
        """Cut the slices of the grid tile by tile: class, slices, their four folded parts, and their power folded into two."""
        xp, n_slices = self._xp, len(self._matrices)
        for k in range(self._n_classes):
            for first in range(0, n_slices, self._tile):
                tile = slice(first, min(first + self._tile, n_slices))
                matrices = xp.asarray(self._matrices[tile])
                values = self._slices.cut(self._grids, xp.full(len(matrices), k), matrices)
                power = (values.real**2 + values.imag**2) * 0.5
                yield k, tile, (*self._fold(values), *self._fold_real(power))

    def _fold(self, values: Any) -> tuple[Any, Any, Any, Any]:
        """Split complex rows (m, P) into real and imaginary parts that are even and odd under the mirror ``ky -> -ky``.

        The mirror leaves pixels with ky = 0 and conjugates those with kx = 0. Products of parts are those of whole rows.
        """
        even_real, odd_real = self._fold_real(values.real)
        xp, imag, half = self._xp, values.imag, np.float32(np.sqrt(0.5))
        one, other = imag[:, self._first], imag[:, self._second]
        even_imag = xp.concatenate([(one + other) * half, imag[:, self._flat]], axis=1)
        odd_imag = xp.concatenate([(one - other) * half, imag[:, self._line]], axis=1)
        return even_real, odd_real, even_imag, odd_imag

    def _fold_real(self, values: Any) -> tuple[Any, Any]:
        """Split rows (m, P) that conjugation does not change into even and odd parts."""
        half = np.float32(np.sqrt(0.5))
        one, other = values[:, self._first], values[:, self._second]
        even = self._xp.concatenate([(one + other) * half, values[:, self._flat], values[:, self._line]], axis=1)
        return even, (one - other) * half

    def _global(self, batch: Batch, images: Any, data_weight: Any, norm_weight: Any) -> Any:
        """Score particles on the grid, float32 (n, T, 4, K, F)."""
        xp, plan, n = self._xp, self._plan, len(images)
        n_shifts, width = len(self._phases), self._prior.shape[2]
        rows = self._fold(((images * data_weight)[:, None] * self._phases).reshape(n * n_shifts, -1))
        norm_even, norm_odd = self._fold_real(norm_weight)
        offset_prior = xp.asarray(batch.offset_prior)[:, :, None]
        scores = xp.empty((n, n_shifts, 4, self._n_classes, width), xp.float32)
        for k, tile, parts in self._kept if self._kept is not None else self._cut_tiles():
            re, ro, ie, io = ((row @ part.T).reshape(n, n_shifts, -1) for row, part in zip(rows, parts[:4], strict=True))
            even, odd = norm_even @ parts[4].T, norm_odd @ parts[5].T
            real_front, imag_front, real_back, imag_back = re + ro, ie + io, re - ro, ie - io
            products = (real_front + imag_front, real_front - imag_front, real_back + imag_back, real_back - imag_back)
            for variant, product in enumerate(products):
                behind = variant >> 1
                norm = even - odd if behind else even + odd
                if plan.correlate:
                    scores[:, :, variant, k, tile] = product / xp.sqrt(xp.maximum(norm, TINY))[:, None]
                else:
                    scores[:, :, variant, k, tile] = product + (self._prior[k, behind, tile] - norm)[:, None] + offset_prior
        return scores

    def _local(self, batch: Batch, images: Any, data_weight: Any, norm_weight: Any) -> Any:
        """Score particles on the lattice, float32 (n, T, 1, K, L)."""
        xp, plan, n = self._xp, self._plan, len(images)
        assert plan.lattice is not None
        n_points, n_shifts = len(plan.lattice.vectors), len(self._phases)
        turns = rotation_vectors_to_matrices(plan.lattice.vectors)
        poses = euler_to_matrix(*batch.angles.T)
        offset_prior = xp.asarray(batch.offset_prior)
        scores = xp.empty((n, n_shifts, 1, self._n_classes, n_points), xp.float32)
        for i in range(n):
            matrices = xp.asarray((turns @ poses[i]).astype(np.float32))
            rows = images[i] * data_weight[i] * self._phases  # (T, P)
            rows[:, 0] = 0
            for k in range(self._n_classes):
                for first in range(0, n_points, self._tile):
                    tile = slice(first, first + self._tile)
                    slices = self._slices.cut(self._grids, xp.full(len(matrices[tile]), k), matrices[tile])
                    power = 0.5 * (slices.real[:, 1:] ** 2 + slices.imag[:, 1:] ** 2)
                    product, norm = rows.real @ slices.real.T + rows.imag @ slices.imag.T, power @ norm_weight[i, 1:]
                    if plan.correlate:
                        scores[i, :, 0, k, tile] = product / xp.sqrt(xp.maximum(norm, TINY))
                    else:
                        scores[i, :, 0, k, tile] = product + (self._prior[k, 0, tile] - norm) + offset_prior[i, :, None]
        return scores
