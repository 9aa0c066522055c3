"""The coarse pass of a 3D search: all orientations of a global grid by matrix products, or all points of a local lattice."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.refinement.coarse_samples import LOWEST, list_samples, log_prior
from relion4plugin.refinement.cpu_images import Workspace
from relion4plugin.refinement.kernels import volumes as kernels
from relion4plugin.refinement.kernels.central_slices import cut_slices, fold
from relion4plugin.refinement.kernels.images import shifted_rows
from relion4plugin.refinement.orientations import rotation_vectors_to_matrices
from relion4plugin.refinement.search import Batch
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.volume_pairs import Samples
from relion4plugin.refinement.volume_search import VolumeSearchPlan

TILE = 768  # slices whose four products with a chunk of images stay in the cache
SCORES = 2**24  # scores of a chunk of particles kept at once


class CoarseSearch:
    """Scores the coarse samples of particles and lists the significant ones; slices are cut once for all particles."""

    def __init__(self, plan: VolumeSearchPlan, grids: np.ndarray, model: Model, memory_limit: float, pool: ThreadPoolExecutor) -> None:
        self._plan, self._grids, self._model = plan, grids, model
        self._work = Workspace()
        count = plan.count_coarse
        self._kx, self._ky = plan.pixels.kx[:count], plan.pixels.ky[:count]
        self._inside = (self._kx**2 + self._ky**2 <= (plan.coarse_size // 2) ** 2).astype(np.float32)
        self._phase_real, self._phase_imag = (np.ascontiguousarray(part) for part in (plan.phases_coarse.real, plan.phases_coarse.imag))
        self._prior = log_prior(plan, model)
        if plan.grid is not None:
            self._matrices = plan.grid.slice_matrices().astype(np.float32)
            self._tiles = [slice(f, min(f + TILE, plan.grid.n_slices)) for f in range(0, plan.grid.n_slices, TILE)]
            bytes_needed = len(grids) * plan.grid.n_slices * plan.mirror_coarse.width * 24
            fits = bytes_needed <= memory_limit * 2**30 / 4
            self._kept = None
            if fits:
                jobs = [(k, tile) for k in range(len(grids)) for tile in self._tiles]
                cut = pool.map(lambda job: self._cut(*job), jobs)
                self._kept = {(k, tile.start): parts for (k, tile), parts in zip(jobs, cut, strict=True)}

    def _cut(self, k: int, tile: slice) -> tuple[np.ndarray, ...]:
        """Cut the slices of a tile of one class, folded into four parts (F', width), and their power folded into two."""
        plan, mirror = self._plan, self._plan.mirror_coarse
        real, imag = (np.empty((tile.stop - tile.start, plan.count_coarse), np.float32) for _ in range(2))
        cut_slices(
            self._grids[k], self._matrices[tile], self._kx, self._ky, self._inside, np.float32(plan.padding), real, imag
        )
        parts = self._fold(real, imag)
        power = 0.5 * (real**2 + imag**2)
        even, odd = (np.empty((len(real), mirror.width), np.float32) for _ in range(2))
        _fold_power(power, mirror.first, mirror.second, mirror.axis, even, odd)
        return (*parts, even, odd)

    def _fold(self, real: np.ndarray, imag: np.ndarray) -> tuple[np.ndarray, ...]:
        mirror = self._plan.mirror_coarse
        parts = tuple(np.empty((len(real), mirror.width), np.float32) for _ in range(4))
        fold(real, imag, mirror.first, mirror.second, mirror.axis, parts[0], parts[1], parts[2], parts[3])
        return parts

    def run(self, batch: Batch, real: np.ndarray, imag: np.ndarray, data_weight: np.ndarray, norm_weight: np.ndarray) -> Samples:
        """Return the significant samples of a block of particles.

        Parameters
        ----------
        real, imag, data_weight, norm_weight : float32 (n, P)
            Masked images, and the weights of their cross and norm terms.
        """
        n, n_shifts = len(batch.rows), len(self._plan.shifts.coarse)
        per_particle = n_shifts * self._samples_per_shift
        chunk = max(1, min(8, SCORES // per_particle))
        found: list[tuple[np.ndarray, ...]] = []
        for first in range(0, n, chunk):
            rows = slice(first, min(first + chunk, n))
            images = (real[rows], imag[rows], data_weight[rows], norm_weight[rows])
            scores, best = (self._global if self._plan.grid is not None else self._local)(batch.part(rows), *images)
            particle, *sample = self._select(scores.reshape(len(scores), -1), best)
            found.append((particle + first, *sample))
        return list_samples(tuple(np.concatenate([values[j] for values in found]) for j in range(5)), self._prior, n)

    @property
    def _samples_per_shift(self) -> int:
        plan = self._plan
        if plan.grid is not None:
            return 4 * len(self._grids) * plan.grid.n_slices
        assert plan.lattice is not None
        return len(self._grids) * len(plan.lattice.vectors)

    def _select(self, scores: np.ndarray, maxima: np.ndarray) -> tuple[np.ndarray, ...]:
        """Find the significant samples of some particles: particle, shift, variant, class and slice or lattice point."""
        plan, n_classes, width = self._plan, len(self._grids), self._prior.shape[2]
        fraction, cap = (plan.fraction, plan.max_significants) if not plan.correlate else (1.0, 1)
        start, index = kernels.keep_significant(scores, maxima, fraction, cap, self._work.take("room", scores.shape[1]))
        particle, n_shifts = np.repeat(np.arange(len(scores)), np.diff(start)), len(plan.shifts.coarse)
        if plan.grid is not None:
            return particle, *np.unravel_index(index, (n_shifts, 4, n_classes, width))
        k, point, shift = np.unravel_index(index, (n_classes, width, n_shifts))
        return particle, shift, np.zeros(len(index), np.int64), k, point

    def _global(
        self, batch: Batch, real: np.ndarray, imag: np.ndarray, data_weight: np.ndarray, norm_weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score a chunk of particles on the grid: float32 (n, T, 4, K * F), and each particle's maximum."""
        plan, work = self._plan, self._work
        assert plan.grid is not None
        n, n_shifts, count, width = len(batch.rows), len(plan.shifts.coarse), plan.count_coarse, plan.grid.n_slices
        n_classes, mirror = len(self._grids), plan.mirror_coarse
        rows_real, rows_imag = (work.take(part, n * n_shifts, count) for part in ("rows_real", "rows_imag"))
        shifted_rows(real, imag, data_weight, self._phase_real, self._phase_imag, rows_real, rows_imag)
        rows = self._fold(rows_real, rows_imag)
        norm = tuple(np.empty((n, mirror.width), np.float32) for _ in range(2))
        _fold_power(np.ascontiguousarray(norm_weight[:, :count]), mirror.first, mirror.second, mirror.axis, norm[0], norm[1])
        scores = work.take("scores", n, n_shifts, 4, n_classes * width)
        maxima = np.full(n, LOWEST * 2, np.float32)
        bias = np.empty((n, 2, n_classes * width), np.float32)
        for k in range(n_classes):
            for tile in self._tiles:
                parts = self._kept[k, tile.start] if self._kept is not None else self._cut(k, tile)
                first = k * width + tile.start
                mine = slice(first, first + tile.stop - tile.start)
                even, odd = norm[0] @ parts[4].T, norm[1] @ parts[5].T
                bias[:, 0, mine], bias[:, 1, mine] = even + odd, even - odd
                if plan.correlate:
                    bias[:, :, mine] = 1.0 / np.sqrt(np.maximum(bias[:, :, mine], 1e-30))
                else:
                    np.subtract(self._prior[k][:, tile], bias[:, :, mine], out=bias[:, :, mine])
                shape = (n * n_shifts, tile.stop - tile.start)
                products = [np.matmul(rows[j], parts[j].T, out=work.take(f"product{j}", *shape)) for j in range(4)]
                combine = kernels.combine_correlations if plan.correlate else kernels.combine_variants
                combine(*products, bias, batch.offset_prior, first, scores, maxima)
        return scores, maxima

    def _local(
        self, batch: Batch, real: np.ndarray, imag: np.ndarray, data_weight: np.ndarray, norm_weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Score a chunk of particles on the lattice: float32 (n, K, L, T), and each particle's maximum."""
        plan = self._plan
        assert plan.lattice is not None
        n, n_shifts, n_classes, n_points = len(batch.rows), len(plan.shifts.coarse), len(self._grids), len(plan.lattice.vectors)
        poses = euler_to_matrix(*batch.angles.T)
        matrices = (rotation_vectors_to_matrices(plan.lattice.vectors) @ poses[:, None]).reshape(-1, 3, 3).astype(np.float32)
        particle, k, point = (axis.ravel() for axis in np.indices((n, n_classes, n_points), dtype=np.int32))
        scores = self._work.take("scores", n, n_classes, n_points, n_shifts)
        start = np.arange(len(particle) + 1, dtype=np.int64) * n_shifts
        shift = np.tile(np.arange(n_shifts, dtype=np.int32), len(particle))
        mirror = plan.mirror_coarse
        kernels.score_pairs(
            np.arange(len(particle)), particle, k, particle * np.int32(n_points) + point, np.zeros(len(particle), np.int8),
            self._prior[k, 0, point], start, shift, matrices, self._grids, self._kx, self._ky, self._inside, np.float32(plan.padding),
            mirror.index, mirror.conjugate, real, imag, data_weight, norm_weight, self._phase_real, self._phase_imag,
            batch.offset_prior, 1, plan.correlate, scores.reshape(-1),
        )  # fmt: skip
        return scores, scores.reshape(n, -1).max(axis=1)


def _fold_power(values: np.ndarray, first: np.ndarray, second: np.ndarray, axis: np.ndarray, even: np.ndarray, odd: np.ndarray) -> None:
    """Fold rows of real, conjugation-invariant values (n, P): even and odd parts under the mirror, as `fold` does."""
    half = np.float32(np.sqrt(0.5))
    pairs, line = len(first), np.where(axis < 0, -axis - 1, axis)
    even[:, :pairs] = half * (values[:, first] + values[:, second])
    odd[:, :pairs] = half * (values[:, first] - values[:, second])
    even[:, pairs:] = values[:, line]
    odd[:, pairs:] = 0.0
