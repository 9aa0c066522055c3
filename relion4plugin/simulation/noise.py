"""Coloured Gaussian noise, made in Fourier space."""

import numpy as np
import scipy.fft

from relion4plugin.imaging.fourier import half_multiplicity

KNEE = 0.01  # 1/A; below it the noise power is flat, above it falls
GROUP_STEP = 0.25  # by which the colour exponent grows from one optics group to the next, as a share
BLOCK = 16  # images drawn from one random stream


def noise_power(box_size: int, pixel_size: float, colour: float, optics_group: int = 1) -> np.ndarray:
    """Noise power of the half transform, of variance 1 per pixel in all.

    ``(1 + (f / 0.01 A^-1)^2)^(-colour/2)``: solvent and slow drift at low, shot noise at high frequency. Every optics group after
    the first has a colour 25 % steeper than the one before.

    Parameters
    ----------
    box_size : int
        Edge N in px.
    pixel_size : float
        A per px.
    colour : float
        Exponent; 0 is white.
    optics_group : int
        Number of the group, from 1.

    Returns
    -------
    numpy.ndarray
        float32 (N, N//2+1), expected squared modulus of each component.
    """
    f = scipy.fft.fftfreq(box_size, pixel_size)
    frequency2 = f[:, None] ** 2 + f[: box_size // 2 + 1] ** 2
    power = (1.0 + frequency2 / KNEE**2) ** (-0.5 * colour * (1.0 + GROUP_STEP * (optics_group - 1)))
    return (power / (power * half_multiplicity(box_size)).sum()).astype(np.float32)


def draw_noise(seed: int, micrograph: int, first: int, count: int, box_size: int) -> np.ndarray:
    """White noise of unit power in the half transform.

    Images are drawn in fixed blocks, each with its own random stream, so the noise of an image does not depend on which others
    are made with it.

    Parameters
    ----------
    seed, micrograph : int
        Which stack.
    first, count : int
        Rows of the stack; `first` is a multiple of BLOCK.
    box_size : int
        Edge N in px.

    Returns
    -------
    numpy.ndarray
        complex64 (count, N, N//2+1); the inverse transform is real Gaussian noise.
    """
    if first % BLOCK:
        raise ValueError(f"row {first} is not the start of a block of {BLOCK}")
    shape = (box_size, box_size // 2 + 1, 2)
    parts = np.empty((count, *shape), np.float32)
    for start in range(0, count, BLOCK):
        rng = np.random.default_rng(np.random.SeedSequence((seed, 5, micrograph, first + start)))
        rng.standard_normal(out=parts[start : start + BLOCK], dtype=np.float32)
    # the inverse transform averages these two columns with their Friedel mates, which halves their power
    parts[:, :, 1:-1] *= np.float32(np.sqrt(0.5))
    return parts.view(np.complex64)[..., 0]


def noise_gain(power: np.ndarray, ctf: np.ndarray, structural: float) -> np.ndarray:
    """Amplitude that colours white noise, part of which passed the CTF.

    The sum of independent shot noise and CTF-modulated structural noise of the same colour is Gaussian noise with the sum of
    their powers, so one draw serves both.

    Parameters
    ----------
    power : numpy.ndarray
        float32 (n, N, N//2+1) or broadcastable, from `noise_power`.
    ctf : numpy.ndarray
        float32 (n, N, N//2+1).
    structural : float
        Share of the variance that passed the CTF.

    Returns
    -------
    numpy.ndarray
        float32, square root of the power; the variance per pixel stays 1.
    """
    if structural == 0:
        return np.sqrt(power)
    passed = ctf * ctf
    weights = half_multiplicity(ctf.shape[-2])
    share = (passed * power * weights).sum(axis=(-2, -1), keepdims=True)
    return np.sqrt(power * ((1.0 - structural) + structural * passed / share), dtype=np.float32)
