"""Moments of grey values over regions of images."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Moments:
    """Of m images over their regions, float64 (m,) each; all are 0 for an empty region."""

    sum: np.ndarray
    mean: np.ndarray
    stddev: np.ndarray  # of the population
    skew: np.ndarray
    kurt: np.ndarray  # 3 for a normal distribution


def moments(images: np.ndarray, region: np.ndarray) -> Moments:
    """Compute the first four moments of the pixels in a region.

    Parameters
    ----------
    images : float (m, n, n)
    region : bool (m, n, n) or (n, n)
        One for each image, or one for all.

    Returns
    -------
    Moments
        Skewness and kurtosis are 0 where all pixels have the same value.
    """
    flat = len(images), images.shape[1] * images.shape[2]
    values = images.reshape(flat).astype(np.float64, copy=False)
    inside = np.broadcast_to(region, images.shape).reshape(flat)
    count = np.count_nonzero(inside, axis=1)
    some = np.maximum(count, 1)
    total = np.sum(values, axis=1, where=inside)
    mean = total / some
    deviation = np.where(inside, values - mean[:, None], 0.0)
    squared = deviation * deviation
    second = squared.sum(axis=1)
    varied = second > 0
    safe = np.where(varied, second, 1.0)
    third = np.einsum("mp,mp->m", squared, deviation)
    fourth = np.einsum("mp,mp->m", squared, squared)
    return Moments(
        sum=total,
        mean=mean,
        stddev=np.sqrt(second / some),
        skew=np.where(varied, np.sqrt(some) * third / safe**1.5, 0.0),
        kurt=np.where(varied, some * fourth / safe**2, 0.0),
    )
