"""The expectation step as array operations: runs on a GPU through cupy, and on numpy as the plain counterpart of the kernels.

Particles go through in batches that fit the memory limit; the next batch is read while the device works. In a batch
everything is a matrix product or an elementwise operation, and nothing but the images crosses to the device.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.arrays import sparse_module, to_numpy
from relion4plugin.refinement.device_images import DeviceImages, NoiseSums, group_sum
from relion4plugin.refinement.images import ImageModel, ImageSource, Weights, make_weights
from relion4plugin.refinement.particles import scale_counts
from relion4plugin.refinement.search import Batch, Expectation, ParticleSums, SearchPlan
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.slices import extract_slices, insertion_matrix
from relion4plugin.refinement.state import Model

COPIES = 6  # arrays of (pairs, pixels) alive at once


@dataclass(frozen=True)
class _Device:
    """Per-iteration arrays on the device."""

    plan: SearchPlan
    coarse: Any  # complex64 (Pc, K * R/2)
    coarse_power: Any  # float32 (Pc, K * R/2)
    fine: Any  # complex64 (K * R * children, P)
    phases_coarse: Any  # complex64 (T, Pc)
    phases_fine: Any  # complex64 (T_fine, P)
    log_class: Any  # float32 (K,)
    scale_count: Any  # int64 (K,)
    sigma2_noise: np.ndarray


@dataclass(frozen=True)
class _Pairs:
    """Particle-and-template pairs with at least one significant coarse sample; U of them, sorted by particle."""

    particle: Any  # int64 (U,)
    template: Any  # int64 (U,), fine template
    start: Any  # int64 (n + 1,)
    weights: Any  # float32 (U, T_fine), retained posterior weights, zero elsewhere


class ArrayExpectation:
    """Runs expectation steps with the array library `xp`."""

    def __init__(self, source: ImageSource, model: ImageModel, settings: RefinementSettings, xp: Any) -> None:
        self._source, self._model, self._settings, self._xp = source, model, settings, xp
        self._reader = ThreadPoolExecutor(1)
        self._images = DeviceImages(model, settings, xp)

    def close(self) -> None:
        """End the reading thread."""
        self._reader.shutdown()

    def run(self, batch: Batch, transforms: np.ndarray, plan: SearchPlan, model: Model, advance: Callable[[int], object]) -> Expectation:
        """Expect over a batch; see `expectation.ExpectationStep`."""
        xp = self._xp
        device = self._load(transforms, plan, model)
        n, n_classes = len(batch.rows), len(transforms)
        sums = ParticleSums.empty(n)
        n_fine = len(device.fine)
        data = xp.zeros((plan.halves * n_fine, plan.count), xp.complex64)
        weight = xp.zeros((plan.halves * n_fine, plan.count), xp.float32)
        class_weight, noise = xp.zeros(n_classes), self._images.noise_sums(model.sigma2_noise)
        size = self._batch_size(plan)
        parts = [slice(b, min(b + size, n)) for b in range(0, n, size)]
        ahead = self._reader.submit(self._source.read, batch.rows[parts[0]])
        results = []
        for j, part in enumerate(parts):
            images = ahead.result()
            if j + 1 < len(parts):
                ahead = self._reader.submit(self._source.read, batch.rows[parts[j + 1]])
            results.append(self._visit(device, batch.part(part), images, data, weight, class_weight, noise))
            advance(part.stop - part.start)
        for part, values in zip(parts, results, strict=True):
            for name, value in values.items():
                getattr(sums, name)[part] = to_numpy(value)
        grids = self._insert(device, data, weight, n_classes)
        return Expectation(sums, to_numpy(class_weight), to_numpy(noise.power), *grids, noise_counts=to_numpy(noise.counts))

    def _load(self, transforms: np.ndarray, plan: SearchPlan, model: Model) -> _Device:
        xp = self._xp
        padded = xp.asarray(transforms)
        coarse = extract_slices(padded, plan.slices_coarse, xp)
        coarse = xp.ascontiguousarray(coarse.reshape(-1, coarse.shape[-1]).T)
        coarse[0] = 0
        fine = extract_slices(padded, plan.slices_fine, xp)
        return _Device(
            plan,
            coarse,
            0.5 * (coarse.real**2 + coarse.imag**2),
            fine.reshape(-1, fine.shape[-1]),
            xp.asarray(plan.phases_coarse),
            xp.asarray(plan.phases_fine),
            xp.asarray(model.log_class),
            xp.asarray(scale_counts(model, plan)),
            model.sigma2_noise,
        )

    def _batch_size(self, plan: SearchPlan) -> int:
        """Particles of which scores and template pairs fit the memory limit."""
        n_angles, children, _ = plan.children
        n_templates = self._settings.n_classes * n_angles
        pairs = n_templates * children if plan.max_significants <= 0 else min(plan.max_significants, n_templates) * children
        pair_bytes = pairs * (COPIES * 8 * plan.count + 12 * len(plan.phases_fine))
        score_bytes = 16 * n_templates * len(plan.phases_coarse) + 16 * len(plan.phases_coarse) * plan.count_coarse
        return max(1, int(self._settings.memory_limit * 2**30 / (pair_bytes + score_bytes)))

    def _visit(
        self, device: _Device, batch: Batch, images: np.ndarray, data: Any, weight: Any, class_weight: Any, noise: NoiseSums
    ) -> dict[str, Any]:
        """Take one batch through both passes, add to the accumulators, and return the per-particle results."""
        xp, plan, n = self._xp, device.plan, len(batch.rows)
        masked, unmasked = self._images.transform(batch, images, device.sigma2_noise)
        weights = make_weights(self._model, batch.rows, plan.count, device.sigma2_noise, batch.scale, xp)
        keep, n_significant = self._coarse_pass(device, batch, masked, weights)
        pairs, log_sum, best = self._fine_pass(device, batch, masked, weights, keep)
        q = pairs.weights @ device.phases_fine
        total = pairs.weights.sum(axis=1)
        to_particle = group_sum(xp, pairs.particle, n)
        classes = pairs.template // len(plan.sampling.psi_fine)
        class_weight += xp.bincount(classes, total, minlength=len(class_weight))
        result = {**best, "n_significant": n_significant, "weight": to_particle @ total}
        result |= self._nuisance(device, batch, masked, weights, pairs, q, total, to_particle, classes, noise)
        result["log_likelihood"] = log_sum - self._images.constant(batch, masked, device.sigma2_noise, plan.count_likelihood)
        self._accumulate(device, batch, unmasked, weights, pairs, q, total, data, weight)
        return result

    def _coarse_pass(self, device: _Device, batch: Batch, masked: Any, weights: Weights) -> tuple[Any, Any]:
        """Return which coarse samples (n, K, R, T) are significant, and how many of each particle."""
        xp, plan = self._xp, device.plan
        n, (n_shifts, count), half = len(masked), device.phases_coarse.shape, len(plan.sampling.psi_coarse) // 2
        rows = (masked[:, None, :count] * weights.data[:, None, :count] * device.phases_coarse).reshape(n * n_shifts, count)
        even, odd = rows.real @ device.coarse.real, rows.imag @ device.coarse.imag
        bias = xp.repeat(device.log_class, half) - weights.norm[:, :count] @ device.coarse_power
        prior = (bias[:, None] + xp.asarray(batch.offset_prior)[:, :, None]).reshape(n, n_shifts, -1, half)
        even, odd = even.reshape(n, n_shifts, -1, half), odd.reshape(n, n_shifts, -1, half)
        scores = xp.concatenate([even + odd + prior, even - odd + prior], axis=3).transpose(0, 2, 3, 1)
        if len(batch.psi_prior):
            scores = scores + xp.asarray(batch.psi_prior)[:, None, :, None]
        threshold = self._threshold(scores.reshape(n, -1), plan.fraction, plan.max_significants)
        keep = scores >= threshold[:, None, None, None]
        return keep, keep.reshape(n, -1).sum(axis=1)

    def _threshold(self, scores: Any, fraction: float, cap: int) -> Any:
        """Return the score of the last sample to keep in each row (see `kernels.significance_threshold`)."""
        xp = self._xp
        best = scores.max(axis=1)[:, None]
        total = xp.exp(scores - best).sum(axis=1, dtype=xp.float64)
        if 0 < cap < scores.shape[1]:
            scores = xp.partition(scores, scores.shape[1] - cap, axis=1)[:, scores.shape[1] - cap :]
        ordered = xp.sort(scores, axis=1)[:, ::-1]
        reached = xp.cumsum(xp.exp((ordered - best).astype(xp.float64)), axis=1) >= fraction * total[:, None]
        last = xp.where(reached.any(axis=1), reached.argmax(axis=1), scores.shape[1] - 1)
        return ordered[xp.arange(len(ordered)), last]

    def _fine_pass(self, device: _Device, batch: Batch, masked: Any, weights: Weights, keep: Any) -> tuple[_Pairs, Any, dict[str, Any]]:
        """Score the children of the kept samples; return retained weights, log sums and the best sample of each particle."""
        xp, plan = self._xp, device.plan
        n, n_classes, n_angles, _ = keep.shape
        _, psi_children, shift_children = plan.children
        particle, coarse = xp.nonzero(keep.any(axis=3).reshape(n, -1))
        allowed = xp.repeat(keep.reshape(n, n_classes * n_angles, -1)[particle, coarse], shift_children, axis=1)
        allowed = xp.repeat(allowed, psi_children, axis=0)
        template = (coarse[:, None] * psi_children + xp.arange(psi_children)).ravel()
        particle = xp.repeat(particle, psi_children)
        prior = device.log_class[template // (n_angles * psi_children)]
        if len(batch.psi_prior):
            prior = prior + xp.asarray(batch.psi_prior)[particle, template // psi_children % n_angles]
        inner = slice(1, plan.count_likelihood)
        slices = device.fine[template, inner]
        product = (masked[:, inner] * weights.data[:, inner])[particle] * slices.conj()
        norm = 0.5 * (weights.norm[:, inner][particle] * (slices.real**2 + slices.imag**2)).sum(axis=1)
        phases = device.phases_fine[:, inner]
        scores = product.real @ phases.real.T - product.imag @ phases.imag.T
        scores += (prior - norm)[:, None] + xp.repeat(xp.asarray(batch.offset_prior), shift_children, axis=1)[particle]
        scores = xp.where(allowed, scores, xp.float32(-np.inf))

        start = xp.concatenate([xp.zeros(1, xp.int64), xp.cumsum(xp.bincount(particle, minlength=n))])
        position = xp.arange(len(particle)) - start[particle]
        width = int(position.max()) + 1
        table = xp.full((n, width, scores.shape[1]), -np.inf, xp.float32)
        table[particle, position] = scores
        table = table.reshape(n, -1)
        top = table.argmax(axis=1)
        highest = table.max(axis=1)
        total = xp.exp((table - highest[:, None]).astype(xp.float64)).sum(axis=1)
        log_sum = highest + xp.log(total)
        threshold = self._threshold(table, plan.fraction, 0)
        kept = xp.where(scores >= threshold[particle, None], xp.exp(scores - log_sum[particle, None]), 0).astype(xp.float32)
        best = template[start[:-1] + top // scores.shape[1]]
        n_fine = n_angles * psi_children
        psi = xp.asarray(plan.sampling.psi_fine)[best % n_fine]
        chosen = {
            "best_class": best // n_fine,
            "best_angles": xp.stack([xp.zeros_like(psi), xp.zeros_like(psi), psi], axis=1),
            "best_shift": top % scores.shape[1],
            "pmax": 1 / total,
        }
        return _Pairs(particle, template, start, kept), log_sum, chosen

    def _nuisance(
        self, device: _Device, batch: Batch, masked: Any, weights: Weights, pairs: _Pairs, q: Any, total: Any, to_particle: Any,
        classes: Any, noise: NoiseSums,
    ) -> dict[str, Any]:  # fmt: skip
        """Compute the norm, scale and offset sums of each particle and add to the noise power."""
        xp, plan, count = self._xp, device.plan, device.plan.count
        slices, ctf = device.fine[pairs.template], weights.model[pairs.particle]
        cross = ctf * (masked[:, :count][pairs.particle] * slices.conj() * q).real
        power = ctf**2 * total[:, None] * (slices.real**2 + slices.imag**2)
        counted = xp.arange(count)[None] < device.scale_count[classes][:, None]
        result = {
            "scale_cross": to_particle @ (cross * counted).sum(axis=1),
            "scale_power": to_particle @ (power * counted).sum(axis=1),
        }
        residual = masked.real**2 + masked.imag**2
        residual[:, :count] *= (to_particle @ total)[:, None]
        residual[:, :count] += to_particle @ (power - 2 * cross)
        shells = self._images.shells(residual)
        result["norm_power"] = shells.sum(axis=1)
        self._images.add_by_optics(batch, shells, noise)
        by_shift = to_particle @ pairs.weights
        shift = xp.asarray(plan.shifts.fine * self._model.pixel_size)
        distance = ((xp.asarray(batch.offset_centre)[:, None] + shift) ** 2).sum(axis=2)
        result["offset_power"] = (by_shift * distance).sum(axis=1)
        return result

    def _accumulate(
        self, device: _Device, batch: Batch, unmasked: Any, weights: Weights, pairs: _Pairs, q: Any, total: Any, data: Any, weight: Any
    ) -> None:
        """Add weighted, shifted images to the slices of their half-set and template."""
        xp, plan = self._xp, device.plan
        half = xp.minimum(xp.asarray(batch.half), plan.halves - 1).astype(xp.int64)[pairs.particle]
        to_slice = group_sum(xp, half * len(device.fine) + pairs.template, len(data))
        images = (unmasked[:, : plan.count] * weights.insert)[pairs.particle] * q
        data.real += to_slice @ xp.ascontiguousarray(images.real)
        data.imag += to_slice @ xp.ascontiguousarray(images.imag)
        weight += to_slice @ (weights.insert_norm[pairs.particle] * total[:, None])

    def _insert(self, device: _Device, data: Any, weight: Any, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Insert all slices into the grids (halves, K, M, M//2+1)."""
        xp, plan, slices = self._xp, device.plan, device.plan.slices_fine
        if plan.gradient:
            data -= weight * xp.tile(device.fine, (plan.halves, 1))
        matrix = insertion_matrix(slices, xp, sparse_module(xp))
        sign = xp.asarray(slices.sign).ravel()
        groups = plan.halves * n_classes

        def columns(values: Any) -> Any:
            return xp.ascontiguousarray(values.reshape(groups, -1).T)

        m = slices.size
        shape = (plan.halves, n_classes, m, m // 2 + 1)
        real, imag = matrix @ columns(data.real), matrix @ (columns(data.imag) * sign[:, None])
        grid = to_numpy(real.T + 1j * imag.T).astype(np.complex64).reshape(shape)
        return grid, to_numpy(matrix @ columns(weight)).T.reshape(shape).astype(np.float32)
