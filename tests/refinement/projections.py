"""Particles that are projections of a map of Gaussian balls, in known poses."""

from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np

from relion4plugin.files.particles import ParticleSet, read_particles
from relion4plugin.geometry.euler import random_rotations
from tests.refinement.simulated import PIXEL, frequencies, slow_ctf, write_tables

BOX, DIAMETER = 32, 88.0  # px, A
SIGMA = 1.2  # px


@dataclass(frozen=True)
class Projections:
    """What the images were made of; `origin` is the shift (x, y) in px that would centre each particle."""

    particles: ParticleSet
    volume: np.ndarray  # float32 (N, N, N), of the first structure
    classes: np.ndarray
    matrices: np.ndarray  # float64 (n, 3, 3)
    origin: np.ndarray  # px
    star: Path


def molecule(seed: int, count: int = 14, radius: float = 10.0) -> np.ndarray:
    """Ball centres (x, y, z) px of a lumpy body without symmetry, its centre of mass at the origin."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(count, 3))
    points *= (radius * rng.uniform(0.2, 1.0, count) / np.linalg.norm(points, axis=1))[:, None]
    return points - points.mean(axis=0)


def ball_volume(centres: np.ndarray, box: int = BOX, sigma: float = SIGMA) -> np.ndarray:
    """Sum of Gaussians at (x, y, z) px from the centre, [z, y, x], whose projections have height 1."""
    axis = np.arange(box) - box // 2
    x, y, z = (np.exp(-((axis - centres[:, j, None]) ** 2) / (2 * sigma**2)) for j in range(3))
    return np.einsum("bz,by,bx->zyx", z, y, x).astype(np.float32) / np.float32(np.sqrt(2 * np.pi) * sigma)


def project(
    folder: Path, n: int, *, structures: list[np.ndarray], noise: float, signal: float = 1.0, shift: float = 1.0, seed: int = 1
) -> Projections:
    """Write particles.star and particles.mrcs with particles of all structures in turn."""
    rng = np.random.default_rng(seed)
    classes, matrices, origin = rng.permutation(n) % len(structures), random_rotations(n, rng), rng.uniform(-shift, shift, (n, 2))
    defocus = rng.uniform(8000, 20000, n)
    axis, scale = np.arange(BOX) - BOX // 2, 1 / (BOX * PIXEL)
    ky, kx = frequencies(BOX)
    images = np.empty((n, BOX, BOX), np.float32)
    for i in range(n):
        where = (structures[classes[i]] @ matrices[i].T)[:, :2] - origin[i]
        across, down = (np.exp(-((axis - where[:, j, None]) ** 2) / (2 * SIGMA**2)) for j in range(2))
        ctf = slow_ctf(kx * scale, ky * scale, defocus[i] + 300, defocus[i] - 300, 25.0, 300.0, 2.7, 0.1)
        clean = np.fft.irfft2(np.fft.rfft2(down.T @ across) * ctf, s=(BOX, BOX))
        images[i] = signal * clean + noise * rng.standard_normal((BOX, BOX))
    folder.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(folder / "particles.mrcs", data=images, overwrite=True) as mrc:
        mrc.voxel_size = PIXEL
    write_tables(folder / "particles.star", n, BOX, np.arange(n) * 4 // n, defocus)
    star = folder / "particles.star"
    return Projections(read_particles(star), ball_volume(structures[0]), classes, matrices, origin, star)
