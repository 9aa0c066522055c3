"""The expectation step where in-plane angles are kept: ``--skip_align`` (offsets too) and ``--skip_rotate``.

Every particle has its own angle, so there is no grid of angles to share: slices of all classes are cut at each
particle's angle, and only classes (and, for ``--skip_rotate``, shifts) are searched. Runs on any array library.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.arrays import sparse_module, to_numpy
from relion4plugin.imaging.fourier import shift_phases
from relion4plugin.refinement.device_images import DeviceImages, NoiseSums
from relion4plugin.refinement.images import ImageModel, ImageSource, Weights, make_weights
from relion4plugin.refinement.particles import scale_counts
from relion4plugin.refinement.search import Batch, Expectation, ParticleSums, SearchPlan
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.slices import SlicePlan, extract_slices, insertion_matrix, make_slice_plan
from relion4plugin.refinement.state import Model

COPIES = 8  # arrays of (particles, classes, pixels) alive at once


@dataclass(frozen=True)
class _Posterior:
    """Retained weights (n, K, T) and what goes with them."""

    weights: Any
    log_sum: Any  # (n,)
    best: Any  # int64 (n,), flat index of the best sample
    pmax: Any  # (n,)


class FixedPosesExpectation:
    """Runs expectation steps at the particles' own angles with the array library `xp`."""

    def __init__(self, source: ImageSource, model: ImageModel, settings: RefinementSettings, xp: Any) -> None:
        self._source, self._model, self._settings, self._xp = source, model, settings, xp
        self._images = DeviceImages(model, settings, xp)

    def close(self) -> None:
        """Nothing is held."""

    def run(self, batch: Batch, transforms: np.ndarray, plan: SearchPlan, model: Model, advance: Callable[[int], object]) -> Expectation:
        """Expect over a batch; see `expectation.ExpectationStep`."""
        xp, n = self._xp, len(batch.rows)
        n_classes, voxels = len(transforms), plan.slices_fine.n_voxels
        sums, padded = ParticleSums.empty(n), xp.asarray(transforms)
        grid = xp.zeros((plan.halves, voxels, 3 * n_classes), xp.float32)
        class_weight, noise = xp.zeros(n_classes), self._images.noise_sums(model.sigma2_noise)
        size = max(1, int(self._settings.memory_limit * 2**30 / (COPIES * 8 * n_classes * plan.count)))
        for first in range(0, n, size):
            part = slice(first, min(first + size, n))
            values = self._visit(batch.part(part), padded, plan, model, grid, class_weight, noise)
            for name, value in values.items():
                getattr(sums, name)[part] = to_numpy(value)
            advance(part.stop - part.start)
        real, imag, weight = xp.split(grid.transpose(0, 2, 1), 3, axis=1)
        shape = (plan.halves, n_classes, plan.slices_fine.size, plan.slices_fine.size // 2 + 1)
        data = (real + 1j * imag).astype(np.complex64).reshape(shape)
        return Expectation(
            sums, to_numpy(class_weight), to_numpy(noise.power), to_numpy(data), to_numpy(xp.ascontiguousarray(weight)).reshape(shape),
            noise_counts=to_numpy(noise.counts),
        )  # fmt: skip

    def _visit(
        self, batch: Batch, padded: Any, plan: SearchPlan, model: Model, grid: Any, class_weight: Any, noise: NoiseSums
    ) -> dict[str, Any]:
        xp, count = self._xp, plan.count
        masked, unmasked = self._images.transform(batch, self._source.read(batch.rows), model.sigma2_noise)
        weights = make_weights(self._model, batch.rows, count, model.sigma2_noise, batch.scale, xp)
        slice_plan = make_slice_plan(batch.angles[:, 2], plan.pixels, plan.current_size, plan.padding)
        slices = extract_slices(padded, slice_plan, xp).transpose(1, 0, 2)
        phases = self._phases(batch, plan)
        posterior = self._posterior(batch, masked, weights, slices, phases, plan, model)
        q = posterior.weights @ phases
        by_class = posterior.weights.sum(axis=2)
        class_weight += by_class.sum(axis=0)
        self._insert(batch, unmasked, weights, slices, q, by_class, slice_plan, plan, grid)
        n_shifts = posterior.weights.shape[2]
        result = {
            "best_class": posterior.best // n_shifts,
            "best_shift": posterior.best % n_shifts,
            "pmax": posterior.pmax,
            "n_significant": (posterior.weights > 0).sum(axis=(1, 2)),
            "weight": by_class.sum(axis=1),
            "log_likelihood": posterior.log_sum - self._images.constant(batch, masked, model.sigma2_noise, plan.count_likelihood),
        }
        return result | self._nuisance(batch, masked, weights, slices, q, posterior.weights, plan, model, noise)

    def _phases(self, batch: Batch, plan: SearchPlan) -> Any:
        """Shift phases of each particle (n, T, P): the grid of shifts, or what rounding left of its own offset."""
        xp, pixels = self._xp, plan.pixels
        if not self._settings.skip_align:
            return xp.broadcast_to(xp.asarray(plan.phases_fine), (len(batch.rows), *plan.phases_fine.shape))
        rest = shift_phases(pixels.ky[: plan.count], pixels.kx[: plan.count], batch.rest, pixels.box)
        return xp.asarray(rest)[:, None]

    def _posterior(
        self, batch: Batch, masked: Any, weights: Weights, slices: Any, phases: Any, plan: SearchPlan, model: Model
    ) -> _Posterior:
        """Weigh all classes and shifts; keep the fewest that reach the adaptive fraction."""
        xp, inner, n = self._xp, slice(1, plan.count_likelihood), len(batch.rows)
        product = (masked[:, inner] * weights.data[:, inner])[:, None] * slices[:, :, inner].conj()
        scores = (product @ phases[:, :, inner].swapaxes(1, 2)).real
        norm = 0.5 * ((slices[:, :, inner].real ** 2 + slices[:, :, inner].imag ** 2) @ weights.norm[:, inner, None])[:, :, 0]
        scores = (scores + (xp.asarray(model.log_class) - norm)[:, :, None]).astype(xp.float64)
        if not self._settings.skip_align:
            scores += xp.repeat(xp.asarray(batch.offset_prior), plan.shifts.children, axis=1)[:, None]
        flat = scores.reshape(n, -1)
        best = flat.argmax(axis=1)
        top = flat.max(axis=1)
        log_sum = top + xp.log(xp.exp(flat - top[:, None]).sum(axis=1))
        posterior = xp.exp(flat - log_sum[:, None])
        ordered = xp.sort(posterior, axis=1)[:, ::-1]
        reached = xp.cumsum(ordered, axis=1) >= plan.fraction
        last = xp.where(reached.any(axis=1), reached.argmax(axis=1), ordered.shape[1] - 1)
        kept = xp.where(posterior >= ordered[xp.arange(n), last][:, None], posterior, 0).astype(xp.float32)
        return _Posterior(kept.reshape(scores.shape), log_sum, best, posterior.max(axis=1))

    def _nuisance(
        self, batch: Batch, masked: Any, weights: Weights, slices: Any, q: Any, retained: Any, plan: SearchPlan, model: Model,
        noise: NoiseSums,
    ) -> dict[str, Any]:
        xp, count = self._xp, plan.count
        by_class = retained.sum(axis=2)
        ctf = weights.model[:, None]
        cross = ctf * (masked[:, None, :count] * slices.conj() * q).real
        power = ctf**2 * by_class[:, :, None] * (slices.real**2 + slices.imag**2)
        counted = xp.arange(count)[None] < xp.asarray(scale_counts(model, plan))[:, None]
        residual = masked.real**2 + masked.imag**2
        residual[:, :count] = residual[:, :count] * by_class.sum(axis=1)[:, None] + (power - 2 * cross).sum(axis=1)
        shells = self._images.shells(residual)
        self._images.add_by_optics(batch, shells, noise)
        shifts = batch.rest[:, None] if self._settings.skip_align else plan.shifts.fine
        distance = ((batch.offset_centre[:, None] + shifts * self._model.pixel_size) ** 2).sum(axis=2)
        return {
            "scale_cross": (cross * counted).sum(axis=(1, 2)),
            "scale_power": (power * counted).sum(axis=(1, 2)),
            "norm_power": shells.sum(axis=1),
            "offset_power": (retained.sum(axis=1) * xp.asarray(distance)).sum(axis=1),
        }

    def _insert(
        self, batch: Batch, unmasked: Any, weights: Weights, slices: Any, q: Any, by_class: Any, slice_plan: SlicePlan, plan: SearchPlan,
        grid: Any,
    ) -> None:  # fmt: skip
        """Insert every particle's slices into the grids (halves, voxels, 3 K): real, imaginary, weight."""
        xp, n_classes = self._xp, slices.shape[1]
        weight = weights.insert_norm[:, None] * by_class[:, :, None]
        data = (unmasked[:, : plan.count] * weights.insert)[:, None] * q
        if plan.gradient:
            data = data - weight * slices
        sign = xp.asarray(slice_plan.sign)[:, None]
        matrix = insertion_matrix(slice_plan, xp, sparse_module(xp))
        columns = xp.concatenate([data.real, data.imag * sign, weight], axis=1).transpose(0, 2, 1)
        half = np.minimum(batch.half, plan.halves - 1)
        for h in range(plan.halves):
            mine = xp.asarray((half == h).astype(np.float32))[:, None, None]
            grid[h] += matrix @ xp.ascontiguousarray((columns * mine).reshape(-1, 3 * n_classes))
