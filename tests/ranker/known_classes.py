"""Classes whose truth is known in closed form: averages of projections of a map of blobs."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.files.particles import make_particles
from relion4plugin.geometry.euler import euler_to_matrix, matrix_to_euler, random_rotations
from relion4plugin.imaging.fourier import half_to_image
from relion4plugin.imaging.masks import soft_disc
from relion4plugin.ranker.class_run import ClassRun
from relion4plugin.simulation.contaminants import place_phases
from relion4plugin.simulation.projector import Projector

BOX, PIXEL, DIAMETER = 48, 4.0, 130.0
VIEWS, EACH = 4, 30


def blob_map(seed: int = 1) -> np.ndarray:
    """Forty blobs inside a ball, float32 (48, 48, 48)."""
    rng = np.random.default_rng(seed)
    axis = (np.arange(BOX) - BOX // 2).astype(np.float32)
    volume = np.zeros((BOX, BOX, BOX), np.float32)
    for place in rng.uniform(-7.0, 7.0, (40, 3)):
        across = [np.exp(-((axis - p) ** 2) / (2 * 1.2**2)) for p in place]
        volume += across[2][:, None, None] * across[1][None, :, None] * across[0]
    return volume


@dataclass(frozen=True)
class Known:
    """A run, the table of its truth and the map."""

    run: ClassRun
    truth: pd.DataFrame
    volume: np.ndarray

    def with_classes(self, classes: np.ndarray) -> "Known":
        """The same run with other class averages."""
        return replace(self, run=replace(self.run, classes=classes.astype(np.float32)))


def known_run(noise: float = 0.02, seed: int = 5) -> Known:
    """Four classes of thirty particles, each of one view, perfectly aligned; random true in-plane angles and origins."""
    rng = np.random.default_rng(seed)
    volume = blob_map()
    n = VIEWS * EACH
    numbers = np.repeat(np.arange(1, VIEWS + 1), EACH)
    psi, origins = rng.uniform(-180.0, 180.0, n), rng.normal(0.0, 8.0, (n, 2))
    views = random_rotations(VIEWS, rng)
    zero = np.zeros(n)
    matrices = np.asarray(euler_to_matrix(zero, zero, psi)) @ views[numbers - 1]
    rot, tilt, turn = matrix_to_euler(matrices)
    names = [f"{i + 1:06d}@stack.mrcs" for i in range(n)]
    truth = pd.DataFrame(
        {
            "rlnImageName": names, "rlnAngleRot": rot, "rlnAngleTilt": tilt, "rlnAnglePsi": turn, "rlnOriginXAngst": origins[:, 0],
            "rlnOriginYAngst": origins[:, 1], "rlnSimulatedKind": "intact", "rlnSimulatedMap": 1, "rlnSimulatedIsParticle": 1,
        }
    )  # fmt: skip
    classes = shown(volume, views, np.zeros((VIEWS, 2)))
    classes += noise * classes.std() * rng.standard_normal(classes.shape).astype(np.float32)
    return Known(make_run(classes, numbers, psi, origins, names), truth, volume)


def shown(volume: np.ndarray, matrices: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Masked projections at places (x, y) in px, float32 (m, N, N)."""
    images = half_to_image(Projector(volume)(matrices) * place_phases(places, BOX), BOX)
    return images * soft_disc(BOX, DIAMETER / PIXEL / 2)


def make_run(classes: np.ndarray, numbers: np.ndarray, psi: np.ndarray, origins: np.ndarray, names: list[str]) -> ClassRun:
    """A run with these classes and poses."""
    k = len(classes)
    table = pd.DataFrame({"rlnImageName": names, "rlnOpticsGroup": 1, "rlnDefocusU": 1e4, "rlnDefocusV": 1e4, "rlnDefocusAngle": 0.0})
    optics = pd.DataFrame(
        {
            "rlnOpticsGroup": [1], "rlnOpticsGroupName": ["a"], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
            "rlnAmplitudeContrast": [0.1], "rlnImagePixelSize": [PIXEL], "rlnImageSize": [BOX],
        }
    )  # fmt: skip
    return ClassRun(
        optimiser_path=Path("run_it025_optimiser.star"), model_path=Path("run_it025_model.star"), data_path=Path("run_it025_data.star"),
        job_name="job001", classes=classes.astype(np.float32), pixel_size=PIXEL, particle_diameter=DIAMETER, current_size=BOX,
        pdf=np.bincount(numbers - 1, minlength=k) / len(numbers), resolution=np.full(k, 10.0), accuracy_rotation=np.full(k, 2.0),
        accuracy_translation=np.full(k, 2.0), ssnr=None, sigma2_noise=np.ones(BOX // 2 + 1), ctf_until_first_peak=False,
        reference_names=np.array([f"{i + 1:06d}@run_it025_classes.mrcs" for i in range(k)]), class_number=numbers, psi=psi,
        origins=origins, data=make_particles(table, optics, Path("run_it025_data.star")), optimiser_tables={}, model_tables={},
    )  # fmt: skip
