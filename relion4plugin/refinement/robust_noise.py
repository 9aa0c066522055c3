"""Noise that strong images cannot raise: powers that images leave in a shell count at most twice their median.

Carbon edges, gold and crystals leave tens of times the power of a particle where no class shows them. In the plain mean they raise the
noise of all images just at low resolution, where particles are aligned, and 2D classes of a junk-rich data set stay blobs. What references
do not explain yet raises all powers alike and counts in full, so that searches stay as wide as the references are poor.

Powers are counted by their ratio to what the present noise lets expect: counts of parts of a batch add up, and need no memory per particle.
"""

from typing import Any

import numpy as np
from scipy.special import chdtr, chdtri

PER_OCTAVE = 8
OCTAVES = 8  # to either side of what is expected
BINS = 2 * OCTAVES * PER_OCTAVE
MOST = 2.0  # medians that an image counts at most
_LEAST = 2.0**-OCTAVES


def count_powers(power: Any, expected: Any, group: Any, xp: Any = np) -> Any:
    """Count the powers of some images.

    Parameters
    ----------
    power : float (n, shells), residual power of each image
    expected : float (n_groups, shells), power that the noise of each group lets expect
    group : int (n,), group of each image
    xp : array namespace of all of them

    Returns
    -------
    float64 (n_groups, shells, BINS), images by the binary logarithm of their ratio to the expected power, from ``-OCTAVES`` to ``OCTAVES``
    """
    shape = (*expected.shape, BINS)
    ratio = xp.maximum(power / expected[group], _LEAST)
    place = xp.minimum(((xp.log2(ratio) + OCTAVES) * PER_OCTAVE).astype(xp.int64), BINS - 1)
    cell = (group[:, None] * shape[1] + xp.arange(shape[1])) * BINS + place
    return xp.bincount(cell.ravel(), minlength=int(np.prod(shape))).reshape(shape).astype(xp.float64)


def robust_power(counts: np.ndarray, expected: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Return the mean power of images that count at most `MOST` medians, made right for chi-square; float64 (n_groups, shells).

    Parameters
    ----------
    counts, expected
        Of `count_powers`. Groups without images keep what is expected.
    components : int (shells,)
        Real and imaginary parts in each shell: the degrees of freedom.
    """
    below = counts.cumsum(axis=2)
    total = below[..., -1:]
    place = np.argmax(below >= np.maximum(total / 2, 0.5), axis=2)[..., None]
    inside = np.take_along_axis(counts, place, axis=2)
    start = np.take_along_axis(below, place, axis=2) - inside
    part = np.divide(total / 2 - start, inside, out=np.full(total.shape, 0.5), where=inside > 0)
    limit = MOST * 2.0 ** ((place + part) / PER_OCTAVE - OCTAVES)
    ratio = np.minimum(2.0 ** ((np.arange(BINS) + 0.5) / PER_OCTAVE - OCTAVES), limit)
    mean = (counts * ratio).sum(axis=2) / np.maximum(total[..., 0], 1)
    return np.where(total[..., 0] > 0, expected * mean / kept_share(components), expected)


def robust_mean(powers: np.ndarray, components: np.ndarray) -> np.ndarray:
    """As `robust_power`, of powers (n, shells) at hand; float64 (shells,)."""
    return np.minimum(powers, MOST * np.median(powers, axis=0)).mean(axis=0, dtype=np.float64) / kept_share(components)


def kept_share(components: np.ndarray) -> np.ndarray:
    """Mean of a chi-square variable that counts at most `MOST` medians, over its mean, by its degrees of freedom."""
    limit = MOST * chdtri(components, 0.5)
    return chdtr(components + 2, limit) + limit / components * (1 - chdtr(components, limit))
