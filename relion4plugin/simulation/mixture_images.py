"""The images of a mixture: everything before the CTF, the CTF, noise, detector faults and normalisation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from relion4plugin.imaging.ctf import CtfParameters, evaluate_ctf
from relion4plugin.imaging.fourier import half_frequencies, half_multiplicity, half_to_image
from relion4plugin.imaging.masks import soft_disc
from relion4plugin.simulation import chains, debris
from relion4plugin.simulation.canvas import Canvas, log_uniform
from relion4plugin.simulation.contaminants import place_phases
from relion4plugin.simulation.images import normalise, subtract_ramps
from relion4plugin.simulation.mixture_maps import MICELLES, MixtureMaps
from relion4plugin.simulation.mixture_plan import MixturePlan
from relion4plugin.simulation.mixture_spec import MixtureSpec
from relion4plugin.simulation.noise import BLOCK, draw_noise, noise_power
from relion4plugin.simulation.projector import Projector

ROWS_AT_ONCE = 8 * BLOCK
CALIBRATION_IMAGES = 256
STRUCTURE_COLOUR = 2.0  # exponent of the fall of the power of the ice's structure
LEAST_TEXTURE = 0.1  # share of the noise that carbon is rough by, where ice has no structure
MICELLE_CONTRAST = 0.7  # of the particles'
HOT_PIXELS, HOT_HEIGHT = (1, 5), (10.0, 50.0)  # how many, and noise standard deviations
RAMP_CURVATURE = 0.6  # of the quadratic part of the ice's thickness, which no plane takes away
DRAWING_STREAM = 30

Drawer = Callable[[np.random.Generator, int, Canvas], np.ndarray]

# drawing of a kind, and how much of it the CTF does not touch: thick or heavy matter takes electrons away
DRAWN: Mapping[str, tuple[Drawer, float]] = {
    "ice": (debris.ice, 0.15),
    "edge": (debris.edge, 0.15),
    "gold": (debris.gold, 0.3),
    "membrane": (debris.membrane, 0.0),
    "fibre": (chains.fibre, 0.0),
    "rod": (chains.rod, 0.0),
    "dna": (chains.dna, 0.0),
    "filament": (chains.filament, 0.0),
}


@dataclass(frozen=True)
class MixtureImages:
    """Makes the images of a plan, chunk by chunk."""

    spec: MixtureSpec
    plan: MixturePlan
    projectors: tuple[Projector, ...]  # of MixtureMaps.volumes, in a box of twice the size
    gains: np.ndarray  # float64: what each of them is multiplied by, to be in standard deviations of the noise
    canvas: Canvas

    def clean(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Make images without noise, with their CTF.

        Parameters
        ----------
        first, count : int
            Rows of the plan; `first` is a multiple of ROWS_AT_ONCE.

        Returns
        -------
        images : numpy.ndarray
            float32 (count, N, N), noise standard deviation 1.
        ctf : numpy.ndarray
            float32 (count, N, N//2+1).
        """
        n, wide = self.spec.box_size, self.canvas.size
        ctf = _wide_ctf(self.plan.ctf.select(slice(first, first + count)), self.canvas)
        half = self._molecules(first, count)
        half *= ctf
        kinds = self.plan.kinds[first : first + count]
        for number, (kind, (draw, absorbed)) in enumerate(DRAWN.items()):
            rows = np.flatnonzero(kinds == kind)
            if len(rows):
                drawing = draw(self._stream(first, number), len(rows), self.canvas)
                half[rows] += drawing * (ctf[rows] + np.float32(absorbed))
        images = half_to_image(half, wide)[:, n // 2 : n // 2 + n, n // 2 : n // 2 + n]
        return np.ascontiguousarray(images), np.ascontiguousarray(ctf[:, ::2, ::2])

    def make(self, first: int, count: int) -> np.ndarray:
        """Make images as extraction gives them; as `clean`, with noise, normalised, protein white."""
        n, rows = self.spec.box_size, slice(first, first + count)
        images, ctf = self.clean(first, count)
        noise = draw_noise(self.spec.seed, 0, first, count, n)
        noise *= _noise_gain(self.spec, ctf)
        images += half_to_image(noise, n)
        images += _thickness(self.plan.ramps[rows], n)
        rng = self._stream(first, len(DRAWN))
        for row in np.flatnonzero(self.plan.kinds[rows] == "hot_pixels"):
            pixels = rng.integers(n * n, size=rng.integers(HOT_PIXELS[0], HOT_PIXELS[1] + 1))
            images[row].flat[pixels] += log_uniform(rng, *HOT_HEIGHT, len(pixels)).astype(np.float32)
        return normalise(subtract_ramps(images))

    def _molecules(self, first: int, count: int) -> np.ndarray:
        """Half transforms (count, W, W//2+1) of everything that is projected, before the CTF."""
        wide = self.canvas.size
        half = np.zeros((count, wide, wide // 2 + 1), np.complex64)
        shown = self.plan.molecules.between(first, first + count)
        for volume in np.unique(shown.volume):
            chosen = np.flatnonzero(shown.volume == volume)
            for start in range(0, len(chosen), ROWS_AT_ONCE):
                some = chosen[start : start + ROWS_AT_ONCE]
                slices = self.projectors[volume](shown.matrices[some])
                slices *= place_phases(shown.places[some], wide)
                slices *= (self.gains[volume] * shown.weight[some]).astype(np.float32)[:, None, None]
                for owner, one in zip(shown.owner[some] - first, slices, strict=True):
                    half[owner] += one
        return half

    def _stream(self, first: int, number: int) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence((self.spec.seed, DRAWING_STREAM, number, first)))


def prepare_mixture_images(spec: MixtureSpec, plan: MixturePlan, maps: MixtureMaps) -> MixtureImages:
    """Prepare the projections and set all scales from the SNR of the first source.

    The SNR is the variance of centred noise-free images of the first source inside its disc, with CTF, averaged over up to 256
    orientations of the plan, over the variance of the noise. Other sources keep their scale beside it.

    Parameters
    ----------
    spec : MixtureSpec
        A valid spec.
    plan : MixturePlan
        Its truth.
    maps : MixtureMaps
        Its densities.

    Returns
    -------
    MixtureImages
    """
    n = spec.box_size
    projectors = tuple(Projector(np.pad(volume, n // 2), 2 * n) for volume in maps.volumes)
    canvas = Canvas(2 * n, spec.pixel_size, 1.0, 1.0, _texture(spec, plan))
    rows = np.flatnonzero(plan.map_number == 1)[:CALIBRATION_IMAGES]
    rows = rows if len(rows) else np.arange(min(len(plan), CALIBRATION_IMAGES))  # nothing but junk: as if it were particles
    disc = soft_disc(n, maps.diameters[0] / spec.pixel_size / 2, 0) > 0.5
    plain, seen = _variances(projectors[0], plan, rows, disc, canvas)
    gain = np.sqrt(spec.snr / seen)
    contrast = gain * np.sqrt(plain)
    gains = np.full(len(projectors), gain)
    for kind in MICELLES:
        for volume in maps.variants.get((kind, 0), ()):
            own = _variances(projectors[volume], plan, rows, disc, canvas)[0]
            gains[volume] = MICELLE_CONTRAST * contrast / np.sqrt(own)
    mass = gain * float(maps.volumes[0].sum(dtype=np.float64))
    return MixtureImages(spec, plan, projectors, gains, replace(canvas, contrast=float(contrast), mass=mass))


def _variances(projector: Projector, plan: MixturePlan, rows: np.ndarray, disc: np.ndarray, canvas: Canvas) -> tuple[float, float]:
    """Mean variance inside the disc of centred projections at the orientations of some rows, without and with their CTF."""
    n, wide = canvas.size // 2, canvas.size
    inner = slice(n // 2, n // 2 + n)
    found = []
    for start in range(0, len(rows), BLOCK):
        some = rows[start : start + BLOCK]
        half = projector(plan.matrices[some])
        for one in (half, half * _wide_ctf(plan.ctf.select(some), canvas)):
            found.append(half_to_image(one, wide)[:, inner, inner][:, disc].var(axis=1))
    return float(np.concatenate(found[::2]).mean()), float(np.concatenate(found[1::2]).mean())


def _wide_ctf(ctf: CtfParameters, canvas: Canvas) -> np.ndarray:
    """CTF in the box of twice the size, float32 (n, W, W//2+1)."""
    wide = canvas.size
    ky, kx = (k.ravel() / (wide * canvas.pixel_size) for k in half_frequencies(wide))
    return np.asarray(evaluate_ctf(kx, ky, ctf).reshape(len(ctf), wide, wide // 2 + 1))


def _noise_gain(spec: MixtureSpec, ctf: np.ndarray) -> np.ndarray:
    """Amplitude of all noise, float32 (n, N, N//2+1): shot noise and the ice's structure seen through the CTF, of variance 1 in all.

    The sum of two independent Gaussian noises is one with the sum of their powers, so one draw serves both.
    """
    n, share = spec.box_size, np.float32(spec.structural_noise)
    shot = noise_power(n, spec.pixel_size, spec.noise_colour)
    passed = noise_power(n, spec.pixel_size, STRUCTURE_COLOUR) * ctf * ctf
    passed /= (passed * half_multiplicity(n)).sum(axis=(-2, -1), keepdims=True)
    return np.asarray(np.sqrt((1 - share) * shot + share * passed))


def _texture(spec: MixtureSpec, plan: MixturePlan) -> np.ndarray:
    """Amplitude of the ice's structure before the CTF in the box of twice the size, for unit white noise; of a typical image."""
    n = spec.box_size
    ky, kx = (k.ravel() / spec.box_angst for k in half_frequencies(n))
    some = plan.ctf.select(slice(0, CALIBRATION_IMAGES))
    ctf = evaluate_ctf(kx, ky, some).reshape(len(some), n, n // 2 + 1)
    seen = (noise_power(n, spec.pixel_size, STRUCTURE_COLOUR) * (ctf * ctf).mean(axis=0) * half_multiplicity(n)).sum()
    share = max(spec.structural_noise, LEAST_TEXTURE)
    return np.sqrt(share / seen * noise_power(2 * n, spec.pixel_size, STRUCTURE_COLOUR))


def _thickness(ramps: np.ndarray, n: int) -> np.ndarray:
    """Grey that ice of uneven thickness adds: a ramp (change across the box, direction) and a curvature; float32 (m, n, n)."""
    axis = (np.arange(n, dtype=np.float32) - n // 2) / np.float32(n)
    height, direction = (ramps[:, i, None, None].astype(np.float32) for i in range(2))
    along = np.cos(direction) * axis + np.sin(direction) * axis[:, None]
    return np.asarray(height * (along + np.float32(RAMP_CURVATURE) * along**2))
