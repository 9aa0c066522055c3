"""The ground on which junk is drawn: a box of twice the size, so that nothing comes back on the other side of the image."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Canvas:
    """Size and scale of drawings; lengths in A, grey values in standard deviations of the noise."""

    size: int  # px, twice the box
    pixel_size: float  # A per px
    contrast: float  # standard deviation of a particle's projection inside its disc, before the CTF
    mass: float  # sum of the pixels of a particle's projection
    texture: np.ndarray  # float32 (size, size//2+1): amplitude of the ice's structure before the CTF

    @property
    def box(self) -> float:
        """Edge of the image that is cut out of the middle, A."""
        return 0.5 * self.size * self.pixel_size

    @property
    def axis(self) -> np.ndarray:
        """Positions of columns and of rows in A, float32 (size,), 0 at pixel size/2."""
        return ((np.arange(self.size) - self.size // 2) * self.pixel_size).astype(np.float32)

    def distances(self, centres: np.ndarray) -> np.ndarray:
        """Distance in A of every pixel from one centre (x, y in A) for each image: float32 (n, size, size)."""
        x, y = (centres[:, i, None].astype(np.float32) for i in range(2))
        squares: np.ndarray = ((self.axis - x) ** 2)[:, None, :] + ((self.axis - y) ** 2)[:, :, None]
        return np.sqrt(squares, out=squares)


def log_uniform(rng: np.random.Generator, low: float, high: float, n: int) -> np.ndarray:
    """Draw n numbers between `low` and `high`, each factor as likely."""
    return np.exp(rng.uniform(np.log(low), np.log(high), n))


def directions(rng: np.random.Generator, n: int) -> np.ndarray:
    """Draw n unit vectors in the plane, float64 (n, 2)."""
    angle = rng.uniform(0.0, 2.0 * np.pi, n)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
