"""What the stage that sees the whole job is told about each class: its score, features and shape, and where these stand in the job."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.ranker.calibrated import data_set_level
from relion4plugin.ranker.features import FEATURE_NAMES, MASKED_SLOTS
from relion4plugin.ranker.samples import Samples
from relion4plugin.ranker.shapes import extents, shapes

_USED = tuple(i for i in range(len(FEATURE_NAMES)) if i not in MASKED_SLOTS)
_SHARES = (0.1, 0.3, 0.5)  # of the particles, at whose score the job is compared
_CLIP = 4.0  # of normalised features
_LEAST_WEIGHT = 0.01  # of a class without any score, in means over the job
_LEAST_BEST = 0.02  # best score of a job, below which ratios say nothing


@dataclass(frozen=True, eq=False)
class JobClasses:
    """The scored classes of one job, in any order.

    Attributes
    ----------
    scores
        float (n,), of the network.
    features, images
        float (n, 24), normalised, and (n, 64, 64), as the network gets them.
    particles, resolution
        float (n,): number of particles, and resolution in A.
    """

    scores: np.ndarray
    features: np.ndarray
    images: np.ndarray
    particles: np.ndarray
    resolution: np.ndarray

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.scores)


def job_rows(samples: Samples) -> list[np.ndarray]:
    """Rows of each job of a set, in order of its name."""
    return [np.flatnonzero(samples.job == job) for job in np.unique(samples.job)]


def standing(job: JobClasses) -> dict[str, np.ndarray]:
    """Describe each class of a job.

    Returns
    -------
    dict
        float64 (n,) by name; ``job_*`` compare a class with the others of its job.
    """
    scores = np.clip(np.asarray(job.scores, np.float64), 0, 1)
    particles, logs = np.asarray(job.particles, np.float64), np.log(np.asarray(job.resolution, np.float64))
    features = np.clip(np.asarray(job.features, np.float64), -_CLIP, _CLIP)
    weights, extent = particles * np.maximum(scores, _LEAST_WEIGHT), extents(job.images)
    return {
        "score": scores,
        **_score_in_job(scores, particles),
        "log_particles": np.log(particles),
        "job_share": np.log(particles / particles.mean()),
        "log_resolution": logs,
        "job_best_resolution": logs - logs.min(),
        "job_median_resolution": logs - np.median(logs),
        "job_mean_resolution": logs - np.average(logs, weights=weights),
        **{FEATURE_NAMES[i]: features[:, i] for i in _USED},
        **shapes(job.images),
        **extent,
        **{f"job_{name}": values - np.average(values, weights=weights) for name, values in extent.items()},
    }


def _score_in_job(scores: np.ndarray, particles: np.ndarray) -> dict[str, np.ndarray]:
    order = np.argsort(-scores, kind="stable")
    n = len(scores)
    above, rank = np.empty(n), np.empty(n)
    above[order] = (np.cumsum(particles[order]) - particles[order] / 2) / particles.sum()
    rank[order] = (np.arange(n) + 0.5) / n
    return {
        "job_particles_above": above,
        "job_rank": rank,
        "job_best_score": scores / max(float(scores.max()), _LEAST_BEST),
        "job_mean_score": scores - np.average(scores, weights=particles),
        **{f"job_score_at_{share:g}": scores - data_set_level(scores, particles, share) for share in _SHARES},
    }
