"""Small movies with known motion: a random texture moved in Fourier space or along a smooth field, and counting noise."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, map_coordinates

from relion4plugin.files.star import write_star
from relion4plugin.preprocessing.motion.model import LocalMotion


@dataclass(frozen=True)
class SyntheticMovie:
    """Counts (frames, ny, nx), the image without noise or motion, and the shifts that undo the motion (frames, 2), x first."""

    counts: np.ndarray
    image: np.ndarray
    shifts: np.ndarray
    local: LocalMotion


def drift(n_frames: int, size: float = 8.0) -> np.ndarray:
    """Return a drift that slows down, as shifts that undo it; zero in the first frame."""
    t = np.arange(n_frames) / max(n_frames - 1, 1)
    return np.stack([size * np.sqrt(t), -0.6 * size * t + 0.8 * np.sin(5 * t)], axis=1)


def local_motion(n_frames: int, size: float) -> LocalMotion:
    """Return a doming motion, of about `size` px at the edges in the last frame."""
    coefficients = np.zeros((2, 6, 3))
    coefficients[0, 1, :2] = 2 * size, -size
    coefficients[1, 3, :2] = -1.6 * size, size
    coefficients[0, 5, 0], coefficients[1, 2, 0] = size, -1.5 * size
    return LocalMotion(coefficients / (n_frames - 1.0) ** np.arange(1, 4))


def movie(
    shape: tuple[int, int] = (256, 288),
    n_frames: int = 12,
    dose: float = 1.0,
    size: float = 8.0,
    local: float = 0.0,
    seed: int = 1,
    contrast: float = 0.25,
) -> SyntheticMovie:
    """Simulate a movie with `dose` counts per px and frame."""
    rng = np.random.default_rng(seed)
    margin = 48
    grown = [n + 2 * margin for n in shape]
    texture = gaussian_filter(rng.normal(size=grown), 1.2) + 2.0 * gaussian_filter(rng.normal(size=grown), 5)
    texture = 1 + contrast * texture / texture.std()
    shifts, model = drift(n_frames, size), local_motion(n_frames, local)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    counts = np.empty((n_frames, *shape), dtype=np.uint8)
    for k in range(n_frames):
        field = model.shifts(x / shape[1] - 0.5, y / shape[0] - 0.5, k) if local else np.zeros((*shape, 2))
        # aligned(r) = frame(r - shift), so that frame(r) = image(r + shift); the field changes little over its own length.
        places = [y + margin + shifts[k, 1] + field[..., 1], x + margin + shifts[k, 0] + field[..., 0]]
        expected = dose * np.maximum(map_coordinates(texture, places, order=3), 0.02)
        counts[k] = np.minimum(rng.poisson(expected), 127)
    inner = slice(margin, -margin)
    return SyntheticMovie(counts, texture[inner, inner].astype(np.float32), shifts, model)


def movies_star(path: Path, names: list[str], pixel_size: float = 1.0, voltage: float = 300.0) -> None:
    """Write a STAR file of movies as an import does."""
    optics = {
        "rlnOpticsGroupName": "opticsGroup1", "rlnOpticsGroup": 1, "rlnMicrographOriginalPixelSize": pixel_size, "rlnVoltage": voltage,
        "rlnSphericalAberration": 2.7, "rlnAmplitudeContrast": 0.1,
    }  # fmt: skip
    write_star(path, {"optics": pd.DataFrame([optics]), "movies": pd.DataFrame({"rlnMicrographMovieName": names, "rlnOpticsGroup": 1})})


def distance(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the rms distance (px) of shifts (..., 2) after removing the mean difference."""
    difference = found - truth
    difference = difference - difference.mean(axis=tuple(range(difference.ndim - 1)))
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=-1))))
