"""The one Fourier layout of the project: the centred half transform.

``X[ky, kx]`` with ``kx = 0..N/2`` fastest and ``ky`` in FFT order, divided by the number of pixels, with the origin at pixel N/2.
Frequencies are in units of 1/(N pixels); box sizes are even.
"""

from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace, fft_module


def round_half_away(x: Any) -> Any:
    """Round to the nearest integer, halves away from zero (2.5 -> 3, -2.5 -> -3).

    Parameters
    ----------
    x : array or float
        Values; numpy's own rounding sends halves to even numbers, which would move half-integer radii to other shells.

    Returns
    -------
    array of int32, or int for a scalar
    """
    if isinstance(x, int | float | np.number):
        return int(np.copysign(np.floor(np.abs(x) + 0.5), x))
    xp = array_namespace(x)
    return xp.copysign(xp.floor(xp.abs(x) + 0.5), x).astype(xp.int32)


def _check_even(n: int) -> int:
    if n < 2 or n % 2:
        raise ValueError(f"box size {n} is not an even number of pixels")
    return n // 2


def half_frequencies(n: int, xp: Any = np) -> tuple[Any, Any]:
    """Integer frequencies of the half transform.

    Parameters
    ----------
    n : int
        Box size in pixels, even.
    xp : module
        Array library of the result.

    Returns
    -------
    ky, kx : int32 (n, n//2+1)
        Row frequencies 0..n/2-1, -n/2..-1 and column frequencies 0..n/2.
    """
    half = _check_even(n)
    ky = (xp.arange(n, dtype=xp.int32) + half) % n - half
    kx = xp.arange(half + 1, dtype=xp.int32)
    shape = (n, half + 1)
    return (
        xp.ascontiguousarray(xp.broadcast_to(ky[:, None], shape)),
        xp.ascontiguousarray(xp.broadcast_to(kx[None, :], shape)),
    )


def half_shells(n: int, xp: Any = np) -> Any:
    """Shell index of every half-transform component: the rounded radius.

    Parameters
    ----------
    n : int
        Box size in pixels, even.
    xp : module
        Array library of the result.

    Returns
    -------
    int32 (n, n//2+1)
        Shells run to beyond n/2 in the corners.
    """
    ky, kx = half_frequencies(n, xp)
    return round_half_away(xp.sqrt((kx * kx + ky * ky).astype(xp.float64)))


def half_unique(n: int, xp: Any = np) -> Any:
    """Mask of the components that carry information of their own.

    Parameters
    ----------
    n : int
        Box size in pixels, even.
    xp : module
        Array library of the result.

    Returns
    -------
    bool (n, n//2+1)
        False where kx = 0 and -n/2 < ky < 0, whose Friedel mates are stored as well.
    """
    ky, kx = half_frequencies(n, xp)
    return ~((kx == 0) & (ky < 0) & (ky > -(n // 2)))


def half_multiplicity(n: int, xp: Any = np) -> Any:
    """How often each stored component occurs in the full transform: 1 or 2.

    Sums over the full transform (Parseval) are sums over the half transform with these weights.

    Parameters
    ----------
    n : int
        Box size in pixels, even.
    xp : module
        Array library of the result.

    Returns
    -------
    float32 (n, n//2+1)
    """
    kx = half_frequencies(n, xp)[1]
    return xp.where((kx == 0) | (kx == n // 2), xp.float32(1), xp.float32(2)).astype(xp.float32)


def centre_sign(n: int, xp: Any = np, dtype: Any = np.float32) -> Any:
    """Signs (-1)^(kx+ky) that move the origin from pixel 0 to pixel n/2.

    Parameters
    ----------
    n : int
        Box size in pixels, even.
    xp : module
        Array library of the result.
    dtype : data type
        Real type of the result.

    Returns
    -------
    array (n, n//2+1) of `dtype`
    """
    row = (1 - 2 * (xp.arange(n) % 2)).astype(dtype)
    return row[:, None] * row[None, : n // 2 + 1]


def image_to_half(images: Any) -> Any:
    """Centred half transform of images, divided by the number of pixels.

    Parameters
    ----------
    images : float (..., N, N)
        Real images, N even. float64 is kept, everything else is treated as float32.

    Returns
    -------
    complex64 (complex128 for float64 input) (..., N, N//2+1)
    """
    xp = array_namespace(images)
    n = images.shape[-1]
    _check_even(n)
    real = xp.float64 if images.dtype == xp.float64 else xp.float32
    half = fft_module(xp).rfft2(images.astype(real, copy=False), axes=(-2, -1))
    half *= centre_sign(n, xp, real) / real(n * n)
    return half


def half_to_image(half: Any, n: int) -> Any:
    """Real images of centred half transforms: the inverse of `image_to_half`.

    Parameters
    ----------
    half : complex (..., n, n//2+1)
        Half transforms.
    n : int
        Box size in pixels, even.

    Returns
    -------
    float32 (float64 for complex128 input) (..., n, n)
    """
    xp = array_namespace(half)
    real = xp.float64 if half.dtype == xp.complex128 else xp.float32
    scaled = half * (centre_sign(n, xp, real) * real(n * n))
    return fft_module(xp).irfft2(scaled, s=(n, n), axes=(-2, -1))


def crop_half(half: Any, n_new: int) -> Any:
    """Keep the components of a smaller box: kx = 0..n_new/2, ky = -n_new/2..n_new/2-1.

    Coefficients are copied unchanged, so grey values in real space stay the same.

    Parameters
    ----------
    half : complex or real (..., N, N//2+1)
        Array in half-transform layout.
    n_new : int
        Even box size, at most N.

    Returns
    -------
    array (..., n_new, n_new//2+1) of the same type
    """
    xp = array_namespace(half)
    new = _check_even(n_new)
    n = half.shape[-2]
    if n_new > n:
        raise ValueError(f"cannot crop a box of {n} to {n_new} pixels")
    if n_new == n:
        return half
    return xp.concatenate([half[..., :new, : new + 1], half[..., n - new :, : new + 1]], axis=-2)


def pad_half(half: Any, n_new: int) -> Any:
    """Put the components into a larger box with zeros around; `crop_half` gives them back.

    Parameters
    ----------
    half : complex or real (..., N, N//2+1)
        Array in half-transform layout.
    n_new : int
        Even box size, at least N.

    Returns
    -------
    array (..., n_new, n_new//2+1) of the same type
    """
    xp = array_namespace(half)
    new = _check_even(n_new)
    n = half.shape[-2]
    old = n // 2
    if n_new < n:
        raise ValueError(f"cannot pad a box of {n} to {n_new} pixels")
    if n_new == n:
        return half
    out = xp.zeros((*half.shape[:-2], n_new, new + 1), half.dtype)
    out[..., :old, : old + 1] = half[..., :old, :]
    out[..., n_new - old :, : old + 1] = half[..., old:, :]
    return out


def shift_phases(ky: Any, kx: Any, shifts_px: Any, n: int) -> Any:
    """Phase factors that move image content by the given shifts.

    ``exp(-2 pi i (kx sx + ky sy) / n)``: a positive x shift moves content to larger column numbers.

    Parameters
    ----------
    ky, kx : int (P,)
        Frequencies in units of 1/(n pixels).
    shifts_px : float (m, 2)
        Shifts as (x, y) in pixels of the box of `n`.
    n : int
        Box size in pixels.

    Returns
    -------
    complex64 (m, P)
    """
    xp = array_namespace(ky, kx, shifts_px)
    shifts = xp.asarray(shifts_px, dtype=xp.float64) / n
    frequencies = xp.stack([xp.ravel(kx), xp.ravel(ky)]).astype(xp.float64)
    cycles = shifts @ frequencies
    angle = ((cycles - xp.floor(cycles)) * (-2 * np.pi)).astype(xp.float32)
    out = xp.empty(angle.shape, xp.complex64)
    out.real = xp.cos(angle)
    out.imag = xp.sin(angle)
    return out
