"""Filters and per-shell statistics of images and volumes."""

from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace, fft_module, sparse_module
from relion4plugin.imaging.fourier import (
    crop_half,
    half_frequencies,
    half_multiplicity,
    half_shells,
    half_to_image,
    image_to_half,
    pad_half,
    round_half_away,
)

NO_RESOLUTION = 999.0  # A, written for shell 0


def lowpass_half(half: Any, shell: float, width: float = 2) -> Any:
    """Low-pass filter half transforms with a raised cosine centred on a shell.

    Parameters
    ----------
    half : complex (..., N, N//2+1)
        Half transforms.
    shell : float
        Radius of the weight 1/2, in units of 1/(N pixels).
    width : float
        Shells over which the weight falls from 1 to 0.

    Returns
    -------
    array of the same shape and type
    """
    xp = array_namespace(half)
    ky, kx = half_frequencies(half.shape[-2], xp)
    r = xp.sqrt((kx * kx + ky * ky).astype(xp.float32))
    if width <= 0:
        weight = (r <= shell).astype(xp.float32)
    else:
        weight = 0.5 + 0.5 * xp.cos(np.pi * xp.clip((r - shell) / width + 0.5, 0.0, 1.0))
    return half * weight.astype(half.real.dtype)


def resize_images(images: Any, n_new: int) -> Any:
    """Resample images by cropping or padding their transforms; grey values are kept.

    Parameters
    ----------
    images : float (..., N, N)
        Real images, N even.
    n_new : int
        New box size in pixels, even; the pixel size changes by N / n_new.

    Returns
    -------
    float32 (float64 for float64 input) (..., n_new, n_new)
    """
    half = image_to_half(images)
    resized = crop_half(half, n_new) if n_new <= images.shape[-1] else pad_half(half, n_new)
    return half_to_image(resized, n_new)


def _shell_sums(values: Any, shells: Any, n_shells: int) -> Any:
    """Sum values (..., P) over shells (P,): float64 (..., n_shells); components beyond the last shell are left out."""
    xp = array_namespace(values, shells)
    inside = xp.nonzero(shells < n_shells)[0]
    ones = xp.ones(len(inside), xp.float64)
    collect = sparse_module(xp).csr_matrix((ones, (shells[inside], inside)), shape=(n_shells, len(shells)))
    flat = values.reshape(-1, values.shape[-1]).astype(xp.float64)
    return (collect @ flat.T).T.reshape(*values.shape[:-1], n_shells)


def _correlation(a: Any, b: Any, multiplicity: Any, shells: Any, n_shells: int) -> Any:
    """Correlation coefficient per shell of components (..., P); 0 where a shell is empty of signal."""
    xp = array_namespace(a, b)

    def sums(values: Any) -> Any:
        return _shell_sums(values * multiplicity, shells, n_shells)

    cross = sums(a.real * b.real + a.imag * b.imag)
    norm = xp.sqrt(sums(a.real**2 + a.imag**2) * sums(b.real**2 + b.imag**2))
    return xp.where(norm > 0, cross / xp.where(norm > 0, norm, 1.0), 0.0)


def frc(a: Any, b: Any) -> Any:
    """Fourier ring correlation of pairs of images.

    Parameters
    ----------
    a, b : float (..., N, N)
        Real images, N even.

    Returns
    -------
    float64 (..., N//2+1)
        Correlation per shell.
    """
    xp = array_namespace(a, b)
    n = a.shape[-1]
    fa, fb = (half.reshape(*half.shape[:-2], -1) for half in (image_to_half(a), image_to_half(b)))
    return _correlation(fa, fb, half_multiplicity(n, xp).ravel(), half_shells(n, xp).ravel(), n // 2 + 1)


def _volume_shells(n: int, xp: Any) -> tuple[Any, Any]:
    """Shell indices and multiplicities of the half transform of a volume, both (n * n * (n//2+1),)."""
    k = (xp.arange(n) + n // 2) % n - n // 2
    kx = xp.arange(n // 2 + 1)
    squared = k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx[None, None, :] ** 2
    multiplicity = xp.where((kx == 0) | (kx == n // 2), 1.0, 2.0).astype(xp.float32)
    shells = round_half_away(xp.sqrt(squared.astype(xp.float64)))
    return shells.ravel(), xp.ascontiguousarray(xp.broadcast_to(multiplicity, squared.shape)).ravel()


def fsc(a: Any, b: Any) -> Any:
    """Fourier shell correlation of pairs of volumes.

    Parameters
    ----------
    a, b : float (..., N, N, N)
        Real volumes, N even.

    Returns
    -------
    float64 (..., N//2+1)
        Correlation per shell.
    """
    xp = array_namespace(a, b)
    n = a.shape[-1]
    shells, multiplicity = _volume_shells(n, xp)
    fft = fft_module(xp)
    fa, fb = (half.reshape(*half.shape[:-3], -1) for half in (fft.rfftn(a, axes=(-3, -2, -1)), fft.rfftn(b, axes=(-3, -2, -1))))
    return _correlation(fa, fb, multiplicity, shells, n // 2 + 1)


def radial_power(images: Any) -> Any:
    """Mean squared modulus of the centred transform per shell.

    White noise of standard deviation 1 gives 1/N^2 in every shell.

    Parameters
    ----------
    images : float (..., N, N)
        Real images, N even.

    Returns
    -------
    float64 (..., N//2+1)
    """
    xp = array_namespace(images)
    n = images.shape[-1]
    half = image_to_half(images)
    multiplicity, shells = half_multiplicity(n, xp).ravel(), half_shells(n, xp).ravel()
    power = (half.real**2 + half.imag**2).reshape(*half.shape[:-2], -1)
    count = _shell_sums(multiplicity[None, :], shells, n // 2 + 1)[0]
    return _shell_sums(power * multiplicity, shells, n // 2 + 1) / count


def resolution_at(curve: Any, threshold: float, pixel_size: float, box: int) -> float:
    """Resolution of the last shell before a correlation curve first falls below a threshold.

    Parameters
    ----------
    curve : float (S,)
        Correlation per shell; shell 0 is not judged.
    threshold : float
        For example 0.143 or 0.5.
    pixel_size : float
        A.
    box : int
        Box size in pixels.

    Returns
    -------
    float
        A; 999 if the curve is below the threshold from shell 1 on.
    """
    below = np.flatnonzero(~(np.asarray(curve)[1:] >= threshold))
    shell = int(below[0]) if below.size else len(curve) - 1
    return box * pixel_size / shell if shell > 0 else NO_RESOLUTION


def lowpass_volume(volume: Any, pixel_size: float, resolution: float, width: float = 2) -> Any:
    """Low-pass filter a map with a raised cosine around the shell nearest to a resolution.

    Parameters
    ----------
    volume : float (N, N, N)
        Real map, N even.
    pixel_size : float
        A.
    resolution : float
        Where the weight is 1/2, in A.
    width : float
        Shells over which the weight falls from 1 to 0; 0 cuts at once.

    Returns
    -------
    float32 (float64 for float64 input) (N, N, N)
    """
    return lowpass_to_shell(volume, round_half_away(volume.shape[-1] * pixel_size / resolution), width)


def lowpass_to_shell(volume: Any, shell: float, width: float = 2) -> Any:
    """As `lowpass_volume`, the weight being 1/2 at a radius `shell` in units of 1/(N pixels)."""
    xp = array_namespace(volume)
    fft, k2, in_plane = fft_module(xp), *_squared_radii(volume.shape[-1], xp)
    transform = fft.rfftn(volume)
    for plane, z2 in zip(transform, k2, strict=True):  # plane by plane: no array of radii as large as the map
        r = xp.sqrt(z2 + in_plane)
        if width <= 0:
            plane *= (r <= shell).astype(xp.float32)
        else:
            plane *= 0.5 + 0.5 * xp.cos(np.pi * xp.clip((r - shell) / width + 0.5, 0.0, 1.0))
    return fft.irfftn(transform, s=volume.shape)


def randomise_phases(volume: np.ndarray, first_shell: int, rng: np.random.Generator) -> np.ndarray:
    """Replace the phases from a shell on by random ones; amplitudes stay.

    Chen et al. (2013) Ultramicroscopy 135, 24-35.

    Parameters
    ----------
    volume : float32 (N, N, N)
        A half map.
    first_shell : int
        Phases of components at this radius and beyond are replaced.
    rng : numpy.random.Generator
        Source of the phases.

    Returns
    -------
    float32 (N, N, N)
    """
    fft, k2, in_plane = fft_module(np), *_squared_radii(volume.shape[-1], np)
    transform = fft.rfftn(volume.astype(np.float32, copy=False))
    noise = fft.rfftn(rng.standard_normal(volume.shape, dtype=np.float32))  # Hermitian phases, uniform and independent
    for plane, other, z2 in zip(transform, noise, k2, strict=True):
        chosen = z2 + in_plane >= first_shell**2
        plane[chosen] = np.abs(plane[chosen]) * other[chosen] / np.maximum(np.abs(other[chosen]), 1e-30)
    return np.asarray(fft.irfftn(transform, s=volume.shape), dtype=np.float32)


def _squared_radii(n: int, xp: Any) -> tuple[Any, Any]:
    """Squared frequencies along z, float32 (N,), and in the planes of a half transform, float32 (N, N//2+1)."""
    k2 = (((xp.arange(n) + n // 2) % n - n // 2) ** 2).astype(xp.float32)
    return k2, k2[:, None] + xp.arange(n // 2 + 1, dtype=xp.float32) ** 2
