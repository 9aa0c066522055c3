"""The expectation step on the CPU: matrix products for the coarse pass, fused kernels for the rest.

Particles go through in fixed chunks, several at once in threads; back-projection runs over classes. Neither depends on the
number of threads, so results do not either.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.refinement import kernels
from relion4plugin.refinement.cpu_images import CpuImages, Workspace
from relion4plugin.refinement.images import ImageModel, ImageSource, Weights, make_weights
from relion4plugin.refinement.particles import scale_counts
from relion4plugin.refinement.robust_noise import BINS, count_powers
from relion4plugin.refinement.search import Batch, Expectation, ParticleSums, SearchPlan
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.slices import SlicePlan
from relion4plugin.refinement.state import Model

CHUNK = 32  # particles of one thread at a time: their shifted images and scores stay in the shared cache
BLOCK = 2048  # particles between two back-projections, fewer where the memory limit is lower
FIRST_BLOCK = 128  # as long as it is not known how many samples a particle keeps
BYTES_PER_SAMPLE = 40  # kept in chunks, joined, and sorted
BYTES_PER_PIXEL = 16  # what a particle keeps per pixel until back-projection


@dataclass(frozen=True)
class Templates:
    """Slices of all classes and shift phases, real and imaginary parts apart, float32."""

    coarse_real: np.ndarray  # (K * R/2, Pc)
    coarse_imag: np.ndarray
    coarse_power: np.ndarray  # (K * R/2, Pc), |slice|^2 / 2
    fine_real: np.ndarray  # (K * R * children, P)
    fine_imag: np.ndarray
    shift_coarse_real: np.ndarray  # (T, Pc)
    shift_coarse_imag: np.ndarray
    shift_real: np.ndarray  # (T * children, P)
    shift_imag: np.ndarray


def _parts(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.ascontiguousarray(values.real), np.ascontiguousarray(values.imag)


@dataclass(frozen=True)
class _Pass:
    """What all chunks of one expectation step share."""

    plan: SearchPlan
    templates: Templates
    sigma2_noise: np.ndarray  # (n_optics, shells)
    log_class: np.ndarray  # float32 (K,)
    scale_count: np.ndarray  # int64 (K,)
    sums: ParticleSums


@dataclass(frozen=True)
class _Images:
    """Masked images of a chunk, float32 (n, P)."""

    real: np.ndarray
    imag: np.ndarray
    power: np.ndarray  # float64 (n, shells), of all shells


@dataclass(frozen=True)
class _Kept:
    """Fine samples of a chunk that count."""

    start: np.ndarray
    template: np.ndarray
    shift: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class _Room:
    """Weighted unmasked images waiting for back-projection, float32 (n, P)."""

    real: np.ndarray
    imag: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, n: int, count: int) -> "_Room":
        return cls(*(np.empty((n, count), np.float32) for _ in range(3)))

    def part(self, chunk: slice) -> "_Room":
        return _Room(self.real[chunk], self.imag[chunk], self.weight[chunk])


class CpuExpectation:
    """Runs expectation steps with numpy and numba."""

    def __init__(self, source: ImageSource, model: ImageModel, settings: RefinementSettings) -> None:
        self._model, self._settings = model, settings
        self._pool = ThreadPoolExecutor(max(settings.threads, 1))
        self._work = Workspace()
        self._images = CpuImages(source, model, settings, self._work)

    def close(self) -> None:
        """End the worker threads."""
        self._pool.shutdown()

    def run(self, batch: Batch, transforms: np.ndarray, plan: SearchPlan, model: Model, advance: Callable[[int], object]) -> Expectation:
        """Expect over a batch; see `expectation.ExpectationStep`."""
        n, n_classes = len(batch.rows), len(transforms)
        sums = ParticleSums.empty(n)
        step = _Pass(plan, self._templates(transforms, plan), model.sigma2_noise, model.log_class, scale_counts(model, plan), sums)
        class_weight, noise = np.zeros(n_classes), np.zeros(model.sigma2_noise.shape)
        expected = 2 * self._model.pixels.per_shell * model.sigma2_noise
        counts = np.zeros((*noise.shape, BINS) if self._settings.noise_is_robust else (0, 0, 0))
        voxels, m = plan.slices_fine.n_voxels, plan.slices_fine.size
        data = np.zeros((n_classes, plan.halves, voxels), np.complex64)
        weight = np.zeros((n_classes, plan.halves, voxels), np.float32)
        block = slice(0, self._block_end(0, n, plan, None))
        while block.start < n:
            room = _Room.of(block.stop - block.start, plan.count)
            chunks = [slice(c, min(c + CHUNK, block.stop)) for c in range(block.start, block.stop, CHUNK)]
            offset = block.start

            def visit(chunk: slice, room: _Room = room, offset: int = offset) -> Any:
                return self._visit(step, batch.part(chunk), room.part(slice(chunk.start - offset, chunk.stop - offset)), chunk)

            results = list(self._pool.map(visit, chunks))
            class_weight += sum(classes for _, classes, _ in results)
            power, index = np.concatenate([power for _, _, power in results]), self._model.optics.index[batch.rows[block]]
            np.add.at(noise, index, power)
            if self._settings.noise_is_robust:
                counts += count_powers(power, expected, index)
            self._back_project(step, [kept for kept, _, _ in results], batch.half[block], room, data, weight)
            advance(block.stop - block.start)
            samples = sum(len(kept.template) for kept, _, _ in results) / (block.stop - block.start)
            block = slice(block.stop, self._block_end(block.stop, n, plan, samples))
        shape = (n_classes, plan.halves, m, m // 2 + 1)
        grids = data.reshape(shape).swapaxes(0, 1), weight.reshape(shape).swapaxes(0, 1)
        return Expectation(sums, class_weight, noise, *grids, noise_counts=counts)

    def _templates(self, transforms: np.ndarray, plan: SearchPlan) -> Templates:
        """Cut the slices out of the padded transforms (K, M, M//2+1)."""
        coarse_real, coarse_imag = self._slices("coarse", transforms, plan.slices_coarse)
        coarse_real[:, 0] = coarse_imag[:, 0] = 0.0
        power = self._work.take("coarse_power", *coarse_real.shape)
        np.multiply(coarse_real, coarse_real, out=power)
        power += coarse_imag * coarse_imag
        power *= np.float32(0.5)
        fine = self._slices("fine", transforms, plan.slices_fine)
        return Templates(coarse_real, coarse_imag, power, *fine, *_parts(plan.phases_coarse), *_parts(plan.phases_fine))

    def _slices(self, name: str, transforms: np.ndarray, slices: SlicePlan) -> tuple[np.ndarray, np.ndarray]:
        """Gather slices of all classes, real and imaginary parts (K * R, P)."""
        n_classes, (n_angles, count) = len(transforms), slices.sign.shape
        real, imag = (self._work.take(f"{name}_{part}", n_classes, n_angles, count) for part in ("real", "imag"))

        def gather(k: int) -> None:
            kernels.gather_slices(transforms[k].ravel(), slices.corners, slices.weights, slices.sign, real[k], imag[k])

        list(self._pool.map(gather, range(n_classes)))
        return real.reshape(-1, count), imag.reshape(-1, count)

    def _block_end(self, first: int, n: int, plan: SearchPlan, samples: float | None) -> int:
        """Return where the block that begins at `first` ends: as many particles as the memory limit leaves room for.

        `samples` is what a particle of the last block kept; without a cap on significant samples the first block is small.
        """
        _, psi_children, shift_children = plan.children
        if plan.max_significants > 0:
            samples = float(plan.max_significants * psi_children * shift_children)
        if samples is None:
            return min(first + FIRST_BLOCK, n)
        room = self._settings.memory_limit * 2**30 / 4
        size = int(room / (BYTES_PER_PIXEL * plan.count + BYTES_PER_SAMPLE * samples))
        return min(first + min(BLOCK, max(CHUNK, size // CHUNK * CHUNK)), n)

    def _visit(self, step: _Pass, batch: Batch, room: _Room, out: slice) -> tuple[_Kept, np.ndarray, np.ndarray]:
        """Take one chunk through both passes; fill `room` and rows `out` of the particle sums."""
        plan, sums, count = step.plan, step.sums, step.plan.count
        real, imag = self._images.transform(batch, step.sigma2_noise)
        weights = make_weights(self._model, batch.rows, count, step.sigma2_noise, batch.scale)
        np.multiply(real[1, :, :count], weights.insert, out=room.real)
        np.multiply(imag[1, :, :count], weights.insert, out=room.imag)
        room.weight[:] = weights.insert_norm
        power = np.zeros((len(batch.rows), self._model.pixels.box // 2 + 1))
        kernels.power_per_shell(real[0], imag[0], self._model.pixels.starts, power)
        images = _Images(np.ascontiguousarray(real[0, :, :count]), np.ascontiguousarray(imag[0, :, :count]), power)

        start, template, shift = self._coarse_pass(step, batch, images, weights)
        t = step.templates
        scores = kernels.score_children(
            start, template, shift, images.real, images.imag, weights.data, weights.norm, t.fine_real, t.fine_imag,
            t.shift_real, t.shift_imag, plan.children, plan.count_likelihood, step.log_class, batch.offset_prior, batch.psi_prior,
        )  # fmt: skip
        best = np.zeros(len(batch.rows), np.int32)
        log_sum, shift_weight = np.empty(len(batch.rows)), np.zeros((len(batch.rows), len(plan.phases_fine)))
        kept = kernels.retain_children(
            start, template, shift, scores, plan.children, plan.fraction,
            sums.pmax[out], log_sum, best, sums.best_shift[out], shift_weight,
        )  # fmt: skip
        n_fine = len(plan.sampling.psi_fine)
        sums.best_class[out], sums.best_angles[out, 2] = best // n_fine, plan.sampling.psi_fine[best % n_fine]
        sums.n_significant[out] = np.diff(start)
        distance = batch.offset_centre[:, None] + plan.shifts.fine * self._model.pixel_size
        sums.offset_power[out] = (shift_weight * np.sum(distance**2, axis=2)).sum(axis=1)
        sums.log_likelihood[out] = log_sum - self._images.constant(batch.rows, power, step.sigma2_noise, plan.count_likelihood)
        return _Kept(*kept), *self._nuisance(step, batch, _Kept(*kept), images, weights.model, out)

    def _coarse_pass(self, step: _Pass, batch: Batch, images: _Images, weights: Weights) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Score all coarse samples by matrix products and select the significant ones."""
        plan, t = step.plan, step.templates
        n, n_shifts, count = len(batch.rows), len(plan.phases_coarse), plan.count_coarse
        rows_real, rows_imag = (self._work.take(part, n * n_shifts, count) for part in ("rows_real", "rows_imag"))
        kernels.shifted_rows(images.real, images.imag, weights.data, t.shift_coarse_real, t.shift_coarse_imag, rows_real, rows_imag)
        even = np.matmul(rows_real, t.coarse_real.T, out=self._work.take("even", n * n_shifts, len(t.coarse_real)))
        odd = np.matmul(rows_imag, t.coarse_imag.T, out=self._work.take("odd", n * n_shifts, len(t.coarse_imag)))
        half_angles = len(plan.sampling.psi_coarse) // 2
        bias = np.repeat(step.log_class, half_angles) - weights.norm[:, :count] @ t.coarse_power.T
        maxima = kernels.combine_half_turns(even, odd, bias, batch.offset_prior)
        if len(batch.psi_prior):
            maxima = kernels.add_angle_prior(even, odd, batch.psi_prior, n_shifts)
        room = self._work.take("scores", 2 * n_shifts * even.shape[1])
        return kernels.select_significant(even, odd, maxima, n_shifts, half_angles, plan.fraction, plan.max_significants, room)

    def _nuisance(
        self, step: _Pass, batch: Batch, kept: _Kept, images: _Images, model_ctf: np.ndarray, out: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fill the norm and scale sums; return the chunk's class weights (K,) and residual powers (n, shells)."""
        plan, sums, t, pixels = step.plan, step.sums, step.templates, self._model.pixels
        n, inner = len(batch.rows), plan.current_size // 2 + 1
        classes, power = np.zeros((n, len(step.log_class))), images.power.copy()
        kernels.nuisance_sums(
            kept.start, kept.template, kept.shift, kept.weight, images.real, images.imag, model_ctf, t.fine_real, t.fine_imag,
            t.shift_real, t.shift_imag, len(plan.sampling.psi_fine), step.scale_count, pixels.starts[: inner + 1],
            power[:, :inner], sums.scale_cross[out], sums.scale_power[out], sums.weight[out], classes,
        )  # fmt: skip
        sums.norm_power[out] = power.sum(axis=1)
        return classes.sum(axis=0), power

    def _back_project(self, step: _Pass, kept: list[_Kept], half: np.ndarray, room: _Room, data: np.ndarray, weight: np.ndarray) -> None:
        """Add a block's kept samples to the grids of all classes."""
        plan, t, slices = step.plan, step.templates, step.plan.slices_fine
        start = np.concatenate([[0], np.cumsum(np.concatenate([np.diff(k.start) for k in kept]))])
        template, shift, sample_weight = (np.concatenate([getattr(k, name) for k in kept]) for name in ("template", "shift", "weight"))
        by_template = kernels.sort_by_template(start, template, shift, sample_weight, len(t.fine_real))
        group = np.minimum(half, plan.halves - 1).astype(np.int8)
        n_angles = len(plan.sampling.psi_fine)

        def project(k: int) -> None:
            kernels.back_project_class(
                k * n_angles, *by_template, group, t.shift_real, t.shift_imag, room.real, room.imag, room.weight,
                t.fine_real, t.fine_imag, plan.gradient, slices.corners, slices.weights, slices.sign, data[k], weight[k],
            )  # fmt: skip

        list(self._pool.map(project, range(len(data))))
