"""Which scores of blobs are those of particles."""

import numpy as np

# Scores are in standard deviations of the response to noise. Of the maxima of noise alone one in twenty is above the floor, and half
# are above 1.9; where half of all maxima are above _CROWDED, most are particles.
_FLOOR, _CROWDED = 3.5, 2.5
_CROWDED_PART, _LEAST = 0.4, 1.5
# Part of the variance that lies between two groups: 0.64 for a normal distribution cut in the middle.
_TWO_GROUPS = 0.70
_FEW = 8
_NOISE = 2.0  # and less: noise, one as the other
_OUTSTANDING = 2.0  # times the median of all scores that are not noise


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
    if len(scores) < _FEW or scores.max() <= _NOISE:
        return _FLOOR
    cut, between = _best_cut(_without_outstanding(np.sort(scores)))
    if between >= _TWO_GROUPS or not noise_is_known:
        return max(cut, _LEAST)
    middle = float(np.median(scores))
    return max(_FLOOR, cut) if middle < _CROWDED else max(_LEAST, _CROWDED_PART * middle)


def _without_outstanding(ordered: np.ndarray) -> np.ndarray:
    """Return sorted scores without those of ice crystals and gold, where they are.

    Far stronger scores would be a group of their own, with particles and noise together as the other. In logarithms they are less
    far away: there the cut lies between noise and all the others, of which particles are the most.
    """
    while len(ordered) >= _FEW:
        cut = float(np.exp(_best_cut(np.log(np.maximum(ordered, _NOISE)))[0]))
        kept = ordered[ordered <= _OUTSTANDING * np.median(ordered[ordered >= cut])]
        if len(kept) == len(ordered):
            break
        ordered = kept
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
