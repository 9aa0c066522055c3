"""Maps of Gaussian blobs whose Fourier transform is known in closed form."""

import numpy as np

SIGMA = 1.5  # px


def blob_volume(box: int, centres: np.ndarray, heights: np.ndarray, sigma: float = SIGMA) -> np.ndarray:
    """Sum of Gaussians at (x, y, z) px from the centre, float32 (N, N, N)."""
    axis = np.arange(box) - box // 2
    x, y, z = (np.exp(-((axis - centres[:, i, None]) ** 2) / (2 * sigma**2)) for i in range(3))
    return np.einsum("b,bz,by,bx->zyx", heights, z, y, x).astype(np.float32)


def transform_at(points: np.ndarray, box: int, centres: np.ndarray, heights: np.ndarray, sigma: float = SIGMA) -> np.ndarray:
    """Transform of the blobs at frequencies (..., 3) = (kx, ky, kz), divided by N^2."""
    envelope = (2 * np.pi * sigma**2) ** 1.5 * np.exp(-2 * np.pi**2 * sigma**2 * (points**2).sum(axis=-1) / box**2)
    phases = np.exp(-2j * np.pi * points @ centres.T / box)
    return envelope * (phases @ heights) / box**2


def frequencies(size: int, padding: int) -> np.ndarray:
    """Frequencies (x, y, z) in unpadded pixels of a half grid in FFT order, (M, M, M//2+1, 3)."""
    k = np.fft.fftfreq(size, 1 / size)
    z, y, x = np.meshgrid(k, k, np.arange(size // 2 + 1), indexing="ij")
    return np.stack([x, y, z], axis=-1) / padding


CENTRES = np.array([[3.0, 0.5, -1.0], [-2.0, 3.0, 1.5], [0.0, -3.5, 2.0], [-1.0, -1.0, -3.0]])
HEIGHTS = np.array([1.0, 1.5, 0.7, 1.2])
