"""Particle images on the CPU as Fourier pixels: read, shifted, masked, transformed; and memory that is used again."""

import math
import threading

import numpy as np
import scipy.fft

from relion4plugin.refinement import kernels
from relion4plugin.refinement.images import ImageModel, ImageSource, noise_fill
from relion4plugin.refinement.search import Batch
from relion4plugin.refinement.settings import RefinementSettings


class Workspace(threading.local):
    """Each thread's large temporary arrays, used again for every chunk: fresh pages cost more than the work in them."""

    def __init__(self) -> None:
        self._buffers: dict[str, np.ndarray] = {}

    def take(self, name: str, *shape: int) -> np.ndarray:
        """Return uninitialised float32 memory that the next call with this name in this thread overwrites."""
        size = math.prod(shape)
        if name not in self._buffers or len(self._buffers[name]) < size:
            self._buffers[name] = np.empty(size, np.float32)
        return self._buffers[name][:size].reshape(shape)


class CpuImages:
    """Turns batches of particles into masked and unmasked Fourier pixels."""

    def __init__(self, source: ImageSource, model: ImageModel, settings: RefinementSettings, work: Workspace) -> None:
        self._source, self._model, self._settings, self._work = source, model, settings, work

    def transform(self, batch: Batch, sigma2_noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Read, shift, mask and transform: parts (2, n, P) of masked and unmasked images, valid until the next call."""
        model, pixels = self._model, self._model.pixels
        images = self._source.read(batch.rows)
        both = self._work.take("images", 2, *images.shape)
        kernels.shift_and_mask(images, batch.factor, batch.old_offset, model.mask, model.background, both[0], both[1])
        if not self._settings.zero_mask:
            seed = (self._settings.seed, int(batch.rows[0]), 2)
            fill = noise_fill(images.shape, sigma2_noise[model.optics.index[batch.rows]], seed)
            both[0] = both[1] * model.mask + fill * (1 - model.mask)
        half = scipy.fft.rfft2(both.reshape(-1, pixels.box, pixels.box), workers=1).reshape(2 * len(images), -1)
        real, imag = (self._work.take(part, len(half), len(pixels.flat)) for part in ("real", "imag"))
        kernels.gather_pixels(half, pixels.flat, pixels.scale, real, imag)
        if model.optics.modulation is not None:
            factor = np.tile(model.optics.modulation[model.optics.index[batch.rows]], (2, 1))
            real, imag = real * factor.real - imag * factor.imag, real * factor.imag + imag * factor.real
        return real.reshape(2, len(images), -1), imag.reshape(2, len(images), -1)

    def constant(self, rows: np.ndarray, power: np.ndarray, sigma2_noise: np.ndarray, count: int) -> np.ndarray:
        """Return the part of -log P that no pose changes: image power over noise, and the noise's normalisation.

        Parameters
        ----------
        power : float64 (n, shells), image power; count : pixels in the likelihood
        """
        pixels = self._model.pixels
        s2 = sigma2_noise[self._model.optics.index[rows]]
        inner = slice(1, pixels.shell[count - 1] + 1)
        normalisation = pixels.per_shell[inner] * np.log(2 * np.pi * s2[:, inner])
        return (0.5 * power[:, inner] / s2[:, inner] + normalisation).sum(axis=1)
