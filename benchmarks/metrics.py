"""How good a 2D classification is, against the truth of a simulation.

Class numbers are those of rlnClassNumber (1-based); numbers below 1 mean "not assigned" and count as a class of their own.
"""

import math

import numpy as np


def _codes(values: np.ndarray) -> tuple[np.ndarray, int]:
    names, codes = np.unique(np.asarray(values), return_inverse=True)
    return codes.reshape(-1), len(names)


def contingency(classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Count the particles of every label in every class.

    Parameters
    ----------
    classes : int (n,)
        Class of each particle.
    labels : (n,)
        True label of each particle, of any sortable type.

    Returns
    -------
    int64 (classes found, labels found)
        Both in ascending order.
    """
    row, n_rows = _codes(classes)
    column, n_columns = _codes(labels)
    if len(row) != len(column):
        raise ValueError(f"{len(row)} classes but {len(column)} labels")
    return np.bincount(row * n_columns + column, minlength=n_rows * n_columns).reshape(n_rows, n_columns)


def class_purity(classes: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of particles that carry the most frequent label of their class.

    Examples
    --------
    >>> class_purity(np.array([1, 1, 1, 2]), np.array([0, 0, 5, 5]))
    0.75
    """
    table = contingency(classes, labels)
    return float(table.max(axis=1).sum() / table.sum())


def majority_fraction(classes: np.ndarray, is_true: np.ndarray) -> float:
    """Fraction of the true particles that are in classes where more than half of the members are true particles.

    Parameters
    ----------
    classes : int (n,)
        Class of each particle.
    is_true : bool (n,)
        False for junk.

    Returns
    -------
    float
        0 to 1; nan without any true particle.

    Examples
    --------
    >>> majority_fraction(np.array([1, 1, 1, 2]), np.array([True, True, False, True]))
    1.0
    """
    genuine = np.asarray(is_true, dtype=bool)
    if not genuine.any():
        return math.nan
    code, count = _codes(classes)
    members = np.bincount(code, minlength=count)
    good = np.bincount(code, weights=genuine, minlength=count)
    return float(good[2 * good > members].sum() / genuine.sum())


def effective_classes(distribution: np.ndarray) -> float:
    """Effective number of classes: the exponential of the entropy of the occupancies.

    Parameters
    ----------
    distribution : float (K,)
        Occupancies or particle counts, not negative; normalised here.

    Returns
    -------
    float
        K for equal occupancies, 1 when one class has everything.

    Examples
    --------
    >>> round(effective_classes(np.array([1, 1, 1, 1])), 6)
    4.0
    """
    weights = np.asarray(distribution, dtype=np.float64)
    total = weights.sum()
    if total <= 0 or (weights < 0).any():
        raise ValueError("occupancies must be non-negative and not all zero")
    p = weights[weights > 0] / total
    return float(np.exp(-(p * np.log(p)).sum()))


def view_spread(classes: np.ndarray, view_directions: np.ndarray) -> float:
    """Mean angle in degrees between a particle's true view and the best common view of its class.

    The common view of a class is the normalised mean of its members' directions; for symmetric particles the figure is an upper
    bound, because equivalent views are not folded together.

    Parameters
    ----------
    classes : int (n,)
        Class of each particle.
    view_directions : float (n, 3)
        Unit vectors, third row of the rotation matrix.
    """
    code, count = _codes(classes)
    directions = np.asarray(view_directions, dtype=np.float64)
    sums = np.stack([np.bincount(code, weights=directions[:, axis], minlength=count) for axis in range(3)], axis=1)
    means = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)
    cosines = np.clip((directions * means[code]).sum(axis=1), -1.0, 1.0)
    return float(np.degrees(np.arccos(cosines)).mean())


def mean_resolution(resolutions: np.ndarray) -> float:
    """Mean resolution in A, taken over spatial frequencies, so that an unresolved class (inf) counts as frequency 0.

    Examples
    --------
    >>> mean_resolution(np.array([10.0, np.inf]))
    20.0
    """
    frequency = float(np.mean(1.0 / np.asarray(resolutions, dtype=np.float64)))
    return 1.0 / frequency if frequency > 0 else math.inf
