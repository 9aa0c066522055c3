"""Particles with known classes, angles and shifts: Gaussian blobs, placed analytically."""

from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd

from relion4plugin.files.particles import ParticleSet, read_particles
from relion4plugin.files.star import write_star

PIXEL = 3.0


@dataclass(frozen=True)
class Truth:
    """What the images were made of; `origin` is the shift (x, y) in px that would centre each particle."""

    particles: ParticleSet
    classes: np.ndarray
    psi: np.ndarray  # deg
    origin: np.ndarray  # px
    blobs: np.ndarray  # (K, blobs, 2), (x, y) in px from the centre
    amplitude: np.ndarray  # (n,)
    star: Path


def blob_image(box: int, centres: np.ndarray, heights: np.ndarray, sigma: float = 1.4) -> np.ndarray:
    """Sum of Gaussians at (x, y) px from the centre."""
    axis = np.arange(box) - box // 2
    across = np.exp(-((axis - centres[:, 0, None]) ** 2) / (2 * sigma**2))
    down = np.exp(-((axis - centres[:, 1, None]) ** 2) / (2 * sigma**2))
    return np.einsum("b,by,bx->yx", heights, down, across)


def rotation(psi: float) -> np.ndarray:
    """Where a point of the reference lies in an image taken at `psi` degrees."""
    c, s = np.cos(np.deg2rad(psi)), np.sin(np.deg2rad(psi))
    return np.array([[c, s], [-s, c]])


def slow_ctf(fx, fy, du, dv, az, kv, cs, q0, phase=0.0):
    """CTF by the textbook formula, float64; lengths in A, Cs in mm, angles in degrees."""
    volts = kv * 1e3
    wave = 12.2643247 / np.sqrt(volts * (1 + 0.978466e-6 * volts))
    a = np.deg2rad(az)
    u, v = np.cos(a) * fx + np.sin(a) * fy, -np.sin(a) * fx + np.cos(a) * fy
    gamma = np.pi * wave * (-du * u**2 - dv * v**2) + np.pi / 2 * cs * 1e7 * wave**3 * (fx**2 + fy**2) ** 2
    return -np.sin(gamma - np.deg2rad(phase) - np.arctan(q0 / np.sqrt(1 - q0**2)))


def frequencies(box: int):
    ky = np.fft.fftfreq(box, 1 / box)[:, None]
    kx = np.arange(box // 2 + 1)[None]
    return ky, kx


BLOBS = np.array(
    [
        [[-5, 0], [5, 0], [0, 4], [2, -5], [-2, 1]],
        [[0, -6], [0, 6], [1, 0], [-3, 3], [3, 5]],
        [[-4, -4], [4, 4], [-4, 4], [-6, 0], [1, 1]],
        [[6, 0], [5, 3], [3, 5], [0, 6], [-1, -3]],
    ],
    float,
)
HEIGHTS = np.array([1.0, 1.6, 0.8, 1.2, 1.0])


def simulate(
    folder: Path, n: int, *, n_classes: int = 2, box: int = 32, noise: float = 0.2, shift: float = 2.0, seed: int = 1,
    ctf: bool = True, n_micrographs: int = 4, contrast: np.ndarray | None = None, signal: float = 1.0,
) -> Truth:  # fmt: skip
    """Write particles.star and particles.mrcs; `contrast` multiplies the signal of each micrograph's particles."""
    rng = np.random.default_rng(seed)
    classes, psi = rng.integers(0, n_classes, n), rng.uniform(-180, 180, n)
    origin = rng.uniform(-shift, shift, (n, 2)) if shift else np.zeros((n, 2))
    micrograph = np.arange(n) * n_micrographs // n
    amplitude = np.ones(n) if contrast is None else np.asarray(contrast, float)[micrograph]
    defocus = rng.uniform(8000, 15000, n)
    blobs = BLOBS[:n_classes] * box / 32
    ky, kx = frequencies(box)
    images = np.empty((n, box, box), np.float32)
    for i in range(n):
        centres = blobs[classes[i]] @ rotation(psi[i]).T - origin[i]
        clean = signal * amplitude[i] * blob_image(box, centres, HEIGHTS, 1.4 * box / 32)
        if ctf:
            scale = 1 / (box * PIXEL)
            values = slow_ctf(kx * scale, ky * scale, defocus[i] + 300, defocus[i] - 300, 25.0, 300.0, 2.7, 0.1)
            clean = np.fft.irfft2(np.fft.rfft2(clean) * values, s=clean.shape)
        images[i] = clean + noise * rng.standard_normal(clean.shape)
    folder.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(folder / "particles.mrcs", data=images, overwrite=True) as mrc:
        mrc.voxel_size = PIXEL
    write_tables(folder / "particles.star", n, box, micrograph, defocus)
    return Truth(read_particles(folder / "particles.star"), classes, psi, origin, blobs, amplitude, folder / "particles.star")


def write_tables(path: Path, n: int, box: int, micrograph: np.ndarray, defocus: np.ndarray, n_optics: int = 1, **columns) -> None:
    """Write the STAR file of a stack particles.mrcs beside it; optics groups take turns."""
    numbers = np.arange(1, n_optics + 1)
    optics = pd.DataFrame(
        {
            "rlnOpticsGroup": numbers,
            "rlnOpticsGroupName": [f"opticsGroup{g}" for g in numbers],
            "rlnVoltage": 300.0 - 100.0 * (numbers == 2),
            "rlnSphericalAberration": 2.7,
            "rlnAmplitudeContrast": 0.1,
            "rlnImagePixelSize": PIXEL,
            "rlnImageSize": box,
            "rlnImageDimensionality": 2,
        }
    )
    optics = optics.assign(**{name[7:]: values for name, values in columns.items() if name.startswith("optics_")})
    table = pd.DataFrame(
        {
            "rlnImageName": [f"{i + 1:06d}@particles.mrcs" for i in range(n)],
            "rlnMicrographName": [f"mic{m:03d}.mrc" for m in micrograph],
            "rlnOpticsGroup": np.arange(n) % n_optics + 1,
            "rlnDefocusU": defocus + 300,
            "rlnDefocusV": defocus - 300,
            "rlnDefocusAngle": 25.0,
        }
    )
    table = table.assign(**{name: values for name, values in columns.items() if not name.startswith("optics_")})
    write_star(path, {"optics": optics, "particles": table})


def purity(found: np.ndarray, truth: np.ndarray) -> float:
    """Fraction of particles whose class agrees with the majority of their found class."""
    return sum(np.bincount(truth[found == k]).max() for k in np.unique(found)) / len(truth)
