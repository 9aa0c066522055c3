"""Local maxima of a map of scores, and which of them are one particle."""

import numpy as np
from scipy.ndimage import maximum_filter
from scipy.spatial import cKDTree


def local_maxima(scores: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns (n,) of positive pixels that are the largest in a square of `width` px about them."""
    rows, columns = np.nonzero((maximum_filter(scores, size=width, mode="nearest") == scores) & (scores > 0))
    return rows, columns


def refined(scores: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positions (y, x) of maxima between pixels, by a parabola through neighbours along each axis.

    Parameters
    ----------
    scores : float (ny, nx)
        Scores.
    rows, columns : int (n,)
        Local maxima; those in the outermost pixels stay where they are.

    Returns
    -------
    y, x : float64 (n,)
        At most half a pixel away.
    """
    found = []
    for axis, places in enumerate((rows, columns)):
        last = scores.shape[axis] - 1
        before, after = ([rows, columns], [rows, columns])
        before[axis], after[axis] = np.maximum(places - 1, 0), np.minimum(places + 1, last)
        left, centre, right = (scores[tuple(at)].astype(np.float64) for at in (before, [rows, columns], after))
        bend = left - 2 * centre + right
        inner = (places > 0) & (places < last) & (bend < 0)
        shift = np.where(inner, 0.5 * (left - right) / np.where(inner, bend, 1.0), 0.0)
        found.append(places + np.clip(shift, -0.5, 0.5))
    return found[0], found[1]


def without_neighbours(centres: np.ndarray, scores: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Return which of many points to keep: from the best score down, each removes those that are too close to it.

    Parameters
    ----------
    centres : float (n, 2)
        Positions.
    scores : float (n,)
        Of two that are too close the larger score stays, of equal ones the first.
    reach : float (n,)
        Two points are too close below the sum of their reaches, in units of `centres`.

    Returns
    -------
    bool (n,)
    """
    n = len(centres)
    if n < 2:
        return np.ones(n, dtype=bool)
    pairs = cKDTree(centres).query_pairs(2 * float(reach.max()), output_type="ndarray")
    distance = np.linalg.norm(centres[pairs[:, 0]] - centres[pairs[:, 1]], axis=1)
    pairs = pairs[distance < reach[pairs].sum(axis=1)]
    rank = np.empty(n, dtype=np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(n)
    swapped = rank[pairs[:, 0]] > rank[pairs[:, 1]]
    better, worse = np.where(swapped, pairs[:, 1], pairs[:, 0]), np.where(swapped, pairs[:, 0], pairs[:, 1])
    kept, open_ = np.zeros(n, dtype=bool), np.ones(n, dtype=bool)
    while open_.any():  # each round settles every point that nothing better and unsettled is close to
        beaten = np.zeros(n, dtype=bool)
        beaten[worse[open_[better]]] = True
        winners = open_ & ~beaten
        kept |= winners
        open_ &= ~winners
        open_[worse[winners[better]]] = False
    return kept
