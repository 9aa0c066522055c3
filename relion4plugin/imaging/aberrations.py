"""Phases of optical aberrations beyond defocus and spherical aberration, and the detector's MTF.

Antisymmetric aberrations (beam tilt, odd Zernike terms) shift the phases of an image and are taken out of it;
symmetric ones (even Zernike terms) add to the phase of the CTF. Zernike polynomials are unnormalised functions of the
spatial frequency in 1/A, numbered by rising radial order and, within one, by rising azimuthal order (Zivanov et al. 2020).
"""

from collections.abc import Sequence
from math import factorial, isqrt
from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace
from relion4plugin.imaging.ctf import wavelength


def even_zernike_order(index: int) -> tuple[int, int]:
    """Azimuthal and radial order of a symmetric term: 0 -> (0, 0), 1..3 -> (-2..2, 2), ...

    Parameters
    ----------
    index : int
        Position in the list of even coefficients, from 0.

    Returns
    -------
    m, n : int
    """
    k = isqrt(index)
    return 2 * (index - k * k - k), 2 * k


def odd_zernike_order(index: int) -> tuple[int, int]:
    """Azimuthal and radial order of an antisymmetric term: 0, 1 -> (-1, 1), (1, 1); 2..5 -> (-3..3, 3), ...

    Parameters
    ----------
    index : int
        Position in the list of odd coefficients, from 0.

    Returns
    -------
    m, n : int
    """
    k = (isqrt(1 + 4 * index) - 1) // 2
    n = 2 * k + 1
    return 2 * (index - k * (k + 1)) - n, n


def zernike(m: int, n: int, fx: Any, fy: Any) -> Any:
    """One unnormalised Zernike polynomial in Cartesian coordinates.

    Parameters
    ----------
    m, n : int
        Azimuthal order (negative: sine) and radial order.
    fx, fy : float (P,)
        Coordinates.

    Returns
    -------
    float64 (P,)
    """
    xp = array_namespace(fx, fy)
    x, y = xp.asarray(fx, dtype=xp.float64), xp.asarray(fy, dtype=xp.float64)
    radius, angle, a = xp.hypot(x, y), xp.arctan2(y, x), abs(m)
    radial = xp.zeros_like(radius)
    for k in range((n - a) // 2 + 1):
        weight = (-1) ** k * factorial(n - k) // (factorial(k) * factorial((n + a) // 2 - k) * factorial((n - a) // 2 - k))
        radial += weight * radius ** (n - 2 * k)
    return radial * (xp.cos(m * angle) if m >= 0 else xp.sin(a * angle))


def symmetric_phase(fx: Any, fy: Any, even_zernike: Sequence[float]) -> Any:
    """Phase that symmetric aberrations add to the CTF's gamma.

    Parameters
    ----------
    fx, fy : float (P,)
        Spatial frequencies in 1/A.
    even_zernike : sequence of float
        Coefficients of the even terms.

    Returns
    -------
    float64 (P,)
        Radians.
    """
    xp = array_namespace(fx, fy)
    phase = xp.zeros(fx.shape, xp.float64)
    for index, coefficient in enumerate(even_zernike):
        if coefficient:
            phase += coefficient * zernike(*even_zernike_order(index), fx, fy)
    return phase


def antisymmetric_phase(
    fx: Any,
    fy: Any,
    *,
    beam_tilt_mrad: tuple[float, float] = (0.0, 0.0),
    odd_zernike: Sequence[float] = (),
    voltage: float = 300.0,
    spherical_aberration: float = 2.7,
) -> Any:
    """Phase that antisymmetric aberrations leave in the image: its transform is multiplied by ``exp(i phase)``.

    Parameters
    ----------
    fx, fy : float (P,)
        Spatial frequencies in 1/A.
    beam_tilt_mrad : (float, float)
        Beam tilt along x and y in mrad; its phase is ``-2 pi Cs lambda^2 |f|^2 (f . tilt)``.
    odd_zernike : sequence of float
        Coefficients of the odd terms.
    voltage : float
        kV.
    spherical_aberration : float
        mm.

    Returns
    -------
    float64 (P,)
        Radians.
    """
    xp = array_namespace(fx, fy)
    x, y = xp.asarray(fx, dtype=xp.float64), xp.asarray(fy, dtype=xp.float64)
    strength = 2 * np.pi * spherical_aberration * 1e7 * wavelength(voltage) ** 2 * 1e-3
    phase = -strength * (x * x + y * y) * (x * beam_tilt_mrad[0] + y * beam_tilt_mrad[1])
    for index, coefficient in enumerate(odd_zernike):
        if coefficient:
            phase += coefficient * zernike(*odd_zernike_order(index), x, y)
    return phase


def demodulate(components: Any, phase: Any) -> Any:
    """Take an antisymmetric phase out of transforms: multiply by ``exp(-i phase)``.

    Parameters
    ----------
    components : complex (..., P)
        Fourier components.
    phase : float (P,)
        Radians, from `antisymmetric_phase`.

    Returns
    -------
    complex (..., P) of the same type
    """
    xp = array_namespace(components, phase)
    return components * xp.exp(-1j * phase).astype(components.dtype)


def mtf_at(fx: Any, fy: Any, table: Any, pixel_size: float) -> Any:
    """Interpolate a detector's modulation transfer function.

    Parameters
    ----------
    fx, fy : float (P,)
        Spatial frequencies in 1/A.
    table : float (m, 2)
        Rising frequencies in 1/(detector pixel) and the MTF there.
    pixel_size : float
        Size of the detector pixel at the specimen, in A.

    Returns
    -------
    float32 (P,)
        Linear between the rows, constant beyond the last.
    """
    xp = array_namespace(fx, fy, table)
    radius = xp.hypot(xp.asarray(fx, dtype=xp.float64), xp.asarray(fy, dtype=xp.float64)) * pixel_size
    rows = xp.asarray(table, dtype=xp.float64)
    return xp.interp(radius, rows[:, 0], rows[:, 1]).astype(xp.float32)
