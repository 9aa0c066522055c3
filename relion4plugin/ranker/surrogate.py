"""Imitated class averages with their truth: far cheaper than a classification, for a first round of training.

A class is the mean of projections as a run would have averaged them: some spread of views and errors of alignment, Wiener-filtered
at the signal-to-noise ratio that its number of particles gives, with the noise that is left. Junk classes are noise with a bias
towards something, edges, blobs, or all views on top of each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.files.particles import make_particles
from relion4plugin.geometry.euler import euler_to_matrix, random_rotations
from relion4plugin.imaging.filters import lowpass_half, radial_power
from relion4plugin.imaging.fourier import half_shells, half_to_image, image_to_half
from relion4plugin.imaging.masks import soft_disc
from relion4plugin.ranker.class_run import ClassRun, resolution_from_ssnr
from relion4plugin.ranker.truth import ParticleTruth
from relion4plugin.simulation.contaminants import edge_images, place_phases
from relion4plugin.simulation.projector import Projector

AVERAGED = 64  # projections of a class; more particles only lower the noise
MEAN_CTF2 = 0.45  # of the squared CTF over shells and defoci
SIGNAL_CTF2 = 0.15  # the same, weighted by the power of a protein, which lies at low frequency
UNKNOWN = 999.0  # accuracies, to be computed from the class
PROTEIN, OVERLAID, BIASED, EDGE, BLOB = "protein", "overlaid", "biased noise", "edge", "blob"
JUNK = (OVERLAID, BIASED, EDGE, BLOB)


@dataclass(frozen=True)
class SurrogateSpec:
    """One imitated job; pairs are ranges that each class draws from."""

    n_classes: int = 30
    junk: float = 0.4  # share of the classes that show no particle
    members: tuple[float, float] = (20.0, 2000.0)  # particles of a class, log-uniform
    view_spread: tuple[float, float] = (2.0, 25.0)  # deg
    turn_error: tuple[float, float] = (0.5, 10.0)  # deg
    shift_error: tuple[float, float] = (0.5, 8.0)  # A
    off_centre: float = 0.1  # share of the classes that are 0.1 to 0.4 diameters off
    impurity: tuple[float, float] = (0.0, 0.6)  # share of members that are noise
    snr: float = 0.05  # variance of the signal in the mask / variance of the noise
    mask_ratio: float = 1.15  # mask diameter over particle diameter
    seed: int = 0


def make_surrogate(
    volumes: Sequence[np.ndarray], pixel_size: float, diameter: float, spec: SurrogateSpec
) -> tuple[ClassRun, ParticleTruth]:
    """Imitate a classification.

    Parameters
    ----------
    volumes : sequence of numpy.ndarray
        float32 (N, N, N), particles bright; each class shows one of them.
    pixel_size : float
        A per px.
    diameter : float
        Of the particle, A.
    spec : SurrogateSpec

    Returns
    -------
    ClassRun, ParticleTruth
        As `truth.class_truth` takes them, with the volumes.
    """
    rng = np.random.default_rng(np.random.SeedSequence((spec.seed, 0x73757272)))
    maker = _Maker(volumes, pixel_size, diameter, spec, rng)
    made = [maker.make() for _ in range(spec.n_classes)]
    sizes = np.array([len(one.kinds) for one in made])
    truth = ParticleTruth(
        matrices=np.concatenate([one.matrices for one in made]),
        origins=np.concatenate([one.origins for one in made]),
        map_number=np.concatenate([one.numbers for one in made]),
        kinds=np.concatenate([one.kinds for one in made]),
        genuine=np.concatenate([one.numbers for one in made]) > 0,
    )
    ssnr = np.stack([one.ssnr for one in made])
    return maker.run(np.stack([one.image for one in made]), ssnr, sizes, np.concatenate([one.psi for one in made])), truth


@dataclass(frozen=True)
class _Class:
    """One class and its members."""

    image: np.ndarray  # float32 (N, N)
    ssnr: np.ndarray  # float64 (N/2+1,)
    matrices: np.ndarray  # float64 (n, 3, 3), true
    psi: np.ndarray  # float64 (n,), estimated, deg
    origins: np.ndarray  # float64 (n, 2), true; the estimated ones are 0
    numbers: np.ndarray  # int64 (n,)
    kinds: np.ndarray  # str (n,)


class _Maker:
    """Draws the classes of one job."""

    def __init__(
        self, volumes: Sequence[np.ndarray], pixel_size: float, diameter: float, spec: SurrogateSpec, rng: np.random.Generator
    ) -> None:
        self._spec, self._rng, self._pixel, self._diameter = spec, rng, pixel_size, diameter
        self._box = volumes[0].shape[0]
        edge = self._box * pixel_size
        self._mask_diameter = min(spec.mask_ratio * diameter, edge - 10.0 * pixel_size)
        self._mask = soft_disc(self._box, self._mask_diameter / pixel_size / 2)
        self._projectors = [Projector(volume) for volume in volumes]
        disc = soft_disc(self._box, diameter / pixel_size / 2, 0) > 0
        shown = half_to_image(self._projectors[0](random_rotations(32, rng)), self._box)
        # noise of variance 1 in the particles sets the scale of the grey values, as in extracted particles
        self._gain = np.sqrt(spec.snr / (SIGNAL_CTF2 * float(shown[:, disc].var(axis=1).mean())))
        self._shells = np.minimum(half_shells(self._box), self._box // 2)

    def make(self) -> _Class:
        """Draw one class."""
        spec, rng = self._spec, self._rng
        n = int(np.exp(rng.uniform(*np.log(spec.members))))
        junk = rng.random() < spec.junk
        kind = str(rng.choice(JUNK)) if junk else PROTEIN
        number = int(rng.integers(len(self._projectors))) + 1
        noisy = rng.random(n) < (0.9 if kind != PROTEIN and kind != OVERLAID else rng.uniform(*spec.impurity))
        matrices, psi, origins = self._poses(n, kind)
        numbers = np.where(noisy, 0, number)
        clean = self._clean(kind, matrices, psi, origins, number, noisy)
        image, ssnr = self._average(clean, n)
        return _Class(image, ssnr, matrices, psi, origins, numbers, np.where(noisy, "empty", "intact"))

    def _poses(self, n: int, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """True orientations, estimated in-plane angles and true origins of the members."""
        spec, rng = self._spec, self._rng
        psi = rng.uniform(-180.0, 180.0, n)
        if kind == PROTEIN:
            # a small tilt towards a random direction, with no turn in the image plane of its own
            towards = rng.uniform(-180.0, 180.0, n)
            tip = rng.uniform(*spec.view_spread) * np.hypot(*rng.standard_normal((2, n))) / np.sqrt(2.0)
            spread = np.asarray(euler_to_matrix(towards, tip, -towards)) @ random_rotations(1, rng)
        else:
            spread = random_rotations(n, rng)
        turned = psi + rng.uniform(*spec.turn_error) * rng.standard_normal(n)
        zero = np.zeros(n)
        matrices = np.asarray(euler_to_matrix(zero, zero, turned)) @ spread
        origins = rng.uniform(*spec.shift_error) * rng.standard_normal((n, 2))
        if kind == PROTEIN and rng.random() < spec.off_centre:
            away, direction = rng.uniform(0.1, 0.4) * self._diameter, rng.uniform(0.0, 2.0 * np.pi)
            turn = np.asarray(euler_to_matrix(zero, zero, psi))[:, :2, :2]
            origins -= turn @ (away * np.array([np.cos(direction), np.sin(direction)]))
        return matrices, psi, origins

    def _clean(self, kind: str, matrices: np.ndarray, psi: np.ndarray, origins: np.ndarray, number: int, noisy: np.ndarray) -> np.ndarray:
        """Noise-free average, float32 (N, N)."""
        rng, n = self._rng, self._box
        if kind in (PROTEIN, OVERLAID):
            rows = np.arange(len(psi))[:AVERAGED]
            back = np.swapaxes(np.asarray(euler_to_matrix(0 * psi[rows], 0 * psi[rows], psi[rows])), 1, 2)
            places = -(back[:, :2, :2] @ origins[rows, :, None])[..., 0] / self._pixel
            half = self._projectors[number - 1](back @ matrices[rows]) * place_phases(places, n)
            return self._gain * half_to_image((half * (~noisy[rows])[:, None, None]).mean(axis=0)[None], n)[0]
        if kind == EDGE:
            edge = np.array([[rng.uniform(0.0, 2.0 * np.pi), rng.uniform(-0.3, 0.3) * n, rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 2.0)]])
            return edge_images(edge, n)[0]
        white = image_to_half(rng.standard_normal((1, n, n)).astype(np.float32))
        resolution = rng.uniform(40.0, 120.0) if kind == BLOB else rng.uniform(8.0, 30.0)
        smooth = half_to_image(lowpass_half(white, n * self._pixel / resolution), n)[0]
        return (rng.uniform(0.2, 1.0) * smooth / smooth.std()).astype(np.float32)

    def _average(self, clean: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Wiener-filtered class average with the noise that n particles leave, and its signal-to-noise ratio per shell."""
        box = self._box
        noise = 1.0 / (n * MEAN_CTF2)  # variance per pixel, white
        power = np.asarray(radial_power(clean[None]))[0][: box // 2 + 1]
        ssnr = power * box * box / noise
        wiener = (ssnr / (1.0 + ssnr))[self._shells].astype(np.float32)
        left = np.sqrt(noise) * self._rng.standard_normal((1, box, box)).astype(np.float32)
        half = (image_to_half(clean[None]) + image_to_half(left)) * wiener
        return half_to_image(half, box)[0] * self._mask, ssnr

    def run(self, classes: np.ndarray, ssnr: np.ndarray, sizes: np.ndarray, psi: np.ndarray) -> ClassRun:
        """Dress the classes as a finished run."""
        n, box, k = int(sizes.sum()), self._box, len(sizes)
        defocus = self._rng.uniform(8000.0, 25000.0, n)
        table = pd.DataFrame({"rlnImageName": [f"{i + 1:06d}@none.mrcs" for i in range(n)], "rlnOpticsGroup": 1, "rlnDefocusU": defocus})
        table = table.assign(rlnDefocusV=defocus, rlnDefocusAngle=0.0, rlnAnglePsi=psi)
        optics = {
            "rlnOpticsGroup": 1, "rlnOpticsGroupName": "opticsGroup1", "rlnVoltage": 300.0, "rlnSphericalAberration": 2.7,
            "rlnAmplitudeContrast": 0.1, "rlnImagePixelSize": self._pixel, "rlnImageSize": box, "rlnImageDimensionality": 2,
        }  # fmt: skip
        resolution = resolution_from_ssnr(ssnr, box, self._pixel)
        size = 2 * int(min(box // 2, box * self._pixel / resolution.min() + 10))
        nowhere = Path("surrogate")
        return ClassRun(
            optimiser_path=nowhere, model_path=nowhere, data_path=nowhere, job_name="surrogate", classes=classes.astype(np.float32),
            pixel_size=self._pixel, particle_diameter=self._mask_diameter, current_size=size, pdf=sizes / n, resolution=resolution,
            accuracy_rotation=np.full(k, UNKNOWN), accuracy_translation=np.full(k, UNKNOWN), ssnr=ssnr,
            sigma2_noise=np.full(box // 2 + 1, 1.0 / box**2), ctf_until_first_peak=False,
            reference_names=np.array([f"{i + 1:06d}@surrogate.mrcs" for i in range(k)]), class_number=np.repeat(np.arange(k) + 1, sizes),
            psi=psi, origins=np.zeros((n, 2)), data=make_particles(table, pd.DataFrame([optics]), nowhere), optimiser_tables={},
            model_tables={},
        )  # fmt: skip
