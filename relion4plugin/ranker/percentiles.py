"""Where a feature of a class lies among those that the ranker was trained on: what makes a score understandable."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import ndtr

CARD_KEY = "feature_quantiles"


def training_quantiles(normalised: np.ndarray, steps: int = 20) -> list[list[float]]:
    """Quantiles of a training set for the model card.

    Parameters
    ----------
    normalised
        float (n, 24): normalised features of all training classes.
    steps
        Intervals of equal probability.

    Returns
    -------
    list of list of float
        For each feature its quantiles at 0, 1/steps, ..., 1.
    """
    found = np.quantile(np.asarray(normalised, np.float64), np.linspace(0, 1, steps + 1), axis=0).T
    return [[round(float(value), 5) for value in row] for row in found]


def percentiles(normalised: np.ndarray, card: Mapping[str, Any]) -> np.ndarray:
    """Percentile of each feature among the training classes.

    Parameters
    ----------
    normalised
        float (n, 24).
    card
        The model card. Without quantiles, as in RELION's weights, the features of the training set are taken to be normally
        distributed about the mean by which they are normalised.

    Returns
    -------
    float64 (n, 24)
        0 to 100.
    """
    values = np.asarray(normalised, np.float64)
    if CARD_KEY not in card:
        return np.asarray(100 * ndtr(values))
    quantiles = np.asarray(card[CARD_KEY], np.float64)
    levels = np.linspace(0, 100, quantiles.shape[1])
    return np.stack([_level(values[:, i], quantiles[i], levels) for i in range(values.shape[1])], axis=1)


def _level(values: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Interpolate; a value that many training classes share gets the middle of its levels."""
    low = np.interp(values, quantiles, levels)
    first = np.searchsorted(quantiles, values, "left")
    after = np.searchsorted(quantiles, values, "right")
    tied = after - first > 1
    low[tied] = (levels[first[tied]] + levels[after[tied] - 1]) / 2
    return low
