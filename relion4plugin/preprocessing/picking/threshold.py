"""Which scores of blobs are those of particles."""

import numpy as np

# Scores are in standard deviations of the response to noise. Of the maxima of noise alone one in twenty is above the floor, and half
# are above 1.9; where half of all maxima are above _CROWDED, most are particles.
_FLOOR, _CROWDED = 3.5, 2.5
_CROWDED_PART, _LEAST = 0.4, 1.5
# Part of the variance that lies between two groups: 0.64 for a normal distribution cut in the middle.
_TWO_GROUPS = 0.70
_FEW = 8
_BULK = 0.95  # of the maxima below a strong group: the others may belong to it
_STRONG_PART = 0.25  # of the maxima above the next cut: a group smaller than this is something else than particles


def threshold(scores: np.ndarray, noise_is_known: bool = True) -> float:
    """Return the score from which on maxima are taken for particles.

    Two groups of scores that stand apart are cut between them, where most variance lies between the groups (Otsu (1979) IEEE
    Trans. Syst. Man Cybern. 9, 62-66). Where there is one group it is either noise or, on a crowded micrograph, nearly all
    particles; its median tells which.

    Parameters
    ----------
    scores : float (n,)
        Of all local maxima, in standard deviations of the response to noise.
    noise_is_known
        False for a micrograph whose noise was taken away: it is always cut in two.

    Returns
    -------
    float
    """
    if len(scores) < _FEW:
        return _FLOOR
    cut, between = _best_cut(_without_strong_group(np.sort(scores)))
    if between >= _TWO_GROUPS or not noise_is_known:
        return max(cut, _LEAST)
    middle = float(np.median(scores))
    return max(_FLOOR, cut) if middle < _CROWDED else max(_LEAST, _CROWDED_PART * middle)


def _without_strong_group(ordered: np.ndarray) -> np.ndarray:
    """Return sorted scores without a small group of far stronger ones, if those below it fall into two groups themselves.

    Ice crystals or gold, above particles, above noise: the best cut in two would take particles for noise.
    """
    while len(ordered) >= 2 * _FEW:
        weak = ordered[ordered < _best_cut(ordered)[0]]
        if len(weak) < _FEW:
            break
        lower, between = _best_cut(np.minimum(weak, np.quantile(weak, _BULK)))
        n_strong, n_middle = len(ordered) - len(weak), int(np.count_nonzero(weak >= lower))
        if between < _TWO_GROUPS or lower < _CROWDED or n_strong > _STRONG_PART * (n_middle + n_strong):
            break
        ordered = weak
    return ordered


def _best_cut(ordered: np.ndarray) -> tuple[float, float]:
    """Return where to cut sorted values in two groups, and the part of the variance between them."""
    n = len(ordered)
    below = np.arange(1, n)
    sums = np.cumsum(ordered)
    difference = (sums[-1] - sums[:-1]) / (n - below) - sums[:-1] / below
    between = below * (n - below) * difference**2 / n**2
    best = int(np.argmax(between))
    variance = float(ordered.var())
    return float(0.5 * (ordered[best] + ordered[best + 1])), float(between[best] / variance) if variance > 0 else 0.0


def too_strong(scores: np.ndarray, factor: float) -> np.ndarray:
    """Tell which of the scores above the threshold are far beyond the others, as those of ice crystals and gold are.

    Parameters
    ----------
    scores : float (n,)
        Accepted scores.
    factor : float
        Limit in multiples of the median score, which few outliers do not move.

    Returns
    -------
    bool (n,)
    """
    if len(scores) < _FEW:
        return np.zeros(len(scores), dtype=bool)
    return scores > factor * float(np.median(scores))
