"""How well scores rank and select classes, against target scores or a selection by hand."""

from dataclasses import dataclass

import numpy as np
import scipy.stats

LEAST_CLASSES = 8  # of a job, for a rank correlation within it


@dataclass(frozen=True)
class Rates:
    """Errors of a selection in particles, as in Table 4 of the RELION-4.0 paper.

    Both are fractions of the particles that should be selected, so `false_positive` can exceed 1. NaN where none should be.
    """

    threshold: float
    false_positive: float
    false_negative: float


def r_squared(target: np.ndarray, score: np.ndarray) -> float:
    """Share of the variance of the targets that the scores explain; NaN without variance."""
    variance = float(np.var(target))
    return 1.0 - float(np.mean((target - score) ** 2)) / variance if variance > 0 else float("nan")


def spearman(target: np.ndarray, score: np.ndarray) -> float:
    """Rank correlation, ties by mean rank; NaN where either is constant."""
    if len(target) < 2 or np.ptp(target) == 0 or np.ptp(score) == 0:
        return float("nan")
    return float(scipy.stats.spearmanr(target, score).statistic)


def spearman_within_jobs(target: np.ndarray, score: np.ndarray, job: np.ndarray, least: int = LEAST_CLASSES) -> dict[str, float]:
    """Rank correlation within each job of at least `least` classes, for jobs where it is defined."""
    names, counts = np.unique(job, return_counts=True)
    values = {str(name): spearman(target[job == name], score[job == name]) for name in names[counts >= least]}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def roc_auc(good: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Probability that a good class outscores another one, ties half; NaN where all are good or none is.

    Parameters
    ----------
    good
        bool ``(n,)``.
    score
        ``(n,)``.
    weight
        Of each class, such as its particles; None for equal ones.
    """
    weight = np.ones(len(score)) if weight is None else np.asarray(weight, np.float64)
    levels, where = np.unique(score, return_inverse=True)
    positive = np.bincount(where, weight * good, len(levels))
    negative = np.bincount(where, weight * ~good, len(levels))
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum()
    return float(np.sum(positive * (below + 0.5 * negative)) / pairs) if pairs > 0 else float("nan")


def average_precision(good: np.ndarray, score: np.ndarray, weight: np.ndarray | None = None) -> float:
    """Mean precision over the recall of good classes, taken in steps at each score; NaN where none is good."""
    weight = np.ones(len(score)) if weight is None else np.asarray(weight, np.float64)
    levels, where = np.unique(-score, return_inverse=True)
    positive = np.bincount(where, weight * good, len(levels))
    every = np.bincount(where, weight, len(levels))
    if positive.sum() <= 0:
        return float("nan")
    precision = np.cumsum(positive) / np.maximum(np.cumsum(every), np.finfo(float).tiny)
    return float(np.sum(precision * positive) / positive.sum())


def selection_rates(good: np.ndarray, score: np.ndarray, particles: np.ndarray, threshold: float) -> Rates:
    """Errors of selecting all classes with at least the threshold (RELION-4.0 paper, Table 4)."""
    selected, wanted = score >= threshold, float(particles[good].sum())
    if wanted <= 0:
        return Rates(float(threshold), float("nan"), float("nan"))
    return Rates(float(threshold), float(particles[selected & ~good].sum()) / wanted, float(particles[good & ~selected].sum()) / wanted)


def supervised_threshold(good: np.ndarray, score: np.ndarray, particles: np.ndarray) -> Rates:
    """Errors at the threshold with the smallest larger error, ties by their sum: the best that a user could choose.

    Thresholds lie midway between neighbouring scores, and beyond the extremes by 0.01.
    """
    levels = np.unique(score)
    middle = (levels[1:] + levels[:-1]) / 2
    tried = np.concatenate([[levels[0] - 0.01], middle, [levels[-1] + 0.01]])
    rates = [selection_rates(good, score, particles, t) for t in tried]
    return min(rates, key=lambda r: (max(r.false_positive, r.false_negative), r.false_positive + r.false_negative))


def confusion(target: np.ndarray, score: np.ndarray, bins: int = 10) -> np.ndarray:
    """Row-normalised histogram float64 ``(bins, bins)``: rows targets, columns scores, both from 0 to 1 with ends included.

    Rows without targets are zero.
    """
    edge = bins - 1
    rows = np.clip((np.asarray(target) * bins).astype(int), 0, edge)
    columns = np.clip(np.floor(np.asarray(score) * bins).astype(int), 0, edge)
    counts = np.bincount(rows * bins + columns, minlength=bins * bins).reshape(bins, bins).astype(np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)


def purity_and_recall(selected: np.ndarray, true_particles: np.ndarray, particles: np.ndarray) -> tuple[float, float, float]:
    """Share of true particles among the selected, share of the true ones that is selected, and purity gain over the input.

    Parameters
    ----------
    selected
        bool ``(n,)``, classes.
    true_particles, particles
        True particles and all particles of each class.
    """
    all_true, all_particles = float(true_particles.sum()), float(particles.sum())
    kept, true_kept = float(particles[selected].sum()), float(true_particles[selected].sum())
    purity = true_kept / kept if kept > 0 else float("nan")
    recall = true_kept / all_true if all_true > 0 else float("nan")
    return purity, recall, purity - all_true / all_particles if all_particles > 0 else float("nan")
