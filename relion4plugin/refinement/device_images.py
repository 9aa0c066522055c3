"""Particle images on the device of an array library: shifted, masked, transformed, summed over shells."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.arrays import fft_module, sparse_module
from relion4plugin.refinement.images import ImageModel, noise_fill
from relion4plugin.refinement.robust_noise import BINS, count_powers
from relion4plugin.refinement.search import Batch
from relion4plugin.refinement.settings import RefinementSettings


@dataclass(frozen=True)
class NoiseSums:
    """What images leave: summed, and counted by its ratio to what is expected; arrays of the device, added to in place."""

    power: Any  # float64 (n_optics, N//2+1)
    counts: Any  # float64 (n_optics, N//2+1, bins), or empty where noise is a mean
    expected: Any  # float64 (n_optics, N//2+1)


class DeviceImages:
    """Turns image batches into masked and unmasked Fourier pixels."""

    def __init__(self, model: ImageModel, settings: RefinementSettings, xp: Any) -> None:
        self._model, self._settings, self._xp = model, settings, xp
        pixels = model.pixels
        self._scale = xp.asarray(pixels.scale)
        self._flat = xp.asarray(pixels.flat)
        self._mask, self._background = xp.asarray(model.mask), xp.asarray(model.background)
        shells = xp.asarray(pixels.shell)
        self._shell_sum = (shells[:, None] == xp.arange(pixels.box // 2 + 1)[None]).astype(xp.float32)

    def transform(self, batch: Batch, images: np.ndarray, sigma2_noise: np.ndarray) -> tuple[Any, Any]:
        """Shift, mask and transform images (n, N, N) of the host.

        Returns
        -------
        masked, unmasked : complex64 (n, P), all pixels of the shell-sorted list
        """
        xp, box, model = self._xp, self._model.pixels.box, self._model
        values = xp.asarray(images) * xp.asarray(batch.factor)[:, None, None]
        shift, axis = xp.asarray(batch.old_offset), xp.arange(box)
        rows, columns = axis[None] - shift[:, 1, None], axis[None] - shift[:, 0, None]
        inside = ((rows >= 0) & (rows < box))[:, :, None] & ((columns >= 0) & (columns < box))[:, None, :]
        particle = xp.arange(len(values))[:, None, None]
        unmasked = xp.where(inside, values[particle, (rows % box)[:, :, None], (columns % box)[:, None, :]], xp.float32(0))
        index = model.optics.index[batch.rows]
        if self._settings.zero_mask:
            outside = (unmasked * self._background).sum(axis=(1, 2))[:, None, None]
        else:
            outside = xp.asarray(noise_fill(images.shape, sigma2_noise[index], (self._settings.seed, int(batch.rows[0]), 2)))
        masked = unmasked * self._mask + outside * (1 - self._mask)
        half = fft_module(xp).rfft2(xp.stack([masked, unmasked])).reshape(2, len(values), -1)
        out = half[:, :, self._flat] * self._scale
        if model.optics.modulation is not None:
            out = out * xp.asarray(model.optics.modulation)[xp.asarray(index)]
        return out[0], out[1]

    def shells(self, values: Any) -> Any:
        """Sum (n, P) over shells to (n, N//2+1)."""
        return values @ self._shell_sum

    def noise_sums(self, sigma2_noise: np.ndarray) -> NoiseSums:
        """Begin sums for the present noise (n_optics, N//2+1)."""
        xp, robust = self._xp, self._settings.noise_is_robust
        expected = xp.asarray(2 * self._model.pixels.per_shell * sigma2_noise)
        return NoiseSums(xp.zeros(expected.shape), xp.zeros((*expected.shape, BINS) if robust else (0, 0, 0)), expected)

    def add_by_optics(self, batch: Batch, shells: Any, noise: NoiseSums) -> None:
        """Add rows (n, N//2+1) to the optics groups of the particles, in place."""
        index = self._model.optics.index[batch.rows]
        noise.power[...] += group_sum(self._xp, index, len(noise.power)) @ shells
        if noise.counts.size:
            noise.counts[...] += count_powers(shells, noise.expected, self._xp.asarray(index), self._xp)

    def constant(self, batch: Batch, masked: Any, sigma2_noise: np.ndarray, count: int) -> Any:
        """Return the part of -log P that no pose changes: image power over noise, and the noise's normalisation (n,)."""
        xp, inner = self._xp, slice(1, count)
        inverse = (1 / sigma2_noise[:, self._model.pixels.shell[inner]]).astype(np.float32)
        inverse = xp.asarray(inverse)[xp.asarray(self._model.optics.index[batch.rows])]
        values = masked[:, inner]
        return (0.5 * (values.real**2 + values.imag**2) * inverse - xp.log(inverse / (2 * np.pi))).sum(axis=1, dtype=xp.float64)


def group_sum(xp: Any, index: Any, rows: int) -> Any:
    """Return the sparse matrix that sums columns by `index` (n,), float32 (rows, n)."""
    index = xp.asarray(index)
    return sparse_module(xp).csr_matrix((xp.ones(len(index), xp.float32), (index, xp.arange(len(index)))), shape=(rows, len(index)))
