"""Shifts between images from their weighted cross-correlation, evaluated where it is wanted."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace, fft_module, to_numpy

_SLOWEST = 1.5  # waves across the image; slower ones are gradients of ice and illumination, which do not move


@dataclass(frozen=True)
class Frequencies:
    """Frequencies (cycles per px of the movie) and weights of a half transform (ny, nx // 2 + 1)."""

    fy: Any
    fx: Any
    weights: Any
    shape: tuple[int, int]
    step: tuple[float, float]


def frequencies(shape: tuple[int, int], step: tuple[float, float], bfactor: float, xp: Any = np) -> Frequencies:
    """Return frequencies and weights of small images.

    Parameters
    ----------
    shape : (ny, nx)
        Of the images, even.
    step : (y, x)
        Size of their pixels in px of the movie.
    bfactor : float
        px^2 of the movie; the cross-correlation is weighted by exp(-2 B f^2).
    xp : module
        numpy or cupy.
    """
    ny, nx = shape
    fy = np.fft.fftfreq(ny) / step[0]
    fx = np.arange(nx // 2 + 1) / (nx * step[1])
    squared = fy[:, None] ** 2 + fx[None] ** 2
    waves = (fy[:, None] * ny * step[0]) ** 2 + (fx[None] * nx * step[1]) ** 2
    weights = np.exp(-2 * bfactor * squared) * -np.expm1(-waves / (2 * _SLOWEST**2))
    weights[ny // 2] = 0.0
    weights[:, 1:] *= 2.0  # a half transform stands for both halves
    weights[:, -1] = 0.0
    on_device = [xp.asarray(a, dtype=np.float32) for a in (fy, fx, weights)]
    return Frequencies(on_device[0], on_device[1], on_device[2], shape, step)


def phases(grid: Frequencies, shift: np.ndarray) -> Any:
    """Return the factors that move an image by `shift` (px of the movie, x first), complex64 (ny, nx // 2 + 1)."""
    xp = array_namespace(grid.fy)
    y = xp.exp(-2j * np.pi * float(shift[1]) * grid.fy).astype(np.complex64)
    x = xp.exp(-2j * np.pi * float(shift[0]) * grid.fx).astype(np.complex64)
    return y[:, None] * x


def widest_peak(product: Any, grid: Frequencies, reach: float) -> np.ndarray:
    """Return the shift (px of the movie, x first) of the highest cross-correlation within `reach` px, to a small pixel.

    Parameters
    ----------
    product : complex64 (ny, nx // 2 + 1)
        Weighted product of the reference and the conjugate of the image.
    """
    xp = array_namespace(product)
    ny, nx = grid.shape
    halved = product.copy()
    halved[:, 1:] *= np.float32(0.5)
    values = fft_module(xp).irfft2(halved, s=grid.shape)
    offsets = [xp.asarray(np.fft.fftfreq(n) * n * s) for n, s in zip((ny, nx), grid.step, strict=True)]
    far = offsets[0][:, None] ** 2 + offsets[1][None] ** 2 > reach**2
    best = int(xp.argmax(xp.where(far, -np.inf, values)))
    y, x = divmod(best, nx)
    return np.array([float(offsets[1][x]), float(offsets[0][y])])


def correlation_window(product: Any, grid: Frequencies, half_width: int, spacing: float) -> np.ndarray:
    """Return the cross-correlation on a grid of shifts about zero, (2h+1, 2h+1), rows along y.

    Parameters
    ----------
    product
        As for `widest_peak`.
    half_width, spacing
        Steps to either side, and their length in small pixels.
    """
    xp = array_namespace(product)
    steps = xp.arange(-half_width, half_width + 1, dtype=np.float32) * np.float32(spacing)
    rows = xp.exp(np.complex64(2j * np.pi * grid.step[0]) * steps[:, None] * grid.fy[None])
    columns = xp.exp(np.complex64(2j * np.pi * grid.step[1]) * grid.fx[:, None] * steps[None])
    return to_numpy(((rows @ product) @ columns).real)


def peak_of_window(values: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the highest place (x, y) of a window in steps from its centre, between the steps, and whether it lies inside.

    A parabola through the highest value and its neighbours along each axis gives the fraction of a step.
    """
    half_width = values.shape[0] // 2
    y, x = np.unravel_index(int(np.argmax(values)), values.shape)
    inside = 0 < y < 2 * half_width and 0 < x < 2 * half_width
    peak = np.array([x, y], dtype=np.float64) - half_width
    if inside:
        peak[0] += _vertex(values[y, x - 1 : x + 2])
        peak[1] += _vertex(values[y - 1 : y + 2, x])
    return peak, bool(inside)


def _vertex(three: np.ndarray) -> float:
    left, middle, right = (float(value) for value in three)
    curvature = left - 2 * middle + right
    return 0.0 if curvature >= 0 else 0.5 * (left - right) / curvature
