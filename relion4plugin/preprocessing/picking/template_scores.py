"""How well templates fit at every place of a micrograph: correlation by Fourier transforms, many angles at a time.

Scheres (2015) J. Struct. Biol. 189, 114-122.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft

from relion4plugin.imaging.ctf import CtfOptions, CtfParameters, evaluate_ctf
from relion4plugin.preprocessing.picking.micrograph import ScaledMicrograph
from relion4plugin.preprocessing.picking.template_images import Templates

_BATCH_BYTES = 1 << 27
_LEAST_SPREAD = 0.5  # of the median local standard deviation: empty areas are not blown up
_RING = 1.4  # outer radius of the noise area, in radii of a particle
_ROLL = 0.1  # width of a filter's edge, in cut-off frequencies


@dataclass(frozen=True)
class Filters:
    """Low-pass and high-pass filter in A (0 or less for none)."""

    lowpass: float
    highpass: float


@dataclass(frozen=True)
class ScoreMap:
    """Scores of a micrograph, all (ny, nx).

    `correlation` is the best normalised correlation over all templates (float32), `reference` and `angle` are the indices of the template
    that has it, `reversed_` is the best one with reversed contrast, which only noise can have;
    `noise_mean` and `noise_spread` are mean and standard deviation in a ring about the place, in units of the whole micrograph.
    """

    correlation: np.ndarray
    reversed_: np.ndarray
    reference: np.ndarray
    angle: np.ndarray
    noise_mean: np.ndarray
    noise_spread: np.ndarray


def score_map(
    small: ScaledMicrograph, templates: Templates, filters: Filters, ctf: CtfParameters | None, options: CtfOptions, sign: float
) -> ScoreMap:
    """Compare a micrograph with all templates at all places.

    Grey values x are those of the filtered micrograph over their local standard deviation, and a is a template with filter and CTF of
    the micrograph. The normalised correlation ``sum(x a) / sqrt(sum(a^2))`` does not depend on the scale of grey values of either. It is
    given in its standard deviations for noise that is white up to the filter.

    Parameters
    ----------
    small : ScaledMicrograph
        Larger than a template.
    templates : Templates
        Of the same pixel size.
    filters : Filters
        Applied to the micrograph.
    ctf : CtfParameters or None
        Of this one micrograph; None leaves the templates as they are.
    options : CtfOptions
        How the CTF is modified.
    sign : float
        -1 where particles are dark in the micrograph and white in the templates, else 1.

    Returns
    -------
    ScoreMap
    """
    fy, fx = _frequencies(small)
    shape = small.image.shape
    band = _band(fy, fx, filters)
    image = scipy.fft.rfft2(small.image - small.image.mean()) * band
    image.flat[0] = 0
    flat = scipy.fft.irfft2(image, s=shape).astype(np.float32)
    flat /= float(flat.std()) or 1.0
    transform = scipy.fft.rfft2(flat)
    _, spread = _local(flat, transform, _ring(templates, 0.0, 1.0))
    spread = np.maximum(spread, _LEAST_SPREAD * float(np.median(spread)))
    noise_mean, noise_spread = _local(flat, transform, _ring(templates, 1.0, _RING))
    transfer = band
    if ctf is not None:
        ys, xs = np.broadcast_arrays(fy[:, None], fx[None, :])
        transfer = band * evaluate_ctf(xs.ravel(), ys.ravel(), ctf, options)[0].reshape(band.shape)
    best, worst = (np.full(shape, -np.inf, dtype=np.float32) for _ in range(2))
    reference, angle = np.zeros(shape, np.int16), np.zeros(shape, np.int16)
    for k, first, values in _correlations(transform * transfer, transfer**2 * _hermitian(shape[1]), templates, shape):
        values *= sign
        at = values.argmax(axis=0)
        highest = np.take_along_axis(values, at[None], axis=0)[0]
        better = highest > best
        best[better], reference[better], angle[better] = highest[better], k, (at + first)[better]
        np.maximum(worst, -values.min(axis=0), out=worst)
    spread *= _white(band, shape)
    return ScoreMap(best / spread, worst / spread, reference, angle, noise_mean, noise_spread)


def _white(band: np.ndarray, shape: tuple[int, ...]) -> float:
    """Return the standard deviation of a normalised correlation with filtered white noise whose own one is 1."""
    return float(np.sqrt(shape[0] * shape[1] / (band**2 * _hermitian(shape[1])).sum()))


def _correlations(
    image: np.ndarray, weight: np.ndarray, templates: Templates, shape: tuple[int, ...]
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield reference, first angle, and correlations (B, ny, nx) with some angles at a time over the norms of their templates."""
    size = max(1, _BATCH_BYTES // (12 * shape[0] * shape[1]))
    for k, turned in enumerate(templates.images):
        for first in range(0, len(turned), size):
            halves = scipy.fft.rfft2(_placed(turned[first : first + size], shape))
            power = np.einsum("bij,bij,ij->b", halves, halves.conj(), weight, optimize=True).real / (shape[0] * shape[1])
            norm = np.sqrt(np.maximum(power, np.finfo(np.float32).tiny)).astype(np.float32)
            yield k, first, scipy.fft.irfft2(np.conj(halves, out=halves) * image, s=shape) / norm[:, None, None]


def _placed(boxes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Put odd boxes (..., n, n) into frames of zeros so that their centres are at the first pixel."""
    reach = boxes.shape[-1] // 2
    frames = np.zeros((*boxes.shape[:-2], *shape), np.float32)
    frames[..., : boxes.shape[-2], : boxes.shape[-1]] = boxes
    return np.roll(frames, (-reach, -reach), axis=(-2, -1))


def _local(flat: np.ndarray, transform: np.ndarray, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of grey values in an area about each pixel."""
    kernel = np.conj(scipy.fft.rfft2(_placed(area / area.sum(), flat.shape)))
    mean = scipy.fft.irfft2(kernel * transform, s=flat.shape)
    square = scipy.fft.irfft2(kernel * scipy.fft.rfft2(flat * flat), s=flat.shape)
    return mean, np.sqrt(np.maximum(square - mean**2, 0.0))


def _ring(templates: Templates, inner: float, outer: float) -> np.ndarray:
    """Return an area between two radii, given in radii of a particle, float32 (n, n)."""
    radius = templates.radius / templates.pixel_size
    reach = int(np.ceil(outer * radius))
    offset = np.arange(-reach, reach + 1)
    distance = np.hypot(offset[:, None], offset[None, :])
    return ((distance >= inner * radius) & (distance <= outer * radius)).astype(np.float32)


def _frequencies(small: ScaledMicrograph) -> tuple[np.ndarray, np.ndarray]:
    """Return frequencies along y and x of the half transform in 1/A."""
    mean_scale = float(np.sqrt(small.scale[0] * small.scale[1]))
    py, px = (small.pixel_size * scale / mean_scale for scale in small.scale)
    ny, nx = small.image.shape
    return np.fft.fftfreq(ny, py), np.fft.rfftfreq(nx, px)


def _band(fy: np.ndarray, fx: np.ndarray, filters: Filters) -> np.ndarray:
    """Return the filter at all frequencies of the half transform, float32."""
    frequency = np.hypot(fy[:, None], fx[None, :])
    band = np.ones_like(frequency)
    for cutoff, outward in ((filters.lowpass, -1.0), (filters.highpass, 1.0)):
        if cutoff > 0:
            t = np.clip(outward * (frequency * cutoff - 1) / _ROLL + 0.5, 0.0, 1.0)
            band *= 0.5 - 0.5 * np.cos(np.pi * t)
    return band.astype(np.float32)


def _hermitian(nx: int) -> np.ndarray:
    """Return how often each column of the half transform counts in a sum over the whole one, float32 (nx // 2 + 1,)."""
    weight = np.full(nx // 2 + 1, 2.0, dtype=np.float32)
    weight[0] = 1.0
    if nx % 2 == 0:
        weight[-1] = 1.0
    return weight
