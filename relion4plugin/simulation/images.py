"""The images of a plan: projection, CTF, shift, contaminants, noise, normalisation; a chunk of rows at a time."""

from dataclasses import dataclass, replace

import numpy as np

from relion4plugin.imaging.ctf import evaluate_ctf
from relion4plugin.imaging.fourier import half_frequencies, half_to_image
from relion4plugin.simulation.contaminants import break_volume, edge_images, extra_images, place_phases
from relion4plugin.simulation.noise import BLOCK, draw_noise, noise_gain, noise_power
from relion4plugin.simulation.plan import Plan
from relion4plugin.simulation.projector import Projector
from relion4plugin.simulation.spec import NEIGHBOUR, PARTICLE, SimulationSpec

BACKGROUND_DIAMETER = 0.75  # of the box; RELION normalises on what lies outside
BROKEN_VARIANTS = 4
CALIBRATION_IMAGES = 256


@dataclass(frozen=True)
class ImageMaker:
    """Makes the images of any rows of a plan, the same ones for the same rows."""

    spec: SimulationSpec
    plan: Plan
    whole: Projector
    broken: tuple[Projector, ...]  # empty if the plan has no broken particle
    power: np.ndarray  # float32 (groups, N, N//2+1)
    gain: float = 1.0  # of the signal, to meet the SNR with noise of variance 1

    def signal(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Make the noise-free particles of some rows, at their places and with their CTF, without contaminants.

        Returns
        -------
        half, ctf : numpy.ndarray
            complex64 half transforms and float32 CTF, both (n, N, N//2+1).
        """
        n, kinds = self.spec.box_size, self.plan.kinds[rows]
        half = np.zeros((len(rows), n, n // 2 + 1), np.complex64)
        shown = np.isin(kinds, (PARTICLE, NEIGHBOUR))
        half[shown] = self.whole(self.plan.matrices[rows[shown]])
        for variant, projector in enumerate(self.broken):
            chosen = (kinds == "broken") & (rows % BROKEN_VARIANTS == variant)
            half[chosen] = projector(self.plan.matrices[rows[chosen]])
        half *= place_phases(self.plan.places[rows], n)
        ky, kx = (k.ravel() / self.spec.box_angst for k in half_frequencies(n))
        ctf = evaluate_ctf(kx, ky, self.plan.ctf.select(rows)).reshape(half.shape)
        half *= np.float32(self.gain) * ctf
        return half, ctf

    def make(self, first: int, count: int) -> np.ndarray:
        """Make images of one micrograph.

        Parameters
        ----------
        first, count : int
            Rows of the plan, all of one micrograph; `first` is a whole number of noise blocks from the micrograph's first row.

        Returns
        -------
        numpy.ndarray
            float32 (count, N, N), normalised, protein white.
        """
        rows = np.arange(first, first + count)
        n, micrograph = self.spec.box_size, int(self.plan.micrograph[first])
        within = first - int(np.searchsorted(self.plan.micrograph, micrograph))
        half, ctf = self.signal(rows)
        noise = draw_noise(self.spec.seed, micrograph, within, count, n)
        noise *= noise_gain(self.power[self.plan.optics_group[first] - 1], ctf, self.spec.structural_noise)
        half += noise
        images = half_to_image(half, n)
        self._add_contaminants(images, rows)
        return normalise(images)

    def _add_contaminants(self, images: np.ndarray, rows: np.ndarray) -> None:
        first = int(rows[0])
        extras = self.plan.extras.between(first, first + len(rows))
        if len(extras.owner):
            added = extra_images(self.whole, extras, self.plan.ctf.select(extras.owner), self.spec.pixel_size)
            np.add.at(images, extras.owner - first, np.float32(self.gain) * added)
        edged = np.flatnonzero(self.plan.kinds[rows] == "edge")
        if len(edged):
            images[edged] += edge_images(self.plan.edges[rows[edged]], self.spec.box_size)


def prepare_images(spec: SimulationSpec, plan: Plan, volume: np.ndarray, diameter: float) -> ImageMaker:
    """Prepare the projections and set the gain of the signal from the SNR.

    The SNR is the variance of the noise-free, CTF-modulated images inside the particle disc, averaged over up to 256 particles,
    over the variance of the noise.

    Parameters
    ----------
    spec : SimulationSpec
        What is asked for.
    plan : Plan
        Its truth.
    volume : numpy.ndarray
        float32 (N, N, N).
    diameter : float
        Diameter of the particle disc in A.

    Returns
    -------
    ImageMaker
    """
    rng = np.random.default_rng(np.random.SeedSequence((spec.seed, 6)))
    broken: tuple[Projector, ...] = ()
    if (plan.kinds == "broken").any():
        broken = tuple(Projector(break_volume(volume, rng), spec.box_size) for _ in range(BROKEN_VARIANTS))
    power = np.stack([noise_power(spec.box_size, spec.pixel_size, spec.noise_colour, g + 1) for g in range(spec.n_optics_groups)])
    maker = ImageMaker(spec, plan, Projector(volume), broken, power)
    rows = np.flatnonzero(plan.kinds == PARTICLE)[:CALIBRATION_IMAGES]
    if len(rows) == 0:  # nothing but junk: as if its first rows were particles
        rows = np.arange(min(len(plan), CALIBRATION_IMAGES))
        maker = replace(maker, plan=replace(plan, kinds=np.full(len(plan), PARTICLE)))
    variance = _signal_variance(maker, rows, diameter / spec.pixel_size / 2)
    return replace(maker, plan=plan, gain=float(np.sqrt(spec.snr / variance)))


def _signal_variance(maker: ImageMaker, rows: np.ndarray, radius: float) -> float:
    """Mean variance of noise-free images inside the disc of `radius` px."""
    n = maker.spec.box_size
    axis = np.arange(n) - n // 2
    disc = axis[:, None] ** 2 + axis**2 <= radius**2
    parts = [half_to_image(maker.signal(rows[i : i + BLOCK])[0], n)[:, disc].var(axis=1) for i in range(0, len(rows), BLOCK)]
    return float(np.concatenate(parts).mean())


def normalise(images: np.ndarray) -> np.ndarray:
    """Normalise as RELION's extraction does: mean 0 and standard deviation 1 outside a circle of 0.75 box across.

    Parameters
    ----------
    images : numpy.ndarray
        float32 (n, N, N), changed in place.

    Returns
    -------
    numpy.ndarray
        The same array.
    """
    background = background_pixels(images.shape[-1])
    values = images.reshape(len(images), -1)[:, background]
    images -= values.mean(axis=1)[:, None, None]
    images /= values.std(axis=1)[:, None, None]
    return images


def background_pixels(n: int) -> np.ndarray:
    """Flat indices of the pixels of an image of n px outside a circle of 0.75 box."""
    axis = np.arange(n) - n // 2
    return np.flatnonzero(axis[:, None] ** 2 + axis**2 > (BACKGROUND_DIAMETER * n / 2) ** 2)


def subtract_ramps(images: np.ndarray) -> np.ndarray:
    """Subtract the plane that fits the background best, as RELION's extraction does before it normalises.

    Parameters
    ----------
    images : numpy.ndarray
        float32 (n, N, N), changed in place.

    Returns
    -------
    numpy.ndarray
        The same array.
    """
    n = images.shape[-1]
    axis = np.arange(n) / n - 0.5
    plane = np.stack([np.ones(n * n), np.tile(axis, n), np.repeat(axis, n)])
    background = background_pixels(n)
    fit = np.linalg.pinv(plane[:, background]).astype(np.float32)
    flat = images.reshape(len(images), -1)
    flat -= (flat[:, background] @ fit) @ plane.astype(np.float32)
    return images
