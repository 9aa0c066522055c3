"""All metrics of scored samples as one report, over everything and job by job."""

from typing import Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.ranker import metrics
from relion4plugin.ranker.samples import Samples

DEFAULT_THRESHOLD = 0.15
GOOD_CATEGORIES = (1, 5, 2)


def good_classes(samples: Samples) -> np.ndarray:
    """Which classes a careful user would select, bool ``(n,)``.

    What is known of a class decides: whether it should be selected, else its category, else its target score.
    """
    good = samples.score >= DEFAULT_THRESHOLD
    for name, values in (("category", GOOD_CATEGORIES), ("selected", (1,))):
        known = np.asarray(samples.extra.get(name, np.nan), np.float64)
        good = np.where(np.isfinite(known), np.isin(known, values), good)
    return good


def particle_numbers(samples: Samples) -> np.ndarray:
    """Particles of each class, float64 ``(n,)``; 1 where unknown."""
    particles = np.asarray(samples.extra.get("particles", np.ones(len(samples))), np.float64)
    return np.where(np.isfinite(particles), particles, 1.0)


def evaluate(samples: Samples, scores: np.ndarray, threshold: float = DEFAULT_THRESHOLD) -> dict[str, Any]:
    """Compare scores with targets.

    Parameters
    ----------
    samples
        Labelled classes.
    scores
        Scores ``(n,)`` of a ranker.
    threshold
        At which classes are selected.

    Returns
    -------
    dict
        Storable as JSON; numbers that are not defined are None. ``jobs`` holds the errors job by job.
    """
    target, scores = samples.score.astype(np.float64), np.asarray(scores, np.float64)
    good, particles = good_classes(samples), particle_numbers(samples)
    within = metrics.spearman_within_jobs(target, scores, samples.job)
    jobs = {str(job): _job_report(samples.job == job, target, scores, good, particles, threshold) for job in np.unique(samples.job)}
    for name, value in within.items():
        jobs[name]["spearman"] = value
    report = {
        "n": len(samples),
        "n_jobs": len(jobs),
        "n_structures": len(np.unique(samples.structure)),
        "mse": float(np.mean((target - scores) ** 2)),
        "mae": float(np.mean(np.abs(target - scores))),
        "baseline_mse": float(np.var(target)),
        "r2": metrics.r_squared(target, scores),
        "spearman": metrics.spearman(target, scores),
        "median_spearman_within_jobs": float(np.median(list(within.values()))) if within else None,
        "auc": metrics.roc_auc(good, scores),
        "auc_particles": metrics.roc_auc(good, scores, particles),
        "average_precision": metrics.average_precision(good, scores),
        "average_precision_particles": metrics.average_precision(good, scores, particles),
        "threshold": threshold,
        **_truth_report(samples, scores >= threshold, particles),
        **_over_jobs(jobs),
        "confusion": np.round(metrics.confusion(target, scores), 4).tolist(),
        "jobs": jobs,
    }
    return _defined(report)


def _job_report(
    rows: np.ndarray, target: np.ndarray, scores: np.ndarray, good: np.ndarray, particles: np.ndarray, threshold: float
) -> dict[str, Any]:
    at_default = metrics.selection_rates(good[rows], scores[rows], particles[rows], threshold)
    best = metrics.supervised_threshold(good[rows], scores[rows], particles[rows])
    return {
        "n": int(rows.sum()),
        "mse": float(np.mean((target[rows] - scores[rows]) ** 2)),
        "fpr": at_default.false_positive,
        "fnr": at_default.false_negative,
        "best_threshold": best.threshold,
        "best_fpr": best.false_positive,
        "best_fnr": best.false_negative,
    }


def _truth_report(samples: Samples, selected: np.ndarray, particles: np.ndarray) -> dict[str, Any]:
    """What the selection does to the particles, where the true ones of each class are known."""
    true_particles = np.asarray(samples.extra.get("true_particles", np.full(len(samples), np.nan)), np.float64)
    known = np.isfinite(true_particles)
    if not known.any():
        return {}
    values = metrics.purity_and_recall(selected[known], true_particles[known], particles[known])
    return dict(zip(("purity", "recall", "purity_gain"), values, strict=True))


def _over_jobs(jobs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Means and worst cases of the selection errors over the jobs that have anything to select."""
    judged = [job for job in jobs.values() if np.isfinite(job["fpr"])]
    report: dict[str, Any] = {"n_jobs_with_good_classes": len(judged)}
    for name in ("fpr", "fnr", "best_fpr", "best_fnr"):
        values = [job[name] for job in judged]
        report[f"mean_{name}"] = float(np.mean(values)) if values else None
        report[f"worst_{name}"] = float(np.max(values)) if values else None
    return report


def _defined(value: Any) -> Any:
    """Replace numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {key: _defined(item) for key, item in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value


def best_common_threshold(samples: Samples, scores: np.ndarray) -> float:
    """Return the threshold, in steps of 0.005 from 0.02 to 0.6, at which the larger selection error is smallest on average over jobs.

    Of equal ones the middle is taken.

    Raises
    ------
    UserError
        If no job has a class that should be selected.
    """
    good, particles = good_classes(samples), particle_numbers(samples)
    jobs = [rows for rows in (samples.job == job for job in np.unique(samples.job)) if particles[rows & good].sum() > 0]
    if not jobs:
        raise UserError("no validation job has a good class, so scores cannot be calibrated: add such jobs, or leave out --do_calibrate")
    tried = np.linspace(0.02, 0.6, 117)
    errors = np.zeros(len(tried))
    for i, threshold in enumerate(tried):
        rates = [metrics.selection_rates(good[rows], scores[rows], particles[rows], threshold) for rows in jobs]
        errors[i] = np.mean([max(rate.false_positive, rate.false_negative) for rate in rates])
    return float(np.median(tried[np.isclose(errors, errors.min())]))
