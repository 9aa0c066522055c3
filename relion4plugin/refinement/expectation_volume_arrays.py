"""The expectation step with 3D references as array operations: runs on a GPU through cupy, and on numpy as the kernels' counterpart.

Everything with pixels (images, slices, products, back-projection) happens on the device, in batches that fit the memory limit, and
the grids stay there until the end. The lists of significant samples, a few numbers each, are made on the host meanwhile.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.arrays import to_numpy
from relion4plugin.imaging.fourier import shift_phases
from relion4plugin.refinement.device_images import DeviceImages, NoiseSums, group_sum
from relion4plugin.refinement.images import ImageModel, ImageSource, Weights, make_weights
from relion4plugin.refinement.particles import scale_counts
from relion4plugin.refinement.search import Batch, Expectation, ParticleSums
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.volume_coarse_arrays import ArrayCoarseSearch
from relion4plugin.refinement.volume_pairs import Samples
from relion4plugin.refinement.volume_posterior import FineSamples, Posterior, orientation_children
from relion4plugin.refinement.volume_search import VolumeSearchPlan, crop_transforms, uncrop
from relion4plugin.refinement.volume_slices_arrays import SliceArrays

PARTS = 4  # shares of the memory limit: images, coarse slices, scores, pairs
COPIES = 20  # complex arrays of (pairs, pixels) alive at once
IMAGE_COPIES = 24  # complex arrays of (particles, pixels)
BYTES_PER_SAMPLE = 24  # on the host


@dataclass(frozen=True)
class _Device:
    """What a step keeps on the device."""

    plan: VolumeSearchPlan
    model: Model
    grids: Any  # complex64 (K * Z * Y * X,)
    slices: SliceArrays  # all pixels
    inner: SliceArrays  # pixels of the likelihood
    coarse: ArrayCoarseSearch
    phases: Any  # complex64 (T_fine, P)
    scale_count: Any  # int64 (K,)
    sums: tuple[Any, Any, Any]  # float32 (halves * K * Z * Y * X,), real, imaginary, weight
    noise: NoiseSums


@dataclass(frozen=True)
class _Block:
    """A batch of particles on the device."""

    batch: Batch
    masked: Any  # complex64 (n, all P)
    unmasked: Any
    weights: Weights
    data_weight: Any  # float32 (n, P), of the scores' cross terms
    norm_weight: Any  # of their norm terms

    def part(self, rows: slice) -> "_Block":
        """Return some particles."""
        w = self.weights
        weights = Weights(w.model[rows], w.data[rows], w.norm[rows], w.insert[rows], w.insert_norm[rows])
        return _Block(
            self.batch.part(rows), self.masked[rows], self.unmasked[rows], weights, self.data_weight[rows], self.norm_weight[rows]
        )


@dataclass(frozen=True)
class _Pairs:
    """Some pairs with their slices; pairs with the same slice and half-set are a group."""

    particle: Any  # int64 (c,)
    grid_class: Any  # int64 (c,)
    group: Any  # int64 (c,)
    slices: Any  # complex64 (groups, P)
    matrices: Any  # float32 (groups, 3, 3)
    target: np.ndarray  # int64 (groups,), half * K + class
    samples: np.ndarray  # int64 (s,), fine samples of all pairs
    row: Any  # int64 (s,), pair of each
    shift: Any  # int64 (s,)


class VolumeArrayExpectation:
    """Runs expectation steps with 3D references with the array library `xp`."""

    def __init__(self, source: ImageSource, model: ImageModel, settings: RefinementSettings, xp: Any) -> None:
        self._source, self._model, self._settings, self._xp = source, model, settings, xp
        self._room = settings.memory_limit * 2**30 / PARTS
        self._reader = ThreadPoolExecutor(1)
        self._images = DeviceImages(model, settings, xp)

    def close(self) -> None:
        """End the reading thread."""
        self._reader.shutdown()

    def run(
        self, batch: Batch, transforms: np.ndarray, plan: VolumeSearchPlan, model: Model, advance: Callable[[int], object]
    ) -> Expectation:
        """Expect over a batch.

        Parameters
        ----------
        transforms : complex64 (K, M, M, M//2+1)
            Gridding-corrected padded references.
        """
        n, n_classes = len(batch.rows), len(transforms)
        cropped = crop_transforms(transforms, plan.crop, plan.padding * plan.radius)
        device = self._load(cropped, plan, model)
        sums = ParticleSums.empty(n)
        class_weight, direction_weight = np.zeros(n_classes), np.zeros((n_classes, plan.n_directions))
        size = max(1, int(self._room / (IMAGE_COPIES * 8 * len(plan.pixels.flat))))
        parts = [slice(b, min(b + size, n)) for b in range(0, n, size)]
        ahead = self._reader.submit(self._source.read, batch.rows[parts[0]])
        for j, part in enumerate(parts):
            images = ahead.result()
            if j + 1 < len(parts):
                ahead = self._reader.submit(self._source.read, batch.rows[parts[j + 1]])
            block = self._prepare(device, batch.part(part), images)
            coarse = device.coarse.run(block.batch, block.masked, block.data_weight, block.norm_weight)
            for rows in self._fine_parts(plan, coarse):
                posterior = self._finish(device, block.part(rows), coarse.part(rows.start, rows.stop), sums, part.start + rows.start)
                posterior.assign(class_weight, direction_weight)
            advance(part.stop - part.start)
        shape = (plan.halves, n_classes, *cropped.shape[1:4])
        grids = self._grids(device, shape, transforms.shape[1])
        return Expectation(sums, class_weight, to_numpy(device.noise.power), *grids, plan.spread_directions(direction_weight))

    def _load(self, cropped: np.ndarray, plan: VolumeSearchPlan, model: Model) -> _Device:
        xp, pixels = self._xp, plan.pixels
        _, depth, height, width, _ = cropped.shape
        grids = xp.asarray(cropped).view(xp.complex64).ravel()

        def slices(count: int, radius: int) -> SliceArrays:
            return SliceArrays.of(xp, (depth, height, width), plan.padding, pixels, count, radius)

        coarse = ArrayCoarseSearch(xp, plan, grids, slices(plan.count_coarse, plan.coarse_size // 2), model, self._room)
        real, imag, weight = (xp.zeros(plan.halves * grids.size, xp.float32) for _ in range(3))
        return _Device(
            plan, model, grids, slices(plan.count, plan.radius), slices(plan.count_likelihood, plan.radius), coarse,
            xp.asarray(plan.phases_fine), xp.asarray(scale_counts(model, plan)), (real, imag, weight),
            self._images.noise_sums(model.sigma2_noise),
        )  # fmt: skip

    def _grids(self, device: _Device, shape: tuple[int, ...], size: int) -> tuple[np.ndarray, np.ndarray]:
        """Bring the sums to the host as plain half grids (halves, K, M, M, M//2+1)."""
        real, imag, weight = (total.reshape(shape) for total in device.sums)
        data = np.empty((*shape[:2], size, size, size // 2 + 1), np.complex64)
        weights = np.empty(data.shape, np.float32)
        for place in np.ndindex(shape[:2]):
            data[place] = uncrop(to_numpy(real[place] + imag[place] * np.complex64(1j)), size)
            weights[place] = uncrop(to_numpy(weight[place]), size)
        return data, weights

    def _prepare(self, device: _Device, batch: Batch, images: np.ndarray) -> _Block:
        xp, plan, model = self._xp, device.plan, device.model
        masked, unmasked = self._images.transform(batch, images, model.sigma2_noise)
        if plan.keep_shifts:
            rest = xp.asarray(shift_phases(plan.pixels.ky, plan.pixels.kx, batch.rest, plan.pixels.box))
            masked, unmasked = masked * rest, unmasked * rest
        weights = make_weights(self._model, batch.rows, plan.count, model.sigma2_noise, batch.scale, xp)
        data_weight, norm_weight = weights.data, weights.norm
        if plan.correlate:  # the first comparison with a reference of unknown grey scale weighs all frequencies alike
            data_weight, norm_weight = weights.model, weights.model**2
        return _Block(batch, masked, unmasked, weights, data_weight, norm_weight)

    def _fine_parts(self, plan: VolumeSearchPlan, coarse: Samples) -> Iterator[slice]:
        """Yield as many particles at once as their fine samples leave room for, at least one."""
        limit = int(max(1, self._room / (BYTES_PER_SAMPLE * orientation_children(plan) * plan.shifts.children)))
        done, n = 0, len(coarse.start) - 1
        while done < n:
            fit = int(np.searchsorted(coarse.start[done + 1 :], coarse.start[done] + limit, side="right"))
            yield slice(done, done + max(1, fit))
            done += max(1, fit)

    def _finish(self, device: _Device, block: _Block, coarse: Samples, sums: ParticleSums, first: int) -> Posterior:
        """Score the children of the significant samples, and sum those that count."""
        plan, model, n = device.plan, device.model, len(block.batch.rows)
        out = slice(first, first + n)
        fine = FineSamples.of(plan, coarse, block.batch.angles)
        scores = self._score(device, block, fine)
        posterior = Posterior.of(plan, fine, scores, model.n_classes)
        posterior.store(sums, out, block.batch, self._model.pixel_size)
        constant = self._images.constant(block.batch, block.masked, model.sigma2_noise, plan.count_likelihood)
        sums.n_significant[out] = np.diff(coarse.start)
        sums.log_likelihood[out] = posterior.log_sum - to_numpy(constant)
        for name, values in self._sum(device, block, posterior).items():
            getattr(sums, name)[out] = to_numpy(values)
        return posterior

    def _chunks(self, device: _Device, fine: FineSamples, order: np.ndarray, half: np.ndarray, slices: SliceArrays) -> Iterator[_Pairs]:
        """Yield pairs in an order in which they share slices, as many at once as fit the memory."""
        xp, pairs, n_classes = self._xp, fine.pairs, device.model.n_classes
        size = max(1, int(self._room / (COPIES * 8 * slices.count + 16 * len(device.phases))))
        for first in range(0, len(order), size):
            chosen = order[first : first + size]
            key = half[pairs.particle[chosen]] + 2 * fine.slice_key[chosen]
            _, one, group = np.unique(key, return_index=True, return_inverse=True)
            one = chosen[one]
            matrices = xp.asarray(fine.matrices_of(one).astype(np.float32))
            samples, row = fine.samples_of(chosen)
            yield _Pairs(
                xp.asarray(pairs.particle[chosen].astype(np.int64)),
                xp.asarray(pairs.grid_class[chosen].astype(np.int64)),
                xp.asarray(group),
                slices.cut(device.grids, xp.asarray(pairs.grid_class[one]), matrices),
                matrices,
                half[pairs.particle[one]].astype(np.int64) * n_classes + pairs.grid_class[one],
                samples,
                xp.asarray(row),
                xp.asarray(pairs.sample_shift[samples].astype(np.int64)),
            )

    def _score(self, device: _Device, block: _Block, fine: FineSamples) -> np.ndarray:
        """Score fine samples, float32 (samples,) on the host."""
        xp, plan = self._xp, device.plan
        inner = slice(1, plan.count_likelihood)
        images = block.masked[:, inner] * block.data_weight[:, inner]
        norm_weight, phases = block.norm_weight[:, inner], device.phases[:, inner]
        offset_prior = xp.repeat(xp.asarray(block.batch.offset_prior), plan.shifts.children, axis=1)
        scores = np.empty(len(fine.pairs.sample_shift), np.float32)
        together = np.zeros(len(block.batch.rows), np.int64)
        for pairs in self._chunks(device, fine, fine.order, together, device.inner):
            slices = pairs.slices[pairs.group, inner]
            norm = 0.5 * (norm_weight[pairs.particle] * (slices.real**2 + slices.imag**2)).sum(axis=1)
            product = images[pairs.particle] * slices.conj()
            table = product.real @ phases.real.T - product.imag @ phases.imag.T
            if plan.correlate:
                values = (table / xp.sqrt(xp.maximum(norm, xp.float32(1e-30)))[:, None])[pairs.row, pairs.shift]
            else:
                values = (table - norm[:, None])[pairs.row, pairs.shift] + offset_prior[pairs.particle[pairs.row], pairs.shift]
            scores[pairs.samples] = to_numpy(values)
        if not plan.correlate:
            scores += fine.prior_of_samples()
        return scores

    def _sum(self, device: _Device, block: _Block, posterior: Posterior) -> dict[str, Any]:
        """Add retained samples to the back-projection and the noise; return the norm and scale sums of the particles."""
        xp, plan, n, count = self._xp, device.plan, len(block.batch.rows), device.plan.count
        fine, weights = posterior.fine, block.weights
        half = np.minimum(block.batch.half, plan.halves - 1).astype(np.int64)
        masked, insert = block.masked[:, :count], block.unmasked[:, :count] * weights.insert
        residual = xp.zeros((n, count), xp.float32)
        total, scale_cross, scale_power = (xp.zeros(n) for _ in range(3))
        for pairs in self._chunks(device, fine, posterior.used(), half, device.slices):
            retained = xp.zeros((len(pairs.particle), len(device.phases)), xp.float32)
            retained[pairs.row, pairs.shift] = xp.asarray(posterior.weights[pairs.samples])
            q, w = retained @ device.phases, retained.sum(axis=1)
            slices, ctf = pairs.slices[pairs.group], weights.model[pairs.particle]
            cross = ctf * (masked[pairs.particle] * slices.conj() * q).real
            power = ctf**2 * w[:, None] * (slices.real**2 + slices.imag**2)
            counted = xp.arange(count)[None] < device.scale_count[pairs.grid_class][:, None]
            to_particle = group_sum(xp, pairs.particle, n)
            residual += to_particle @ (power - 2 * cross)
            total += to_particle @ w
            scale_cross += to_particle @ (cross * counted).sum(axis=1)
            scale_power += to_particle @ (power * counted).sum(axis=1)
            self._insert(device, pairs, insert[pairs.particle] * q, weights.insert_norm[pairs.particle] * w[:, None])
        power = block.masked.real**2 + block.masked.imag**2
        power[:, :count] = power[:, :count] * total[:, None] + residual
        shells = self._images.shells(power)
        self._images.add_by_optics(block.batch, shells, device.noise)
        return {"norm_power": shells.sum(axis=1), "scale_cross": scale_cross, "scale_power": scale_power}

    def _insert(self, device: _Device, pairs: _Pairs, images: Any, weights: Any) -> None:
        """Sum images and weights (c, P) over the pairs of each slice, and add the slices to the grids."""
        xp = self._xp
        to_group = group_sum(xp, pairs.group, len(pairs.slices))
        real, imag = (to_group @ xp.ascontiguousarray(part) for part in (images.real, images.imag))
        weight = to_group @ weights
        if device.plan.gradient:
            real, imag = real - weight * pairs.slices.real, imag - weight * pairs.slices.imag
        device.slices.insert(device.sums, xp.asarray(pairs.target), pairs.matrices, real + imag * np.complex64(1j), weight)
