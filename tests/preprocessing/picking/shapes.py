"""Micrographs of particles without symmetry, turned in the plane, with known places and angles."""

import numpy as np
import scipy.fft
from scipy.ndimage import gaussian_filter, map_coordinates

from relion4plugin.imaging.ctf import CtfParameters, evaluate_ctf
from tests.preprocessing.picking.fields import scattered

PIXEL = 4.0
BOX = 48


def shape_image(n: int = BOX) -> np.ndarray:
    """A white shape without symmetry or mirror, float32 (n, n), empty outside."""
    y, x = np.indices((n, n), dtype=np.float32) - n // 2
    image = ((np.abs(y) < 4) & (np.abs(x) < 14)) | ((x > 6) & (x < 14) & (y > -14) & (y < 0)) | ((x < -9) & (y > 0) & (y < 8))
    return gaussian_filter(image.astype(np.float32), 1.2)


def turned(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turn an image about pixel N/2 from the x axis towards the y axis, against RELION's rlnAnglePsi."""
    n = image.shape[0]
    y, x = np.indices((n, n)) - n // 2
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return map_coordinates(image, [n // 2 + c * y - s * x, n // 2 + c * x + s * y], order=3)


def one_ctf(defocus: float) -> CtfParameters:
    """CTF of one micrograph with a defocus in A."""
    return CtfParameters(*(np.array([value]) for value in (defocus, defocus - 500.0, 30.0, 300.0, 2.7, 0.1, 0.0, 0.0, 1.0)))


def shapes_field(
    seed: int, count: int = 25, contrast: float = 1.0, shape: tuple[int, int] = (480, 448), ctf: CtfParameters | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A micrograph of dark shapes in white noise of standard deviation 1, centres (count, 2), x first, and rlnAnglePsi of each."""
    rng = np.random.default_rng(seed)
    truth = np.rint(scattered(rng, count, shape, 36.0, 32.0)).astype(int)
    psi = rng.uniform(0, 360, count)
    image, reference, half = np.zeros(shape, np.float32), shape_image(), BOX // 2
    for (x, y), angle in zip(truth, psi, strict=True):
        image[y - half : y + half, x - half : x + half] -= contrast * turned(reference, -angle)
    if ctf is not None:
        fy, fx = np.meshgrid(np.fft.fftfreq(shape[0], PIXEL), np.fft.rfftfreq(shape[1], PIXEL), indexing="ij")
        transfer = evaluate_ctf(fx.ravel(), fy.ravel(), ctf)[0].reshape(fx.shape)
        image = scipy.fft.irfft2(scipy.fft.rfft2(image) * transfer, s=shape).astype(np.float32)
    return image + rng.normal(size=shape).astype(np.float32), truth.astype(float), psi
