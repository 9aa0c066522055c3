"""The expectation step with 3D references on the CPU: matrix products over one grid, then kernels that share slices.

Particles are dealt to lanes; a lane works through its particles block by block and has its own back-projection grids. The number
of lanes depends on the work and the memory limit, never on the number of threads, so results do not either.
"""

from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from relion4plugin.imaging.fourier import shift_phases
from relion4plugin.refinement.cpu_images import CpuImages, Workspace
from relion4plugin.refinement.images import ImageModel, ImageSource, make_weights
from relion4plugin.refinement.kernels import volumes as kernels
from relion4plugin.refinement.kernels.images import power_per_shell
from relion4plugin.refinement.particles import scale_counts
from relion4plugin.refinement.search import Batch, Expectation, ParticleSums
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.volume_coarse import CoarseSearch, Samples
from relion4plugin.refinement.volume_pairs import Pairs
from relion4plugin.refinement.volume_posterior import FineSamples, Posterior, orientation_children
from relion4plugin.refinement.volume_search import VolumeSearchPlan, crop_transforms, uncrop

MAX_LANES = 8
BLOCK = 128  # particles of a lane at a time
ROOM = 0.25  # share of the memory limit for the samples of all lanes' blocks
BYTES_PER_SAMPLE = 16
BYTES_PER_PIXEL = 64  # what a particle of a block keeps per pixel


@dataclass(frozen=True)
class _Step:
    """What all lanes of one expectation step share."""

    plan: VolumeSearchPlan
    grids: np.ndarray  # float32 (K, Z, Y, X, 2)
    coarse: CoarseSearch
    model: Model
    scale_count: np.ndarray  # int64 (K,)
    sums: ParticleSums
    kx: np.ndarray  # float32 (P,)
    ky: np.ndarray
    inside: np.ndarray  # float32 (P,)
    phase_real: np.ndarray  # float32 (T_fine, P)
    phase_imag: np.ndarray


@dataclass
class _Lane:
    """Accumulators of one lane."""

    data: np.ndarray  # float32 (halves, K, Z, Y, X, 2)
    weight: np.ndarray  # float32 (halves, K, Z, Y, X)
    class_weight: np.ndarray  # float64 (K,)
    direction_weight: np.ndarray  # float64 (K, D)
    noise: np.ndarray  # float64 (n_optics, shells)


@dataclass(frozen=True)
class _Block:
    """Images of a block of particles at the first P pixels, float32 (n, P)."""

    batch: Batch
    real: np.ndarray  # masked
    imag: np.ndarray
    insert_real: np.ndarray  # unmasked, weighted
    insert_imag: np.ndarray
    insert_weight: np.ndarray
    model_ctf: np.ndarray
    data_weight: np.ndarray
    norm_weight: np.ndarray
    power: np.ndarray  # float64 (n, shells), of the masked images, all shells


class VolumeCpuExpectation:
    """Runs expectation steps with 3D references by numpy and numba."""

    def __init__(self, source: ImageSource, model: ImageModel, settings: RefinementSettings) -> None:
        self._model, self._settings = model, settings
        self._pool = ThreadPoolExecutor(max(settings.threads, 1))
        self._images = CpuImages(source, model, settings, Workspace())

    def close(self) -> None:
        """End the worker threads."""
        self._pool.shutdown()

    def run(
        self, batch: Batch, transforms: np.ndarray, plan: VolumeSearchPlan, model: Model, advance: Callable[[int], object]
    ) -> Expectation:
        """Expect over a batch.

        Parameters
        ----------
        transforms : complex64 (K, M, M, M//2+1)
            Gridding-corrected padded references.
        """
        n, n_classes, size = len(batch.rows), len(transforms), transforms.shape[1]
        step = self._step(transforms, plan, model, n)
        lanes = self._lanes(step, n)
        parts = np.array_split(np.arange(n), len(lanes))
        watched = _Stoppable(advance)
        jobs = [self._pool.submit(self._work_through, step, lane, batch, part, watched) for lane, part in zip(lanes, parts, strict=True)]
        try:
            for job in jobs:
                job.result()
        except BaseException:
            watched.stopped = True
            raise
        first = lanes[0]
        for other in lanes[1:]:
            for name in ("data", "weight", "class_weight", "direction_weight", "noise"):
                getattr(first, name)[...] += getattr(other, name)
        del lanes[1:]
        data = np.empty((plan.halves, n_classes, size, size, size // 2 + 1), np.complex64)
        weight = np.empty(data.shape, np.float32)
        for h in range(plan.halves):
            for k in range(n_classes):
                data[h, k] = uncrop(first.data[h, k].view(np.complex64)[..., 0], size)
                weight[h, k] = uncrop(first.weight[h, k], size)
        return Expectation(step.sums, first.class_weight, first.noise, data, weight, plan.spread_directions(first.direction_weight))

    def _step(self, transforms: np.ndarray, plan: VolumeSearchPlan, model: Model, n: int) -> _Step:
        pixels, count = plan.pixels, plan.count
        grids = crop_transforms(transforms, plan.crop, plan.padding * plan.radius)
        kx, ky = pixels.kx[:count], pixels.ky[:count]
        inside = (kx * kx + ky * ky <= plan.radius**2).astype(np.float32)
        coarse = CoarseSearch(plan, grids, model, self._settings.memory_limit, self._pool)
        phases = plan.phases_fine
        return _Step(
            plan, grids, coarse, model, scale_counts(model, plan), ParticleSums.empty(n), kx, ky, inside,
            np.ascontiguousarray(phases.real), np.ascontiguousarray(phases.imag),
        )  # fmt: skip

    def _lanes(self, step: _Step, n: int) -> list[_Lane]:
        """Make as many lanes as the particles are worth and the memory limit allows, at least one."""
        plan, n_classes = step.plan, len(step.grids)
        shape = (plan.halves, n_classes, *step.grids.shape[1:4])
        bytes_each = 12 * int(np.prod(shape, dtype=np.int64))
        wanted = 2 if n < 1024 else 4 if n < 4096 else MAX_LANES
        count = max(1, min(wanted, n, int(self._settings.memory_limit * 2**30 / 2 / bytes_each)))
        n_optics, n_shells = step.model.sigma2_noise.shape
        return [
            _Lane(
                np.zeros((*shape, 2), np.float32),
                np.zeros(shape, np.float32),
                np.zeros(n_classes),
                np.zeros((n_classes, plan.n_directions)),
                np.zeros((n_optics, n_shells)),
            )
            for _ in range(count)
        ]

    def _work_through(self, step: _Step, lane: _Lane, batch: Batch, part: np.ndarray, advance: Callable[[int], object]) -> None:
        """Take a lane's particles through the search, block by block."""
        share = self._settings.memory_limit * 2**30 * ROOM / MAX_LANES
        size = int(np.clip(share / (BYTES_PER_PIXEL * step.plan.count), 1, BLOCK))
        budget = int(max(share / BYTES_PER_SAMPLE, 4096))
        for first in range(0, len(part), size):
            rows = slice(int(part[first]), int(part[min(first + size, len(part)) - 1]) + 1)
            block = self._prepare(step, batch.part(rows))
            coarse = step.coarse.run(block.batch, block.real, block.imag, block.data_weight, block.norm_weight)
            children = orientation_children(step.plan) * step.plan.shifts.children
            done = 0
            while done < len(block.batch.rows):  # as many particles at once as their fine samples leave room for
                ends = coarse.start[done + 1 :]
                fit = int(np.searchsorted(ends, coarse.start[done] + budget // children, side="right"))
                stop = done + max(1, fit)
                self._finish(step, lane, _part(block, slice(done, stop)), coarse.part(done, stop), rows.start + done)
                done = stop
            advance(len(block.batch.rows))

    def _prepare(self, step: _Step, batch: Batch) -> _Block:
        plan, count = step.plan, step.plan.count
        real, imag = self._images.transform(batch, step.model.sigma2_noise)
        if plan.keep_shifts:
            pixels = plan.pixels
            phase = shift_phases(pixels.ky, pixels.kx, batch.rest, pixels.box).astype(np.complex64)
            real, imag = real * phase.real - imag * phase.imag, real * phase.imag + imag * phase.real
        weights = make_weights(self._model, batch.rows, count, step.model.sigma2_noise, batch.scale)
        power = np.zeros((len(batch.rows), self._model.pixels.box // 2 + 1))
        power_per_shell(real[0], imag[0], self._model.pixels.starts, power)
        insert_real, insert_imag = real[1, :, :count] * weights.insert, imag[1, :, :count] * weights.insert
        data_weight, norm_weight = weights.data, weights.norm
        if plan.correlate:  # the first comparison with a reference of unknown grey scale weighs all frequencies alike
            data_weight, norm_weight = weights.model, weights.model**2
        return _Block(
            batch, real[0, :, :count].copy(), imag[0, :, :count].copy(), insert_real, insert_imag, weights.insert_norm,
            weights.model, data_weight, norm_weight, power,
        )  # fmt: skip

    def _finish(self, step: _Step, lane: _Lane, block: _Block, coarse: Samples, first: int) -> None:
        """Score the children of the significant samples, and sum those that count."""
        plan, sums, n = step.plan, step.sums, len(block.batch.rows)
        out = slice(first, first + n)
        fine = FineSamples.of(plan, coarse, block.batch.angles)
        pairs, (base, matrices) = fine.pairs, fine.slices()
        scores = np.empty(len(pairs.sample_shift), np.float32)
        inner = slice(0, plan.count_likelihood)
        kernels.score_pairs(
            fine.order, pairs.particle, pairs.grid_class, base, pairs.variant, pairs.prior, pairs.sample_start, pairs.sample_shift,
            matrices, step.grids, step.kx[inner], step.ky[inner], step.inside[inner], np.float32(plan.padding),
            plan.mirror.index[inner], plan.mirror.conjugate[inner], block.real, block.imag, block.data_weight, block.norm_weight,
            step.phase_real, step.phase_imag, block.batch.offset_prior, plan.shifts.children, plan.correlate, scores,
        )  # fmt: skip
        posterior = Posterior.of(plan, fine, scores, len(step.grids))
        posterior.store(sums, out, block.batch, self._model.pixel_size)
        posterior.assign(lane.class_weight, lane.direction_weight)
        sums.n_significant[out] = np.diff(coarse.start)
        constant = self._images.constant(block.batch.rows, block.power, step.model.sigma2_noise, plan.count_likelihood)
        sums.log_likelihood[out] = posterior.log_sum - constant
        self._sum(step, lane, block, pairs, base, matrices, posterior.used(), posterior.weights, out)

    def _sum(
        self, step: _Step, lane: _Lane, block: _Block, pairs: Pairs, base: np.ndarray, matrices: np.ndarray, used: np.ndarray,
        weights: np.ndarray, out: slice,
    ) -> None:  # fmt: skip
        plan, sums, pixels = step.plan, step.sums, self._model.pixels
        n = len(block.batch.rows)
        residual, total = np.zeros((n, plan.count), np.float32), np.zeros(n)
        half = np.minimum(block.batch.half, plan.halves - 1).astype(np.int8)
        kernels.sum_pairs(
            used, pairs.particle, pairs.grid_class, base, pairs.variant, pairs.sample_start, pairs.sample_shift, weights, matrices,
            step.grids, step.kx, step.ky, step.inside, np.float32(plan.padding), plan.mirror.index, plan.mirror.conjugate, block.real,
            block.imag, block.model_ctf, block.insert_real, block.insert_imag, block.insert_weight, step.phase_real, step.phase_imag,
            step.scale_count, half, plan.gradient, residual, sums.scale_cross[out], sums.scale_power[out], total,
            lane.data, lane.weight,
        )  # fmt: skip
        inner = plan.current_size // 2 + 1
        residual += (block.real**2 + block.imag**2) * total[:, None].astype(np.float32)
        power = block.power.copy()
        power[:, :inner] = np.add.reduceat(residual, pixels.starts[:inner], axis=1, dtype=np.float64)
        sums.norm_power[out] = power.sum(axis=1)
        np.add.at(lane.noise, self._model.optics.index[block.batch.rows], power)


class _Stoppable:
    """Progress of lanes, which also ends them: whoever interrupts a run need not wait until they are through."""

    def __init__(self, advance: Callable[[int], object]) -> None:
        self._advance, self.stopped = advance, False

    def __call__(self, count: int) -> None:
        if self.stopped:
            raise CancelledError
        self._advance(count)


def _part(block: _Block, rows: slice) -> _Block:
    """Return some particles of a block."""
    arrays = (
        block.real, block.imag, block.insert_real, block.insert_imag, block.insert_weight, block.model_ctf, block.data_weight,
        block.norm_weight, block.power,
    )  # fmt: skip
    return _Block(block.batch.part(rows), *(a[rows] for a in arrays))
