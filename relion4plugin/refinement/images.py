"""From particle rows to Fourier pixels with their CTF and noise weights: the input of the expectation step."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.files.particles import ParticleImages, ParticleSet
from relion4plugin.imaging.ctf import CtfOptions, CtfParameters, ctf_of_particles, evaluate_ctf
from relion4plugin.imaging.fourier import half_shells, half_to_image, image_to_half
from relion4plugin.imaging.masks import soft_disc
from relion4plugin.refinement.optics import OpticsModel
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.settings import RefinementSettings

MASK_EDGE = 5.0  # px


class ImageSource:
    """Particle images, kept in memory where they fit into a quarter of the limit, else read from disk every time."""

    def __init__(self, particles: ParticleSet, memory_limit: float) -> None:
        self.particles = particles
        self._images = ParticleImages(particles)
        self._cache: np.ndarray | None = None
        box = particles.box_size
        if len(particles) * box * box * 4 <= memory_limit * 2**30 / 4:
            self._cache = np.zeros((len(particles), box, box), np.float32)
            self._present = np.zeros(len(particles), bool)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return images of the rows, float32 (n, N, N)."""
        if self._cache is None:
            return self._images.read(rows)
        missing = rows[~self._present[rows]]
        if len(missing):
            self._cache[missing] = self._images.read(missing)
            self._present[missing] = True
        return self._cache[rows]


@dataclass(frozen=True)
class ImageModel:
    """What does not change in a run: masks, pixel list, optics and CTF parameters of all particles."""

    pixels: PixelList
    mask: np.ndarray  # float32 (N, N)
    background: np.ndarray  # float32 (N, N), (1 - mask) normalised to sum 1
    ctf: CtfParameters | None  # None: no CTF correction
    options: CtfOptions
    optics: OpticsModel
    pixel_size: float

    @classmethod
    def of(cls, particles: ParticleSet, settings: RefinementSettings) -> "ImageModel":
        """Collect the model of a particle set."""
        box, pixel_size = particles.box_size, particles.pixel_size
        mask = soft_disc(box, settings.particle_diameter / 2 / pixel_size, MASK_EDGE)
        outside = 1.0 - mask
        background = outside / max(float(outside.sum()), 1e-6)
        ctf = ctf_of_particles(particles, np.arange(len(particles))) if settings.ctf_correction else None
        options = CtfOptions(settings.intact_first_peak, settings.phase_flipped, settings.only_flip_phases)
        pixels = PixelList.of(box)
        return cls(pixels, mask, background.astype(np.float32), ctf, options, OpticsModel.of(particles, pixels), pixel_size)

    def ctf_values(self, rows: np.ndarray, count: int, xp: Any = np) -> Any:
        """Return the CTF of particle rows at the first `count` pixels, float32 (n, count) on the device of `xp`."""
        if self.ctf is None:
            return xp.ones((len(rows), count), xp.float32)
        scale = 1.0 / (self.pixels.box * self.pixel_size)
        fx, fy = xp.asarray(self.pixels.kx[:count] * scale), xp.asarray(self.pixels.ky[:count] * scale)
        if not self.optics.has_extra_phase:
            return evaluate_ctf(fx, fy, self.ctf.select(rows), self.options)
        groups = self.optics.index[rows]
        values = xp.empty((len(rows), count), xp.float32)
        for key in np.unique(groups):
            mine = np.flatnonzero(groups == key)
            extra = xp.asarray(self.optics.extra_phase[key, :count])
            values[xp.asarray(mine)] = evaluate_ctf(fx, fy, self.ctf.select(rows[mine]), self.options, extra)
        return values


@dataclass(frozen=True)
class Weights:
    """CTF and noise factors of a batch at the first P pixels, float32 (n, P), s the scale of the particle's group.

    For images that were already multiplied by their CTF the model CTF is C^2 and the back-projected image is not multiplied again.
    """

    model: Any  # s C, what a reference is multiplied by
    data: Any  # s C / s2
    norm: Any  # (s C)^2 / s2
    insert: Any  # factor of the unmasked image in the back-projection
    insert_norm: Any  # its weight


def make_weights(model: ImageModel, rows: np.ndarray, count: int, sigma2_noise: np.ndarray, scale: np.ndarray, xp: Any = np) -> Weights:
    """Compute the weights of particle rows on the device of `xp`.

    Parameters
    ----------
    sigma2_noise : float (n_optics, N//2+1), noise variance per real or imaginary component
    scale : float (n,), intensity scale of each particle's group
    """
    ctf = model.ctf_values(rows, count, xp)
    group = xp.asarray(model.optics.index[rows])
    inverse = xp.asarray((1.0 / sigma2_noise[:, model.pixels.shell[:count]]).astype(np.float32))[group]
    factor = xp.asarray(scale.astype(np.float32))[:, None]
    scaled = ctf * factor
    if not model.optics.premultiplied.any():
        data = scaled * inverse
        norm = scaled * data
        return Weights(scaled, data, norm, data, norm)
    premultiplied = xp.asarray(model.optics.premultiplied)[group][:, None]
    insert = xp.where(premultiplied, factor, scaled) * inverse
    modelled = xp.where(premultiplied, scaled * ctf, scaled)
    data = modelled * inverse
    return Weights(modelled, data, modelled * data, insert, scaled * scaled * inverse)


def noise_fill(shape: tuple[int, ...], sigma2: Any, seed: tuple[int, ...]) -> np.ndarray:
    """Draw images (n, N, N) of Gaussian noise with the spectrum `sigma2` (n, N//2+1) per component."""
    white = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
    shells = np.minimum(half_shells(shape[-1]), shape[-1] // 2)
    amplitude = np.sqrt(np.asarray(sigma2)[:, shells] * 2 * shape[-1] ** 2).astype(np.float32)
    return half_to_image(image_to_half(white) * amplitude, shape[-1])
