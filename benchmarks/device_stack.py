"""A large synthetic particle stack made on the device: closed-form projections of Gaussian balls, CTF and white noise.

This is test load, not a simulation of data: it is made a hundred times faster than `relion4plugin simulate particles` makes its images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.arrays import to_numpy
from relion4plugin.files.mrc import StackWriter
from relion4plugin.files.star import write_star
from relion4plugin.geometry.euler import random_rotations
from relion4plugin.imaging.ctf import CtfParameters, evaluate_ctf
from relion4plugin.imaging.fourier import half_frequencies, half_to_image, image_to_half

VOLTAGE, CS, CONTRAST = 300.0, 2.7, 0.1
DIAMETER_PART = 0.6  # of the box
N_BALLS, BALL_WIDTH = 40, 0.02  # number; standard deviation over box size
SNR = 0.1
CHUNK = 2000


@dataclass(frozen=True)
class StackDefinition:
    """Size of the load."""

    n: int
    box_size: int  # px
    pixel_size: float  # A
    per_stack: int = 10000
    seed: int = 1

    @property
    def diameter(self) -> float:
        """Particle diameter in A."""
        return DIAMETER_PART * self.box_size * self.pixel_size


def write_device_stack(definition: StackDefinition, folder: Path, xp: Any) -> Path:
    """Write float16 stacks and their STAR file.

    Parameters
    ----------
    definition : StackDefinition
        What to make.
    folder : Path
        Where; made if need be.
    xp : module
        numpy or cupy: where the images are computed.

    Returns
    -------
    Path
        particles.star
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(definition.seed)
    radius = rng.random(N_BALLS) ** (1 / 3) * (DIAMETER_PART / 2 - 2 * BALL_WIDTH) * definition.box_size
    direction = rng.normal(size=(N_BALLS, 3))
    balls = radius[:, None] * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    rows = []
    for number, first in enumerate(range(0, definition.n, definition.per_stack)):
        count = min(definition.per_stack, definition.n - first)
        defocus = rng.uniform(8000.0, 25000.0) + 150.0 * rng.normal(size=count)
        name = f"stack{number + 1:05d}.mrcs"
        chunks = _chunks(definition, balls, defocus, rng, xp)
        with StackWriter(folder / name, count, definition.box_size, definition.pixel_size, mode=12) as stack:
            for images in chunks:
                stack.append(images)
        rows.append(pd.DataFrame({"rlnImageName": [f"{i + 1:06d}@{name}" for i in range(count)],
                                  "rlnMicrographName": name, "rlnOpticsGroup": 1, "rlnDefocusU": defocus, "rlnDefocusV": defocus,
                                  "rlnDefocusAngle": 0.0}))  # fmt: skip
    optics = pd.DataFrame({"rlnOpticsGroup": [1], "rlnOpticsGroupName": ["opticsGroup1"], "rlnVoltage": [VOLTAGE],
                           "rlnSphericalAberration": [CS], "rlnAmplitudeContrast": [CONTRAST], "rlnImagePixelSize": [definition.pixel_size],
                           "rlnImageSize": [definition.box_size], "rlnImageDimensionality": [2]})  # fmt: skip
    write_star(folder / "particles.star", {"optics": optics, "particles": pd.concat(rows, ignore_index=True)})
    return folder / "particles.star"


def _chunks(definition: StackDefinition, balls: np.ndarray, defocus: np.ndarray, rng: np.random.Generator, xp: Any) -> Iterator[np.ndarray]:
    for start in range(0, len(defocus), CHUNK):
        part = defocus[start : start + CHUNK]
        clean = project_balls(balls, random_rotations(len(part), rng), definition.box_size, xp)
        images = _apply_ctf(clean, part, definition.pixel_size, xp)
        images *= np.float32(np.sqrt(SNR)) / images.std()
        noise = xp.random.default_rng(int(rng.integers(2**31))).standard_normal(images.shape, dtype=xp.float32)
        yield to_numpy(images + noise)


def project_balls(balls: np.ndarray, rotations: np.ndarray, box_size: int, xp: Any) -> Any:
    """Projections float32 (n, N, N) of Gaussian balls at positions (x, y, z) in px from the box centre."""
    centres = xp.asarray(np.einsum("nij,bj->nbi", rotations, balls), dtype=xp.float32)
    axis = xp.arange(box_size, dtype=xp.float32) - box_size // 2
    scale = np.float32(-0.5 / (BALL_WIDTH * box_size) ** 2)
    along_x = xp.exp(scale * (axis - centres[:, :, :1]) ** 2)
    along_y = xp.exp(scale * (axis - centres[:, :, 1:2]) ** 2)
    return xp.matmul(along_y.transpose(0, 2, 1), along_x)


def _apply_ctf(images: Any, defocus: np.ndarray, pixel_size: float, xp: Any) -> Any:
    n = images.shape[-1]
    ky, kx = (xp.broadcast_to(k, (n, n // 2 + 1)).ravel() / (n * pixel_size) for k in half_frequencies(n, xp))
    full = [np.full(len(defocus), value) for value in (0.0, VOLTAGE, CS, CONTRAST, 0.0, 0.0, 1.0)]
    ctf = evaluate_ctf(kx, ky, CtfParameters(defocus, defocus, *full))
    return half_to_image(image_to_half(images) * ctf.reshape(len(defocus), n, n // 2 + 1), n)
