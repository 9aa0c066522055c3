"""Which classes are selected, from their scores and their numbers of particles."""

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Minimum:
    """At least so many particles, or so many classes; numbers below 1 ask for nothing."""

    particles: int = -1
    classes: int = -1


@dataclass(frozen=True, eq=False)
class Selection:
    """Selected rows of a list of scored classes.

    Attributes
    ----------
    rows
        int64 (m,): those that the rule selects in order of the list, then those added for a minimum by falling score.
    n_by_rule
        How many of them the rule selects.
    threshold
        Smallest score that the rule accepts; infinite where it accepts none, NaN where scores did not decide.
    """

    rows: np.ndarray
    n_by_rule: int
    threshold: float


def select_by_score(
    scores: np.ndarray, particles: np.ndarray, low: float, high: float = math.inf, relative: bool = False, minimum: Minimum | None = None
) -> Selection:
    """Select classes whose score lies between two bounds, both included (RELION-4.0 paper, section 3.2).

    Parameters
    ----------
    scores, particles
        float (n,): score and number of particles of each class.
    low, high
        Bounds of the score.
    relative
        The bounds are shares of the best score.
    minimum
        Classes are added by falling score until it is reached.

    Returns
    -------
    Selection
        With `low`, times the best score if relative, as its threshold.
    """
    best = float(np.max(scores)) if relative and len(scores) else 1.0
    low, high = low * best, high * best
    chosen = np.flatnonzero((scores >= low) & (scores <= high))
    added = _added(scores, particles, chosen, minimum or Minimum())
    return Selection(np.concatenate([chosen, added]), len(chosen), low)


def select_top_fraction(scores: np.ndarray, particles: np.ndarray, fraction: float, minimum: Minimum | None = None) -> Selection:
    """Select the best classes that together hold a share of all particles.

    Parameters
    ----------
    scores, particles
        float (n,): score and number of particles of each class.
    fraction
        Share of the particles, 0 to 1; the class with which it is reached is included.
    minimum
        As in `select_by_score`.

    Returns
    -------
    Selection
        With the score of the last class taken as its threshold.
    """
    order = _by_falling_score(scores)
    before = np.cumsum(particles[order]) - particles[order]
    taken = order[before < fraction * float(np.sum(particles)) * (1 - 1e-9)]
    if len(taken) == 0:
        return select_by_score(scores, particles, math.inf, minimum=minimum)
    return select_by_score(scores, particles, float(scores[taken[-1]]), minimum=minimum)


def selected_by_hand(rows: np.ndarray) -> Selection:
    """Wrap a choice that was made by hand."""
    return Selection(np.asarray(rows, np.int64), len(rows), math.nan)


def _by_falling_score(scores: np.ndarray) -> np.ndarray:
    return np.argsort(-np.asarray(scores, np.float64), kind="stable")


def _added(scores: np.ndarray, particles: np.ndarray, chosen: np.ndarray, minimum: Minimum) -> np.ndarray:
    """Return the rows to add, best first.

    As in RELION, particles of a class are counted whole, and where both numbers are asked for and particles are too few,
    reaching the number of particles ends it, whatever the number of classes.
    """
    whole = np.floor(particles).astype(np.int64)
    n_particles, n_classes = int(whole[chosen].sum()), len(chosen)
    rest = _by_falling_score(scores)
    rest = rest[~np.isin(rest, chosen)]
    if n_particles < minimum.particles:
        reached = np.flatnonzero(n_particles + np.cumsum(whole[rest]) >= minimum.particles)
        return rest[: int(reached[0]) + 1] if len(reached) else rest
    return rest[: max(0, minimum.classes - n_classes)]
