"""Half maps with known signal, fall-off and noise."""

from pathlib import Path

import numpy as np
import scipy.fft

from relion4plugin.files.mrc import write_volume

BOX, PIXEL = 64, 2.0


def frequency_squared(box: int = BOX, pixel: float = PIXEL) -> np.ndarray:
    k = scipy.fft.fftfreq(box, pixel)
    return k[:, None, None] ** 2 + k[None, :, None] ** 2 + scipy.fft.rfftfreq(box, pixel)[None, None] ** 2


def particle(bfactor: float = 100.0, box: int = BOX, pixel: float = PIXEL, radius: float = 16.0, seed: int = 3) -> np.ndarray:
    """A ball of random point atoms, each smeared by a B-factor: on average flat in the Guinier plot before smearing."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(600, 3))
    points *= (radius * rng.random(600) ** (1 / 3) / np.linalg.norm(points, axis=1))[:, None]
    volume = np.zeros((box, box, box))
    np.add.at(volume, tuple(np.rint(points + box // 2).astype(int).T), 1.0)
    transform = scipy.fft.rfftn(volume) * np.exp(-bfactor / 4 * frequency_squared(box, pixel))
    return scipy.fft.irfftn(transform, s=volume.shape).astype(np.float32)


def ball(radius: float, box: int = BOX) -> np.ndarray:
    x2 = (np.arange(box) - box // 2) ** 2
    return np.sqrt(x2[:, None, None] + x2[None, :, None] + x2[None, None]) <= radius


def write_halves(folder: Path, signal: np.ndarray, noise: np.ndarray | float, pixel: float = PIXEL, seed: int = 1) -> Path:
    """Write both halves; returns the first."""
    rng = np.random.default_rng(seed)
    for half in (1, 2):
        noisy = signal + noise * rng.standard_normal(signal.shape)
        write_volume(folder / f"run_half{half}_class001_unfil.mrc", noisy.astype(np.float32), pixel)
    return folder / "run_half1_class001_unfil.mrc"
