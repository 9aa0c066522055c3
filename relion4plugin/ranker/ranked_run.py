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

if TYPE_CHECKING:
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
        Constants of the threshold made for the data set.
    """

    kind: str = CALIBRATED
    min_score: float = 0.15
    max_score: float = 999.0
    relative: bool = False
    top_fraction: float = 0.5
    minimum: Minimum = field(default_factory=Minimum)
    calibration: CalibrationSettings = field(default_factory=CalibrationSettings)


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
        Score from which on classes were selected; infinite if there was no good class, NaN for a choice by hand.
    remarks
        What the user should know about the selection.
    """

    run: ClassRun
    features: ClassFeatures
    scores: np.ndarray
    selected: np.ndarray
    n_by_rule: int
    rule: str
    threshold: float
    remarks: tuple[str, ...]

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


def scores_of(run: ClassRun, features: ClassFeatures, ranker: "Ranker") -> np.ndarray:
    """Score all classes of a run, float64 (K,); -999 for those without features.

    Raises
    ------
    UserError
        As `require_scorable`.
    """
    require_scorable(run)
    scores = np.full(len(run.pdf), NO_SCORE)
    scores[features.classes] = ranker.score(features.images, features.normalised)
    return scores


def apply_rule(run: ClassRun, features: ClassFeatures, scores: np.ndarray, rule: SelectionRule) -> RankedRun:
    """Select the classes of a run by a rule; `scores` (K,) as from `scores_of`."""
    chosen = _select(scores[features.classes], features.particles, rule)
    selected = features.classes[chosen.rows]
    remarks = (*_score_remarks(scores, features), *_rule_remarks(scores[features.classes], features.particles, chosen, rule))
    return RankedRun(run, features, scores, selected, chosen.n_by_rule, rule.kind, chosen.threshold, remarks)


def apply_labels(run: ClassRun, features: ClassFeatures, scores: np.ndarray, labels: np.ndarray, source: str) -> RankedRun:
    """Select the classes that a person chose: `labels` int (K,), 0 for those left out; `source` names where they come from."""
    chosen = selected_by_hand(np.flatnonzero(labels > 0))
    remarks = _score_remarks(scores, features)
    if len(chosen.rows) == 0:
        remarks = (*remarks, f"nothing is selected: {source} chooses no class")
    return RankedRun(run, features, scores, chosen.rows, chosen.n_by_rule, source, chosen.threshold, remarks)


def _select(scores: np.ndarray, particles: np.ndarray, rule: SelectionRule) -> Selection:
    if rule.kind == CALIBRATED:
        low = calibrated_threshold(scores, particles, rule.calibration)
        return select_by_score(scores, particles, low, minimum=rule.minimum)
    if rule.kind == TOP:
        return select_top_fraction(scores, particles, rule.top_fraction, rule.minimum)
    if rule.kind == NUMBER:
        return select_by_score(scores, particles, math.inf, minimum=rule.minimum)
    return select_by_score(scores, particles, rule.min_score, rule.max_score, rule.relative, rule.minimum)


def _score_remarks(scores: np.ndarray, features: ClassFeatures) -> tuple[str, ...]:
    without = len(scores) - len(features.classes)
    return (f"{without} of {len(scores)} classes have no score: they have 10 particles or fewer",) if without else ()


def _rule_remarks(scores: np.ndarray, particles: np.ndarray, chosen: Selection, rule: SelectionRule) -> tuple[str, ...]:
    remarks = []
    best = float(scores.max())
    if rule.kind == CALIBRATED and math.isinf(chosen.threshold):
        remarks.append(f"no class looks good: the best score is {best:.3f}, below {rule.calibration.junk:g}")
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
