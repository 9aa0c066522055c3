"""A 2D classification with its scores and what is selected of it, and why."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.ranker.calibrated import CalibrationSettings, calibrated_threshold
from relion4plugin.ranker.class_run import ClassRun
from relion4plugin.ranker.features import FEWEST_PARTICLES, ClassFeatures
from relion4plugin.ranker.selection import Minimum, Selection, select_by_score, select_top_fraction, selected_by_hand
from relion4plugin.ranker.standing import JobClasses

if TYPE_CHECKING:
    from relion4plugin.ranker.job_stage import OddsThreshold
    from relion4plugin.ranker.weights import Ranker

NO_SCORE = -999.0  # of a class that has too few particles for a score
CALIBRATED, SCORE, TOP, NUMBER = "calibrated", "score", "top", "number"
RULES = (CALIBRATED, SCORE, TOP, NUMBER)


@dataclass(frozen=True)
class SelectionRule:
    """How classes are selected.

    Attributes
    ----------
    kind
        One of `RULES`: threshold made for the data set, bounds of the score, best classes with a share of the particles, or
        only what `minimum` asks for.
    min_score, max_score, relative
        Bounds, and whether they are shares of the best score.
    top_fraction
        Share of the particles.
    minimum
        Classes are added by falling score until it is reached, under every rule.
    calibration
        Constants of the threshold made for the data set, for weights without a job stage, which has its own.
    """

    kind: str = CALIBRATED
    min_score: float = 0.15
    max_score: float = 999.0
    relative: bool = False
    top_fraction: float = 0.5
    minimum: Minimum = field(default_factory=Minimum)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Scores of the K classes of a run.

    Attributes
    ----------
    absolute
        float64 (K,), on the scale of the categories and the job's score; -999 where there is none.
    in_job
        float64 (K,), how likely each class is a good one; None if the weights have no stage that sees the whole job.
    threshold
        How a threshold follows from the scores in the job; None without them.
    """

    absolute: np.ndarray
    in_job: np.ndarray | None = None
    threshold: "OddsThreshold | None" = None


@dataclass(frozen=True, eq=False)
class RankedRun:
    """Scores and selection of a 2D classification of K classes, n of which have a score.

    Attributes
    ----------
    run, features
        The classification and the features of its n classes.
    scores
        float64 (K,); -999 where there is none.
    selected
        int64 (m,), 0-based classes: those of the rule, then those added for a minimum.
    n_by_rule
        How many of them the rule selected.
    rule
        One of `RULES`, or the name of the file with a choice by hand.
    threshold
        Score from which on classes were selected; infinite if there was no good class, NaN for a choice by hand. Under every rule
        but "score" it is a score in this job, where there are such scores.
    remarks
        What the user should know about the selection.
    job_scores
        float64 (K,), scores in this job: how likely each class is a good one, judged by the whole job; -999 where there is none.
        None if the weights have no stage for that.
    """

    run: ClassRun
    features: ClassFeatures
    scores: np.ndarray
    selected: np.ndarray
    n_by_rule: int
    rule: str
    threshold: float
    remarks: tuple[str, ...]
    job_scores: np.ndarray | None = None

    @property
    def deciding(self) -> np.ndarray:
        """The scores by which classes are put in order and selected, float64 (K,)."""
        return self.scores if self.job_scores is None or self.rule == SCORE else self.job_scores

    @property
    def particle_mask(self) -> np.ndarray:
        """Which particles belong to a selected class, bool (n,)."""
        return np.isin(self.run.class_number, self.selected + 1)

    @property
    def labels(self) -> np.ndarray:
        """1 for a selected class, 0 for another; int64 (K,)."""
        labels = np.zeros(len(self.scores), np.int64)
        labels[self.selected] = 1
        return labels


def require_scorable(run: ClassRun) -> None:
    """Check that there is something to score.

    Raises
    ------
    UserError
        If no class has enough particles.
    """
    if not (run.particles > FEWEST_PARTICLES).any():
        raise UserError(
            f"{run.model_path}: no class has more than {FEWEST_PARTICLES:g} particles, so none gets a score; give a finished classification"
        )


def score_classes(run: ClassRun, features: ClassFeatures, ranker: "Ranker") -> ClassScores:
    """Score all classes of a run; in their job, where the weights have a stage for it.

    Raises
    ------
    UserError
        As `require_scorable`.
    """
    require_scorable(run)
    scores = ranker.score(features.images, features.normalised)
    stage = ranker.job_stage
    if stage is None:
        return ClassScores(_of_all(run, features, scores))
    absolute, in_job = stage.judge(JobClasses(scores, features.normalised, features.images, features.particles, features.resolution))
    return ClassScores(_of_all(run, features, absolute), _of_all(run, features, in_job), stage.threshold)


def _of_all(run: ClassRun, features: ClassFeatures, scores: np.ndarray) -> np.ndarray:
    """Scores of all K classes, given those of the n that have features."""
    every = np.full(len(run.pdf), NO_SCORE)
    every[features.classes] = scores
    return every


def apply_rule(run: ClassRun, features: ClassFeatures, scores: ClassScores, rule: SelectionRule) -> RankedRun:
    """Select the classes of a run by a rule: by the scores in the job, where there are such, unless the rule is "score"."""
    deciding = scores.absolute if scores.in_job is None or rule.kind == SCORE else scores.in_job
    values, particles = deciding[features.classes], features.particles
    chosen = _select(values, particles, rule, scores.threshold)
    selected = features.classes[chosen.rows]
    remarks = (*_score_remarks(scores.absolute, features), *_rule_remarks(values, particles, chosen, rule, scores.threshold is not None))
    return RankedRun(run, features, scores.absolute, selected, chosen.n_by_rule, rule.kind, chosen.threshold, remarks, scores.in_job)


def apply_labels(run: ClassRun, features: ClassFeatures, scores: ClassScores, labels: np.ndarray, source: str) -> RankedRun:
    """Select the classes that a person chose: `labels` int (K,), 0 for those left out; `source` names where they come from."""
    chosen = selected_by_hand(np.flatnonzero(labels > 0))
    remarks = _score_remarks(scores.absolute, features)
    if len(chosen.rows) == 0:
        remarks = (*remarks, f"nothing is selected: {source} chooses no class")
    return RankedRun(run, features, scores.absolute, chosen.rows, chosen.n_by_rule, source, chosen.threshold, remarks, scores.in_job)


def _select(scores: np.ndarray, particles: np.ndarray, rule: SelectionRule, in_job: "OddsThreshold | None") -> Selection:
    if rule.kind == CALIBRATED:
        low = calibrated_threshold(scores, particles, rule.calibration) if in_job is None else in_job.of(scores, particles)
        return select_by_score(scores, particles, low, minimum=rule.minimum)
    if rule.kind == TOP:
        return select_top_fraction(scores, particles, rule.top_fraction, rule.minimum)
    if rule.kind == NUMBER:
        return select_by_score(scores, particles, math.inf, minimum=rule.minimum)
    return select_by_score(scores, particles, rule.min_score, rule.max_score, rule.relative, rule.minimum)


def _score_remarks(scores: np.ndarray, features: ClassFeatures) -> tuple[str, ...]:
    without = len(scores) - len(features.classes)
    return (f"{without} of {len(scores)} classes have no score: they have 10 particles or fewer",) if without else ()


def _rule_remarks(scores: np.ndarray, particles: np.ndarray, chosen: Selection, rule: SelectionRule, in_job: bool) -> tuple[str, ...]:
    remarks = []
    best = float(scores.max())
    if rule.kind == CALIBRATED and not in_job:
        remarks.append("these weights have no stage that sees the whole job: the threshold is made from the scores alone")
    if rule.kind == CALIBRATED and math.isinf(chosen.threshold):
        what = f"score in this job is {best:.3f}" if in_job else f"score is {best:.3f}, below {rule.calibration.junk:g}"
        remarks.append(f"no class looks good: the best {what}")
    added = len(chosen.rows) - chosen.n_by_rule
    if added and rule.kind != NUMBER:
        remarks.append(f"{added} classes below the threshold were added to reach the minimum that was asked for")
    if len(chosen.rows) == 0:
        hint = "look at the class averages; --select top or --select_min_nr_classes selects anyway"
        remarks.append(f"nothing is selected: the best score is {best:.3f}; {hint}")
    held = int(np.floor(particles[chosen.rows]).sum())
    if held < rule.minimum.particles or (rule.minimum.particles < 1 and len(chosen.rows) < rule.minimum.classes):
        remarks.append(f"the minimum is not reached: all {len(chosen.rows)} scored classes with {held} particles are selected")
    return tuple(remarks)
