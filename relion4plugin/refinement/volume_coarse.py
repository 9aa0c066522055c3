"""The coarse pass of a 3D search: all orientations of a global grid by matrix products, or all points of a local lattice."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.refinement.cpu_images import Workspace
from relion4plugin.refinement.kernels import volumes as kernels
from relion4plugin.refinement.kernels.images import shifted_rows
from relion4plugin.refinement.orientations import rotation_vectors_to_matrices
from relion4plugin.refinement.search import Batch
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.volume_pairs import Samples
from relion4plugin.refinement.volume_search import VolumeSearchPlan

TILE = 768  # slices whose four products with a chunk of images stay in the cache
SCORES = 2**24  # scores of a chunk of particles kept at once
LOWEST = np.float32(-1e30)  # log of a prior that is zero; finite, so that fast arithmetic stays defined


class CoarseSearch:
    """Scores the coarse samples of particles and lists the significant ones; slices are cut once for all particles."""

    def __init__(self, plan: VolumeSearchPlan, grids: np.ndarray, model: Model, memory_limit: float, pool: ThreadPoolExecutor) -> None:
        self._plan, self._grids, self._model = plan, grids, model
        self._work = Workspace()
        count = plan.count_coarse
        self._kx, self._ky = plan.pixels.kx[:count], plan.pixels.ky[:count]
        self._inside = (self._kx**2 + self._ky**2 <= (plan.coarse_size // 2) ** 2).astype(np.float32)
        self._phase_real, self._phase_imag = (np.ascontiguousarray(part) for part in (plan.phases_coarse.real, plan.phases_coarse.imag))
        self._prior = self._log_prior()
        if plan.grid is not None:
            self._matrices = plan.grid.slice_matrices().astype(np.float32)
            self._tiles = [slice(f, min(f + TILE, plan.grid.n_slices)) for f in range(0, plan.grid.n_slices, TILE)]
            bytes_needed = len(grids) * plan.grid.n_slices * plan.mirror_coarse.width * 24
            fits = bytes_needed <= memory_limit * 2**30 / 4
            self._kept = None
            if fits:
                jobs = [(k, tile) for k in range(len(grids)) for tile in self._tiles]
                self._kept = dict(zip(jobs_keys(jobs), pool.map(lambda job: self._cut(*job), jobs), strict=True))

    @property
    def children(self) -> int:
        """Fine orientations of a coarse one."""
        plan = self._plan
        if plan.grid is not None:
            return plan.grid.children
        assert plan.lattice is not None
        return plan.lattice.children

    def _log_prior(self) -> np.ndarray:
        """Log prior of class and orientation: float32 (K, 2, F) of a grid (front, back), (K, L) of a lattice."""
        plan, model = self._plan, self._model
        log_class = np.maximum(model.log_class, LOWEST)
        if plan.grid is None:
            assert plan.lattice is not None
            return log_class[:, None] + plan.lattice.log_prior()
        with np.errstate(divide="ignore"):
            directions = np.maximum(np.log(model.pdf_direction).astype(np.float32), LOWEST)
        directions = directions.reshape(model.n_classes, 2, -1)
        return np.repeat(directions, plan.grid.half_turn, axis=2)

    def _cut(self, k: int, tile: slice) -> tuple[np.ndarray, ...]:
        """Cut the slices of a tile of one class, folded into four parts (F', width), and their power folded into two."""
        plan, mirror = self._plan, self._plan.mirror_coarse
        real, imag = (np.empty((tile.stop - tile.start, plan.count_coarse), np.float32) for _ in range(2))
        kernels.cut_slices(
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
        kernels.fold(real, imag, mirror.first, mirror.second, mirror.axis, parts[0], parts[1], parts[2], parts[3])
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
            found.append(self._select(scores.reshape(len(scores), -1), best))
        start = np.concatenate([[0], np.cumsum(np.concatenate([values[0] for values in found]))])
        return Samples(start, *(np.concatenate([values[j] for values in found]) for j in range(1, 6)))

    @property
    def _samples_per_shift(self) -> int:
        plan = self._plan
        if plan.grid is not None:
            return 4 * len(self._grids) * plan.grid.n_slices
        assert plan.lattice is not None
        return len(self._grids) * len(plan.lattice.vectors)

    def _select(self, scores: np.ndarray, maxima: np.ndarray) -> tuple[np.ndarray, ...]:
        """List the significant samples of some particles: their number, then class, slice, variant, shift and prior."""
        plan, n_classes = self._plan, len(self._grids)
        fraction, cap = (plan.fraction, plan.max_significants) if not plan.correlate else (1.0, 1)
        start, index = kernels.keep_significant(scores, maxima, fraction, cap, self._work.take("room", scores.shape[1]))
        particle = np.repeat(np.arange(len(scores)), np.diff(start))
        if plan.grid is not None:
            width = plan.grid.n_slices
            shift, rest = np.divmod(index, 4 * n_classes * width)
            variant, rest = np.divmod(rest, n_classes * width)
            k, coarse = np.divmod(rest, width)
            prior = self._prior[k, variant >> 1, coarse]
        else:
            k, rest = np.divmod(index, self._prior.shape[1] * len(plan.shifts.coarse))
            coarse, shift = np.divmod(rest, len(plan.shifts.coarse))
            variant = np.zeros(len(index), np.int64)
            prior = self._prior[k, coarse]
        order = np.lexsort((shift, variant, coarse, k, particle))
        values = ((k, np.int32), (coarse, np.int32), (variant, np.int8), (shift, np.int32), (prior, np.float32))
        return np.diff(start), *(value[order].astype(kind) for value, kind in values)

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
            self._prior[k, point], start, shift, matrices, self._grids, self._kx, self._ky, self._inside, np.float32(plan.padding),
            mirror.index, mirror.conjugate, real, imag, data_weight, norm_weight, self._phase_real, self._phase_imag,
            batch.offset_prior, 1, plan.correlate, scores.reshape(-1),
        )  # fmt: skip
        return scores, scores.reshape(n, -1).max(axis=1)


def jobs_keys(jobs: list[tuple[int, slice]]) -> list[tuple[int, int]]:
    """Name tiles by class and first slice."""
    return [(k, tile.start) for k, tile in jobs]


def _fold_power(values: np.ndarray, first: np.ndarray, second: np.ndarray, axis: np.ndarray, even: np.ndarray, odd: np.ndarray) -> None:
    """Fold rows of real, conjugation-invariant values (n, P): even and odd parts under the mirror, as `kernels.fold` does."""
    half = np.float32(np.sqrt(0.5))
    pairs, line = len(first), np.where(axis < 0, -axis - 1, axis)
    even[:, :pairs] = half * (values[:, first] + values[:, second])
    odd[:, :pairs] = half * (values[:, first] - values[:, second])
    even[:, pairs:] = values[:, line]
    odd[:, pairs:] = 0.0
