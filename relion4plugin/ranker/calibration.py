"""One monotone map of scores, so that the common threshold keeps its meaning."""

import numpy as np


def calibrated(scores: np.ndarray, gamma: float) -> np.ndarray:
    """Return ``sign(s) |s|^gamma``: 0 and 1 stay, the order stays.

    Parameters
    ----------
    scores
        Scores of any shape.
    gamma
        Positive exponent; 1 changes nothing.
    """
    scores = np.asarray(scores, np.float64)
    return np.sign(scores) * np.abs(scores) ** gamma


def fit_gamma(best_threshold: float, wanted_threshold: float = 0.15) -> float:
    """Return the exponent that moves the best threshold of a set of jobs to the wanted one.

    Raises
    ------
    ValueError
        If a threshold is not between 0 and 1.
    """
    if not (0 < best_threshold < 1 and 0 < wanted_threshold < 1):
        raise ValueError(f"thresholds {best_threshold} and {wanted_threshold} must lie between 0 and 1")
    return float(np.log(wanted_threshold) / np.log(best_threshold))
