"""Micrographs with known particles, quick to make."""

import numpy as np
from scipy.ndimage import gaussian_filter

PIXEL = 4.0
DIAMETER = 160.0


def scattered(rng: np.random.Generator, count: int, shape: tuple[int, int], distance: float, margin: float) -> np.ndarray:
    """Positions (count, 2), x first, no two nearer than `distance` px."""
    found: list[np.ndarray] = []
    while len(found) < count:
        place = np.array([rng.uniform(margin, shape[1] - margin), rng.uniform(margin, shape[0] - margin)])
        if all(np.hypot(*(place - other)) >= distance for other in found):
            found.append(place)
    return np.array(found)


def field(
    rng: np.random.Generator, count: int, contrast: float = 0.35, shape: tuple[int, int] = (768, 640), distance: float = 1.2
) -> tuple[np.ndarray, np.ndarray]:
    """A micrograph of dark soft ellipses in white noise, and their centres (count, 2), x first; `distance` is in diameters."""
    size = DIAMETER / PIXEL
    truth = scattered(rng, count, shape, distance * size, 0.7 * size)
    y, x = np.indices(shape, dtype=np.float32)
    image = np.zeros(shape, np.float32)
    for centre_x, centre_y in truth:
        angle, flat = rng.uniform(0, np.pi), rng.uniform(0.8, 1.0)
        dx, dy = x - centre_x, y - centre_y
        along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
        image -= (along**2 + (across / flat) ** 2 <= (size / 2) ** 2).astype(np.float32)
    return contrast * gaussian_filter(image, 2) + rng.normal(size=shape).astype(np.float32), truth
