"""Where particles lie in a field."""

import numpy as np
from scipy.spatial import cKDTree

CANDIDATES = 12  # for each place of a field that is to be filled


def scattered(count: int, size: tuple[float, float], distance: float, rng: np.random.Generator) -> np.ndarray:
    """Scatter points over a rectangle, no two nearer than `distance` (random sequential addition).

    Parameters
    ----------
    count : int
        How many at most; 0: as many as fit.
    size : (float, float)
        Width and height.
    distance : float
        Least distance of two points; 0: none.
    rng : numpy.random.Generator
        Source.

    Returns
    -------
    numpy.ndarray
        float64 (n, 2): x, y from 0.
    """
    room = size[0] * size[1] / distance**2 if distance > 0 else float(count)
    tried = int(np.ceil(CANDIDATES * (min(count, room) if count else room))) if distance > 0 else count
    candidates = rng.uniform(0.0, 1.0, (tried, 2)) * size
    if distance == 0 or tried < 2:
        return candidates
    kept = candidates[_first_come(tried, cKDTree(candidates).query_pairs(distance, output_type="ndarray"))]
    return kept[:count] if count else kept


def _first_come(n: int, pairs: np.ndarray) -> np.ndarray:
    """Indices of those of n candidates that no earlier accepted one is paired with.

    In rounds: a candidate is accepted once all its earlier partners are refused, and refuses its later ones.
    """
    earlier, later = pairs.min(axis=1), pairs.max(axis=1)
    waiting = np.ones(n, bool)
    accepted = np.zeros(n, bool)
    while waiting.any():
        held = np.zeros(n, bool)
        held[later[waiting[earlier]]] = True
        new = waiting & ~held
        accepted |= new
        waiting &= ~new
        waiting[later[new[earlier]]] = False
    return np.flatnonzero(accepted)
