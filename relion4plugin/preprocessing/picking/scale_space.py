"""Blobs of given diameters as maxima of the scale-normalised Laplacian of Gaussian.

Lindeberg (1998) Int. J. Comput. Vision 30, 79-116. A disc of diameter d answers most strongly to a Gaussian of standard
deviation d / sqrt(8); responses are scaled so that a dark disc of contrast 1 gives 1 at its centre.
"""

import numpy as np
import scipy.fft

from relion4plugin.preprocessing.picking.micrograph import centre_and_spread

_PER_DIAMETER = 1.0 / np.sqrt(8.0)
_DISC = np.e / 2.0  # one over the response of the plain scale-normalised filter to a disc of contrast 1
_OCTAVES_BELOW, _OCTAVES_ABOVE, _STEP, _RISE = 2.0, 0.75, 0.25, 3  # sizes, in octaves, and steps between slopes that are compared
_NOISE_BAND = (0.35, 0.5)  # cycles per px; the filters pass next to nothing of particles there


def diameters_between(smallest: float, largest: float, step: float = 1.12) -> np.ndarray:
    """Return diameters in geometric steps of at most `step`, both ends included."""
    count = 1 + int(np.ceil(np.log(max(largest / smallest, 1.0)) / np.log(step) - 1e-9))
    return np.geomspace(smallest, largest, count) if count > 1 else np.array([smallest], dtype=np.float64)


def smooth(image: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth with a Gaussian; beyond its edges the image is mirrored.

    Parameters
    ----------
    image : float32 (ny, nx)
        Real image.
    sigma : float
        Standard deviation in px.

    Returns
    -------
    float32 (ny, nx)
    """
    padded, inside = mirrored(image, int(np.ceil(3 * sigma)))
    weight = np.exp(-0.5 * sigma**2 * _squared_frequencies(padded.shape))
    return np.ascontiguousarray(scipy.fft.irfft2(scipy.fft.rfft2(padded) * weight, s=padded.shape)[inside])


def mirrored(image: np.ndarray, width: int) -> tuple[np.ndarray, tuple[slice, slice]]:
    """Return an image with mirrored borders, and where the image itself lies in it."""
    widths = [min(width, n - 1) for n in image.shape]
    inside = (slice(widths[0], widths[0] + image.shape[0]), slice(widths[1], widths[1] + image.shape[1]))
    extra = [int(scipy.fft.next_fast_len(n + 2 * w, real=True)) - n - 2 * w for n, w in zip(image.shape, widths, strict=True)]
    padding = [(w, w + e) for w, e in zip(widths, extra, strict=True)]
    return np.pad(image, padding, mode="symmetric"), inside


def responses(image: np.ndarray, diameters: np.ndarray) -> np.ndarray:
    """Filter an image for dark blobs.

    Parameters
    ----------
    image : float32 (ny, nx)
        Background near 0.
    diameters : float (n,)
        In px.

    Returns
    -------
    float32 (n, ny, nx)
        Positive in dark blobs, in units of contrast.
    """
    padded, inside = mirrored(image, int(np.ceil(diameters.max())))
    transform, k2 = scipy.fft.rfft2(padded), _squared_frequencies(padded.shape)
    found = np.empty((len(diameters), *image.shape), dtype=np.float32)
    for plane, diameter in zip(found, diameters, strict=True):
        plane[:] = scipy.fft.irfft2(transform * _filter(k2, diameter), s=padded.shape)[inside]
    return found


def kink(image: np.ndarray, diameter: float) -> float:
    """Return by how much the slope of the response's spread over the diameter, both in logarithms, rises near a diameter (px).

    The largest rise from one diameter to another 1.68 times as large, between a quarter of the diameter and 1.7 times it: about 0 for noise
    with the spectrum of a power law, up to 0.35 for white noise, 0.4 and more where particles of that size are.
    """
    scales = 2.0 ** np.arange(-_OCTAVES_BELOW, _OCTAVES_ABOVE + _STEP / 2, _STEP)
    spreads = np.array([centre_and_spread(response)[1] for response in responses(image, diameter * scales)])
    slopes = np.diff(np.log(np.maximum(spreads, np.finfo(np.float32).tiny))) / (_STEP * np.log(2.0))
    return float((slopes[_RISE:] - slopes[:-_RISE]).max())


def response_noise(image: np.ndarray, diameter: float) -> float:
    """Return the standard deviation that noise alone would give the response to a diameter (px).

    The noise is taken as white, at the power found at frequencies beyond those of blobs: particles do not raise it, however
    crowded they are.
    """
    power = np.abs(scipy.fft.rfft2(image - image.mean())) ** 2 / image.size
    k2 = _squared_frequencies(image.shape)
    low, high = ((2 * np.pi * edge) ** 2 for edge in _NOISE_BAND)
    level = float(power[(k2 >= low) & (k2 <= high)].mean())
    columns = np.full(k2.shape[1], 2.0)  # the half that is not stored
    columns[0] = 1.0
    return float(np.sqrt(level * np.sum(columns * _filter(k2, diameter) ** 2) / image.size))


def _filter(k2: np.ndarray, diameter: float) -> np.ndarray:
    variance = np.float32((_PER_DIAMETER * diameter) ** 2)
    return -np.float32(_DISC) * variance * k2 * np.exp(-0.5 * variance * k2)


def _squared_frequencies(shape: tuple[int, ...]) -> np.ndarray:
    ky, kx = scipy.fft.fftfreq(shape[0]), scipy.fft.rfftfreq(shape[1])
    return ((2 * np.pi) ** 2 * (ky[:, None] ** 2 + kx[None, :] ** 2)).astype(np.float32)
