"""From what is known about simulated classes to the score that a ranker should give them.

The scale is that of manual selections: the categories excellent, good, fair and poor are worth 0.75, 0.5, 0.25 and 0 plus up to
0.25 for resolution, all times a score of the job (RELION-4.0 paper, section 3.2).
"""

from dataclasses import dataclass

import numpy as np

CATEGORIES = (1, 5, 2, 3, 0)  # RELION's numbers of: excellent, good, fair, poor, no protein
NONE = 999.0  # A, where there is no resolution


@dataclass(frozen=True)
class LabelRules:
    """Constants of the label; another set is another `version`.

    A pair (a, b) is a smooth step from 0 at a to 1 at b.
    """

    version: int = 3  # since 3 conformations are one protein, and what should be selected does not depend on detail
    purity: tuple[float, float] = (0.30, 0.85)  # share of the members that show the class's protein
    detail: tuple[float, float] = (0.05, 0.90)  # ln(40 A / resolution), relative to the best class of the job
    offset: tuple[float, float] = (0.08, 0.25)  # distance of the particle from the centre, mask diameters
    contamination: tuple[float, float] = (0.15, 0.50)  # share of the energy that is not the particle
    abundance: tuple[float, float] = (0.05, 0.60)  # share of true particles in the job
    members_at_least: int = 5  # true members, below which a class shows nothing
    borders: tuple[float, float, float, float] = (0.85, 0.65, 0.40, 0.12)  # of the quality, between the categories
    no_detail: float = 40.0  # A, where a class is worth nothing
    worst_resolution: float = 30.0  # A, where a job is worth nothing
    full_resolution: float = 7.0  # A, where a job is worth all; not finer than 2.3 pixels


DEFAULT_RULES = LabelRules()


def smooth_step(values: np.ndarray, step: tuple[float, float]) -> np.ndarray:
    """Cubic step from 0 at the first to 1 at the second border; float64 like `values`."""
    t = np.clip((np.asarray(values, dtype=np.float64) - step[0]) / (step[1] - step[0]), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def quality(
    purity: np.ndarray, resolution: np.ndarray, offset: np.ndarray, contamination: np.ndarray, true_members: np.ndarray,
    rules: LabelRules = DEFAULT_RULES,
) -> np.ndarray:  # fmt: skip
    """Quality of each class of a job between 0 and 1: the product of one smooth step per property.

    Parameters
    ----------
    purity, offset, contamination : numpy.ndarray
        float (K,); see `LabelRules`.
    resolution : numpy.ndarray
        float (K,), A, to which a class agrees with the truth.
    true_members : numpy.ndarray
        int (K,).
    rules : LabelRules

    Returns
    -------
    numpy.ndarray
        float64 (K,).
    """
    best = best_resolution(resolution, purity, true_members, rules)
    if best >= rules.worst_resolution:
        return np.zeros(len(purity))
    detail = np.log(rules.no_detail / np.maximum(resolution, best)) / np.log(rules.no_detail / best)
    return smooth_step(detail, rules.detail) * _genuine(purity, offset, contamination, true_members, rules)


def to_select(
    purity: np.ndarray, resolution: np.ndarray, offset: np.ndarray, contamination: np.ndarray, true_members: np.ndarray,
    rules: LabelRules = DEFAULT_RULES,
) -> np.ndarray:  # fmt: skip
    """Tell which classes should be selected, bool (K,); arguments as of `quality`.

    They are those of fair quality or better when nothing is asked of their detail: a class is selected for its particles, which are
    no worse for a blurred average. In a job where no class shows anything, none is.
    """
    if best_resolution(resolution, purity, true_members, rules) >= rules.worst_resolution:
        return np.zeros(len(purity), bool)
    return _genuine(purity, offset, contamination, true_members, rules) >= rules.borders[2]


def _genuine(
    purity: np.ndarray, offset: np.ndarray, contamination: np.ndarray, true_members: np.ndarray, rules: LabelRules
) -> np.ndarray:
    """How far the members of each class are single, centred particles of a protein, float64 (K,), 0 to 1."""
    product = smooth_step(purity, rules.purity)
    product *= (1.0 - smooth_step(offset, rules.offset)) * (1.0 - smooth_step(contamination, rules.contamination))
    return np.where(true_members >= rules.members_at_least, product, 0.0)


def best_resolution(resolution: np.ndarray, purity: np.ndarray, true_members: np.ndarray, rules: LabelRules = DEFAULT_RULES) -> float:
    """Resolution in A of the best class of a job that is mostly protein; 999 where there is none."""
    chosen = (purity >= 0.5) & (true_members >= rules.members_at_least)
    return float(resolution[chosen].min()) if chosen.any() else NONE


def categories(values: np.ndarray, rules: LabelRules = DEFAULT_RULES) -> np.ndarray:
    """Category of each quality: 1, 5, 2, 3 or 0; int64 (K,)."""
    steps = (np.asarray(values)[:, None] < np.asarray(rules.borders)).sum(axis=1)
    return np.asarray(CATEGORIES)[steps]


def job_score(best: float, true_fraction: float, pixel_size: float, rules: LabelRules = DEFAULT_RULES) -> float:
    """Score of a job between 0 and 1, from its best class and from how many of its particles are true.

    Parameters
    ----------
    best : float
        Resolution of the best class, A; see `best_resolution`.
    true_fraction : float
        Share of true particles.
    pixel_size : float
        A per px.
    rules : LabelRules
    """
    if best >= rules.worst_resolution:
        return 0.0
    reachable = max(rules.full_resolution, 2.3 * pixel_size)
    share = np.log(rules.worst_resolution / best) / np.log(rules.worst_resolution / reachable)
    return float(np.clip(share, 0.0, 1.0) * (0.6 + 0.4 * smooth_step(np.array(true_fraction), rules.abundance)))


def targets(values: np.ndarray, estimated: np.ndarray, score: float, rules: LabelRules = DEFAULT_RULES) -> np.ndarray:
    """Target score of each class.

    ``J (base(q) + w/4)``, where base is piecewise linear through the categories and ``w = min(1, (d_min/d)^2)`` with the
    resolutions that the run itself estimated; d_min is the best of the best category that is there. Classes without protein get 0.

    Parameters
    ----------
    values : numpy.ndarray
        float (K,), from `quality`.
    estimated : numpy.ndarray
        float (K,), A, rlnEstimatedResolution.
    score : float
        J, from `job_score`.
    rules : LabelRules

    Returns
    -------
    numpy.ndarray
        float64 (K,), 0 to 1.
    """
    found = categories(values, rules)
    present = [category for category in CATEGORIES[:-1] if (found == category).any()]
    if not present or score <= 0.0:
        return np.zeros(len(values))
    least = estimated[found == present[0]].min()
    weight = np.minimum(1.0, (least / estimated) ** 2)
    excellent, good, fair, poor = rules.borders
    base = np.interp(values, [0.0, poor, fair, good, excellent, 1.0], [0.0, 0.0, 0.25, 0.5, 0.75, 0.75])
    return score * (base + 0.25 * weight * (found != 0))
