"""A score threshold made for one data set.

Scores are absolute: quality of the class times quality of the data set. A good data set therefore wants a higher threshold
than the usual 0.15, a poor or crowded one a lower (RELION-4.0 paper, Table 4: 0.02 to 0.5). What the best classes of a data set
score tells which it is.
"""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class CalibrationSettings:
    """How a data set's threshold follows from its scores.

    Attributes
    ----------
    top_share
        The level of the data set is the score at which the best classes together hold this share of the particles.
    fraction
        Threshold as a share of that level, where the scores show no gap.
    low, high
        The threshold is put into the clearest gap between these shares of the level; equal values look for no gap.
    floor, ceiling
        Bounds of the threshold.
    junk
        If no class scores higher, the data set has no good class, and nothing is selected.
    """

    top_share: float = 0.03
    fraction: float = 0.3
    low: float = 0.2
    high: float = 0.3
    floor: float = 0.05
    ceiling: float = 0.4
    junk: float = 0.08


def calibrated_threshold(scores: np.ndarray, particles: np.ndarray, settings: CalibrationSettings) -> float:
    """Return the threshold for the classes of one data set.

    The cut between the bounds is the one that best parts the particles into two groups of scores (largest variance between
    both groups: Otsu 1979), each class weighted by its particles.

    Parameters
    ----------
    scores, particles
        float (n,): score and number of particles of each class.
    settings
        The rule.

    Returns
    -------
    float
        At most the best score; infinite if no class reaches `settings.junk`.
    """
    if len(scores) == 0 or float(np.max(scores)) < settings.junk:
        return math.inf
    best, level = float(np.max(scores)), data_set_level(scores, particles, settings.top_share)
    cut = _clearest_gap(scores, particles, settings.low * level, settings.high * level)
    threshold = settings.fraction * level if cut is None else cut
    return min(max(threshold, settings.floor), settings.ceiling, best)


def data_set_level(scores: np.ndarray, particles: np.ndarray, top_share: float) -> float:
    """Return the score at which the best classes together hold a share of the particles.

    Parameters
    ----------
    scores, particles
        float (n,).
    top_share
        0 to 1; 0 is the best score.
    """
    order = np.argsort(-scores, kind="stable")
    held = np.cumsum(particles[order])
    reached = int(np.searchsorted(held, top_share * held[-1] * (1 - 1e-9)))
    return float(scores[order[min(reached, len(order) - 1)]])


def _clearest_gap(scores: np.ndarray, particles: np.ndarray, low: float, high: float) -> float | None:
    """Middle of the gap between two neighbouring scores that best parts the particles, None if no gap's middle is in bounds."""
    order = np.argsort(scores, kind="stable")
    values, weights = np.asarray(scores, np.float64)[order], np.asarray(particles, np.float64)[order]
    middles = (values[1:] + values[:-1]) / 2
    below = np.cumsum(weights)[:-1]
    above = weights.sum() - below
    allowed = (middles >= low) & (middles <= high) & (below > 0) & (above > 0)
    if not allowed.any():
        return None
    sums = np.cumsum(weights * values)
    below, above, middles, sums_below = below[allowed], above[allowed], middles[allowed], sums[:-1][allowed]
    between = below * above * (sums_below / below - (sums[-1] - sums_below) / above) ** 2
    return float(middles[int(np.argmax(between))])
