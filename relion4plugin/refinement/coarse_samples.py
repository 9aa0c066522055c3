"""Priors of coarse samples in 3D, and the list of those that are significant."""

from typing import Any

import numpy as np

from relion4plugin.refinement.state import Model
from relion4plugin.refinement.volume_pairs import Samples
from relion4plugin.refinement.volume_search import VolumeSearchPlan

LOWEST = np.float32(-1e30)  # log of a prior that is zero; finite, so that sums and differences stay defined


def log_prior(plan: VolumeSearchPlan, model: Model) -> np.ndarray:
    """Log prior of class and orientation: float32 (K, 2, F) of a grid (front, back), (K, 1, L) of a lattice."""
    if plan.grid is None:
        assert plan.lattice is not None
        return (np.maximum(model.log_class, LOWEST)[:, None] + plan.lattice.log_prior())[:, None]
    searched = model.pdf_direction[:, plan.grid.listed]
    with np.errstate(divide="ignore"):
        directions = np.maximum(np.log(searched / searched.sum()), LOWEST).astype(np.float32)
    return np.repeat(directions, plan.grid.half_turn, axis=2)


def list_samples(keep: tuple[np.ndarray, ...], prior: np.ndarray, n: int) -> Samples:
    """List significant samples particle by particle, those of a class, orientation and variant together.

    Parameters
    ----------
    keep : particle, shift, variant, class and orientation of each sample, int
    prior : float32 (K, 1 or 2, F), of `log_prior`
    n : particles
    """
    order = np.lexsort((keep[1], keep[2], keep[4], keep[3], keep[0]))
    particle, shift, variant, k, coarse = (values[order] for values in keep)
    start = np.searchsorted(particle, np.arange(n + 1))
    chosen = prior[k, np.minimum(variant >> 1, prior.shape[1] - 1), coarse]
    return Samples(
        start.astype(np.int64), k.astype(np.int32), coarse.astype(np.int32), variant.astype(np.int8), shift.astype(np.int32), chosen
    )


def significance_thresholds(xp: Any, scores: Any, fraction: float, cap: int) -> Any:
    """Return the score of the last sample to keep in each row of (n, S): the fewest that reach `fraction`, at most `cap` (<= 0: all)."""
    best = scores.max(axis=1)[:, None]
    wanted = fraction * xp.exp(scores - best).sum(axis=1, dtype=xp.float64)[:, None]
    if 0 < cap < scores.shape[1]:
        scores = xp.partition(scores, scores.shape[1] - cap, axis=1)[:, scores.shape[1] - cap :]
    ordered = xp.sort(scores, axis=1)[:, ::-1]
    reached = xp.cumsum(xp.exp(ordered - best), axis=1, dtype=xp.float64) >= wanted
    last = xp.where(reached.any(axis=1), reached.argmax(axis=1), ordered.shape[1] - 1)
    return ordered[xp.arange(len(ordered)), last]
