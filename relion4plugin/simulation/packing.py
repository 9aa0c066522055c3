"""Where other particles lie about a particle: beside it in a crowd, or piled on top of it."""

import numpy as np

TRIES = 30  # places tried for a neighbour; where none is free the crowd has one fewer
BESIDE = (0.9, 1.3)  # distance from the particle in the middle, of the mean diameter of both
BETWEEN = 0.9  # least distance of two neighbours, of the same
PILE_STEP = (0.3, 0.8)  # distance in a pile from the last particle but some, of the diameter


def crowd(counts: np.ndarray, middle: np.ndarray, others: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Place neighbours at random about particles, none of them too near another (Poisson disc).

    Parameters
    ----------
    counts : numpy.ndarray
        int (n,): neighbours wanted for each particle.
    middle : numpy.ndarray
        float (n,): diameters of the particles.
    others : numpy.ndarray
        float (n, m): diameters of the neighbours, m at least the largest count.
    rng : numpy.random.Generator
        Source of the places.

    Returns
    -------
    places : numpy.ndarray
        float64 (n, m, 2): x, y of the neighbours from their particle, in the unit of the diameters.
    placed : numpy.ndarray
        bool (n, m): which of them exist.
    """
    n, most = others.shape
    places, placed = np.zeros((n, most, 2)), np.zeros((n, most), bool)
    for j in range(most):
        waiting = np.flatnonzero(counts > j)
        for _ in range(TRIES):
            if len(waiting) == 0:
                break
            angle, distance = rng.uniform(0.0, 2.0 * np.pi, len(waiting)), rng.uniform(*BESIDE, len(waiting))
            distance *= 0.5 * (middle[waiting] + others[waiting, j])
            tried = distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
            apart = np.linalg.norm(places[waiting] - tried[:, None], axis=-1)
            needed = BETWEEN * 0.5 * (others[waiting] + others[waiting, j, None])
            free = ((apart >= needed) | ~placed[waiting]).all(axis=1)
            places[waiting[free], j], placed[waiting[free], j] = tried[free], True
            waiting = waiting[~free]
    return places, placed


def piles(n: int, most: int, diameter: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Place particles on top of each other, each near one of those before it.

    Parameters
    ----------
    n, most : int
        Number of piles and of places in each.
    diameter : numpy.ndarray
        float (n,).
    rng : numpy.random.Generator
        Source of the places.

    Returns
    -------
    numpy.ndarray
        float64 (n, most, 2): x, y in the unit of the diameter; the first is (0, 0).
    """
    places = np.zeros((n, most, 2))
    for j in range(1, most):
        beneath = places[np.arange(n), rng.integers(j, size=n)]
        angle, distance = rng.uniform(0.0, 2.0 * np.pi, n), rng.uniform(*PILE_STEP, n) * diameter
        places[:, j] = beneath + distance[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    return places
