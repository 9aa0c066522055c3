"""Class averages moved to the centre of mass of their positive density, and particle origins that follow."""

import numpy as np

from relion4plugin.imaging.fourier import half_frequencies, half_to_image, image_to_half, shift_phases


def centres_of_mass(classes: np.ndarray) -> np.ndarray:
    """Centre of mass of the positive pixels of each image.

    Parameters
    ----------
    classes
        float (K, N, N).

    Returns
    -------
    float64 (K, 2)
        x and y in px from pixel N/2; zero where nothing is positive.
    """
    positive = np.clip(classes, 0, None).astype(np.float64)
    axis = np.arange(classes.shape[-1]) - classes.shape[-1] // 2
    total = positive.sum(axis=(1, 2))
    sums = np.stack([positive.sum(axis=1) @ axis, positive.sum(axis=2) @ axis], axis=1)
    return np.divide(sums, total[:, None], out=np.zeros_like(sums), where=total[:, None] > 0)


def recentred(classes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Move images so that their `centres` (K, 2; px) come to lie at pixel N/2; by phases, so nothing is blurred.

    What moves out on one side comes in on the other; class averages are zero there.
    """
    count, n = classes.shape[0], classes.shape[-1]
    half = image_to_half(classes.astype(np.float32))
    phases = shift_phases(*half_frequencies(n), -centres, n).reshape(count, n, n // 2 + 1)
    return np.asarray(half_to_image(half * phases, n), np.float32)


def moved_origins(origins: np.ndarray, psi: np.ndarray, centres: np.ndarray, pixel_size: float) -> np.ndarray:
    """Origins of particles whose class average has been moved.

    A vector of the class average is turned by psi in the frame of the particle, and the origin is how far the particle is
    moved onto its reference: ``new = old - R(psi) centre``.

    Parameters
    ----------
    origins
        float (n, 2), A: rlnOriginXAngst and rlnOriginYAngst.
    psi
        float (n,), deg.
    centres
        float (n, 2), px of the class average: centre of mass of each particle's class.
    pixel_size
        A, of the class averages.

    Returns
    -------
    float64 (n, 2)
        A.
    """
    angle = np.deg2rad(np.asarray(psi, np.float64))
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = centres[:, 0] * pixel_size, centres[:, 1] * pixel_size
    return np.asarray(origins, np.float64) - np.stack([cos * x + sin * y, cos * y - sin * x], axis=1)
