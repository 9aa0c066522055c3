"""Class averages at another sampling: the common pixel size of the masks and the image for the network."""

import math

import numpy as np

from relion4plugin.imaging.fourier import half_frequencies, half_to_image, image_to_half, round_half_away

UNIFORM_PIXEL = 4.0  # A, at which masks and statistics are measured
IMAGE_SIZE = 64  # px, of the network's image


def fourier_resize(images: np.ndarray, n_new: int) -> np.ndarray:
    """Resample images by cropping or padding their transforms; grey values are kept.

    Cropping keeps frequencies from -n/2 + 1 to n/2 of the new box n. Padding keeps those within the circle of the old box, so
    that corners carry no more than edges. (`imaging.filters.resize_images` keeps -n/2 to n/2 - 1 and all corners; published
    ranker weights were trained on images as made here.)

    Parameters
    ----------
    images : float (..., N, N)
        N even.
    n_new : int
        px, even.

    Returns
    -------
    float64 (..., n_new, n_new)
    """
    n = images.shape[-1]
    images = np.asarray(images, np.float64)
    if n_new == n:
        return images
    half = image_to_half(images)
    if n_new > n:
        ky, kx = half_frequencies(n)
        half = half * (kx * kx + ky * ky <= (n // 2) ** 2)
    kept = min(n, n_new) // 2
    resized = np.zeros((*half.shape[:-2], n_new, n_new // 2 + 1), half.dtype)
    resized[..., : kept + 1, : kept + 1] = half[..., : kept + 1, : kept + 1]
    resized[..., n_new - kept + 1 :, : kept + 1] = half[..., n - kept + 1 :, : kept + 1]
    return half_to_image(resized, n_new)


def uniform_size(box: int, pixel_size: float) -> int:
    """Return the even box size in px of images resampled to 4 A/px."""
    size = round_half_away(box * pixel_size / UNIFORM_PIXEL)
    return size - size % 2


def window_size(particle_diameter: float, pixel_size: float) -> int:
    """Return the even size in px of the window that holds the particle; diameter and pixel size in A."""
    size = math.ceil(particle_diameter / pixel_size) + 1
    return size + size % 2


def central_window(images: np.ndarray, size: int) -> np.ndarray:
    """Cut out the window of `size` px about pixel N/2; what lies outside the images is zero.

    Parameters
    ----------
    images : float (..., N, N)
    size : int
        px, even.

    Returns
    -------
    array (..., size, size) of the same type
    """
    n = images.shape[-1]
    if size <= n:
        start = n // 2 - size // 2
        return images[..., start : start + size, start : start + size]
    out = np.zeros((*images.shape[:-2], size, size), images.dtype)
    start = size // 2 - n // 2
    out[..., start : start + n, start : start + n] = images
    return out


def network_images(classes: np.ndarray, particle_diameter: float, pixel_size: float) -> np.ndarray:
    """Make the network's images: the window of the particle, resampled to 64 x 64 px (RELION-4.0 paper, section 3.2).

    Grey values stay as they are: they come from particles normalised to their background, so they tell about contrast.

    Parameters
    ----------
    classes : float (n, N, N)
        Class averages as the classification wrote them.
    particle_diameter, pixel_size : float
        A.

    Returns
    -------
    float32 (n, 64, 64)
    """
    window = central_window(classes, window_size(particle_diameter, pixel_size))
    return fourier_resize(window, IMAGE_SIZE).astype(np.float32)
