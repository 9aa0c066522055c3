"""What the stage that sees the whole job is told about each class: score, features, shape, members, and where these stand in the job."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from relion4plugin.ranker.calibrated import data_set_level
from relion4plugin.ranker.features import FEATURE_NAMES, MASKED_SLOTS
from relion4plugin.ranker.members import MEMBER_FIGURES
from relion4plugin.ranker.samples import Samples
from relion4plugin.ranker.shapes import shapes

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
    members
        float (n,) by name: what the run says of the members, of `member_figures`; what is missing or NaN counts as the job's median.
    """

    scores: np.ndarray
    features: np.ndarray
    images: np.ndarray
    particles: np.ndarray
    resolution: np.ndarray
    members: Mapping[str, np.ndarray] = field(default_factory=dict)

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
    return {
        "score": scores,
        **_score_in_job(scores, particles),
        "log_particles": np.log(particles),
        "job_share": np.log(particles / particles.mean()),
        "log_resolution": logs,
        "job_best_resolution": logs - logs.min(),
        "job_median_resolution": logs - np.median(logs),
        "job_mean_resolution": logs - np.average(logs, weights=particles * np.maximum(scores, _LEAST_WEIGHT)),
        **{FEATURE_NAMES[i]: features[:, i] for i in _USED},
        **shapes(job.images),
        **{f"job_{name}": _beside_others(job.members.get(name), particles) for name in MEMBER_FIGURES},
    }


def _beside_others(values: np.ndarray | None, particles: np.ndarray) -> np.ndarray:
    """What a figure of the members is beside its median over the job's particles; 0 where it is not known."""
    known = np.zeros(len(particles), bool) if values is None else np.isfinite(values)
    if values is None or not known.any():
        return np.zeros(len(particles))
    order = np.argsort(np.where(known, values, np.inf), kind="stable")
    reached = np.cumsum(np.where(known, particles, 0.0)[order])
    middle = values[order[int(np.searchsorted(reached, reached[-1] / 2))]]
    return np.where(known, values - middle, 0.0)


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
