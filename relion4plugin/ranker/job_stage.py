"""A second stage of the ranker, which sees the whole job: a better score of each class, and how likely it is a good one.

The network sees one class at a time. Boosted trees take its score together with the features, the shape of the average and the
standing of the class within its job. One set of trees returns the score that the class should have, which depends on the job's
other classes (RELION-4.0 paper, section 3.2); another the probability that someone who knows the truth would select the class.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit, logit

from relion4plugin.errors import UserError
from relion4plugin.ranker.boosting import UNUSED, BoostedTrees, BoostingSettings, grow_trees, mean_of
from relion4plugin.ranker.calibrated import data_set_level
from relion4plugin.ranker.evaluation import good_classes, particle_numbers
from relion4plugin.ranker.samples import Samples
from relion4plugin.ranker.standing import JobClasses, job_rows, standing

CARD_KEY = "job_stage"
STAGE_VERSION = 3  # since 3 there are trees for the score
_OTHER_IMAGES = 2  # stages of this version were made for images that were shrunk where particles are large
TREES = BoostingSettings(trees=200, depth=4, rate=0.04, columns=0.5)
SCORE_TREES = BoostingSettings(trees=400, depth=4, rate=0.04, columns=0.3)
SETS_OF_TREES = 5
_PREFIX, _SCORE_PREFIX = f"{CARD_KEY}.", f"{CARD_KEY}.score."
_SURE = 1e-3  # probabilities beyond this and its complement count as equal
_LEAST_GOOD = 0.15  # share of good particles in a job, below which errors count as if it were this


@dataclass(frozen=True)
class OddsThreshold:
    """Which classes of a job are likely enough: the more sure the best of them, the more is asked of the others.

    The logarithm of the odds at the threshold is ``offset + slope`` times that of the best classes, which together hold `top_share`
    of the particles. Where these are less likely than `least`, nothing is selected.
    """

    top_share: float = 0.1
    slope: float = 0.6
    offset: float = -2.6
    least: float = 0.1

    def of(self, probability: np.ndarray, particles: np.ndarray) -> float:
        """Return the probability (n,) from on which a class of a job is selected; infinite if none should be."""
        best = data_set_level(probability, particles, self.top_share)
        if best < self.least:
            return math.inf
        threshold = float(expit(self.offset + self.slope * float(logit(np.clip(best, _SURE, 1 - _SURE)))))
        return threshold if probability.max() >= threshold else math.inf


@dataclass(frozen=True, eq=False)
class JobStage:
    """Trees, what they are asked about, and the rule for a threshold on their answer.

    Attributes
    ----------
    trees
        The trees for the probability that a class is good.
    inputs
        Names of the columns of all trees, of `standing`.
    threshold
        How the threshold of a job follows from its probabilities.
    about
        What it was trained on, storable as JSON.
    score_trees
        The trees for the score; None for stages before version 3, where the network's score stays.
    """

    trees: BoostedTrees
    inputs: tuple[str, ...]
    threshold: OddsThreshold
    about: dict[str, Any]
    score_trees: BoostedTrees | None = None

    def judge(self, job: JobClasses) -> tuple[np.ndarray, np.ndarray]:
        """Return the score of each class, float64 (n,), and the probability that it is good, its score in this job, float64 (n,)."""
        described = standing(job)
        table = np.stack([described[name] for name in self.inputs], axis=1)
        scores = np.asarray(job.scores, np.float64) if self.score_trees is None else self.score_trees.probability(table)
        return scores, self.trees.probability(table)


def job_classes(samples: Samples, scores: np.ndarray) -> JobClasses:
    """Take the classes of one job out of a set of samples; `scores` (n,) of the network."""
    resolution = np.asarray(samples.extra["resolution"], np.float64)
    return JobClasses(scores, samples.features, samples.images, particle_numbers(samples), resolution)


def judged_in_jobs(stage: JobStage, samples: Samples, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return what `JobStage.judge` says of every class of a set, twice float64 (n,); `scores` (n,) of the network."""
    better, probability = np.empty(len(samples)), np.empty(len(samples))
    for rows in job_rows(samples):
        better[rows], probability[rows] = stage.judge(job_classes(samples.select(rows), scores[rows]))
    return better, probability


def fit_job_stage(samples: Samples, scores: np.ndarray, seed: int, about: dict[str, Any]) -> JobStage:
    """Train the stage.

    Parameters
    ----------
    samples
        Labelled classes, all classes of each job.
    scores
        float (n,): scores by networks that were not trained on the class that they score.
    seed
        Of the trees.
    about
        Stored with it.

    Raises
    ------
    UserError
        If the samples lack resolutions or particles, or all classes are good, or none is.
    """
    for name in ("resolution", "particles"):
        if not np.isfinite(np.asarray(samples.extra.get(name, np.nan), np.float64)).all():
            raise UserError(f"the stage that sees the whole job needs the {name} of every class, which is missing: leave out --job_folds")
    good = good_classes(samples)
    if good.all() or not good.any():
        raise UserError("the stage that sees the whole job needs good and other classes: add samples, or leave out --job_folds")
    tables: dict[str, np.ndarray] = {}
    for rows in job_rows(samples):
        for name, values in standing(job_classes(samples.select(rows), scores[rows])).items():
            tables.setdefault(name, np.empty(len(samples)))[rows] = values
    table = np.stack(list(tables.values()), axis=1)
    trees = _grown(table, good.astype(np.float64), error_weights(samples), TREES, seed)
    score_trees = _grown(table, np.clip(samples.score, 0.0, 1.0).astype(np.float64), np.ones(len(samples)), SCORE_TREES, seed)
    return JobStage(trees, tuple(tables), OddsThreshold(), about, score_trees=score_trees)


def _grown(table: np.ndarray, target: np.ndarray, weights: np.ndarray, settings: BoostingSettings, seed: int) -> BoostedTrees:
    """Mean of several sets of trees: one set depends on the rows and columns that each tree happens to see."""
    return mean_of([grow_trees(table, target, weights, settings, seed + i) for i in range(SETS_OF_TREES)])


def error_weights(samples: Samples) -> np.ndarray:
    """Weigh classes by what an error costs: its particles as a share of the good particles of its job; float64 (n,), mean 1.

    That is how selections are judged (RELION-4.0 paper, Table 4). Jobs with few good particles do not count without limit.
    """
    good, particles = good_classes(samples), particle_numbers(samples)
    weights = np.empty(len(samples))
    for rows in job_rows(samples):
        of_good, total = particles[rows][good[rows]].sum(), particles[rows].sum()
        weights[rows] = particles[rows] / max(of_good, _LEAST_GOOD * total)
    return weights / weights.mean()


def stage_to_store(stage: JobStage) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the tensors of a stage by name, and its block in the model card."""
    tensors = _to_store(stage.trees, _PREFIX) | (_to_store(stage.score_trees, _SCORE_PREFIX) if stage.score_trees else {})
    block = {
        "version": STAGE_VERSION,
        "inputs": list(stage.inputs),
        "threshold": dataclasses.asdict(stage.threshold),
        "trees": {**dataclasses.asdict(TREES), "sets": SETS_OF_TREES},
        **({"score_trees": {**dataclasses.asdict(SCORE_TREES), "sets": SETS_OF_TREES}} if stage.score_trees else {}),
        "about": stage.about,
    }
    return tensors, block


def _to_store(trees: BoostedTrees, prefix: str) -> dict[str, torch.Tensor]:
    return {f"{prefix}{f.name}": torch.from_numpy(getattr(trees, f.name)).contiguous() for f in dataclasses.fields(BoostedTrees)}


def _stored(tensors: Mapping[str, torch.Tensor], prefix: str) -> BoostedTrees:
    return BoostedTrees(**{f.name: tensors[prefix + f.name].numpy() for f in dataclasses.fields(BoostedTrees)})


def stored_stage(tensors: Mapping[str, torch.Tensor], card: Mapping[str, Any], file: Path) -> JobStage | None:
    """Read the stage out of the content of a weights file; None if it has none.

    Raises
    ------
    UserError
        If it was written by a newer version, or does not fit together.
    """
    block = card.get(CARD_KEY)
    if block is None:
        return None
    if int(block.get("version", 0)) > STAGE_VERSION:
        raise UserError(f"weights {file}: job stage {block['version']} is newer than this program's {STAGE_VERSION}: update it")
    if int(block.get("version", 0)) == _OTHER_IMAGES:
        raise UserError(f"weights {file}: job stage {_OTHER_IMAGES} is no longer read: train it anew with train-ranker --job_folds 4")
    try:
        threshold = OddsThreshold(**{"least": 0.0, **block["threshold"]})  # before version 3 something was always selected
        score_trees = _stored(tensors, _SCORE_PREFIX) if "score_trees" in block else None
        stage = JobStage(_stored(tensors, _PREFIX), tuple(block["inputs"]), threshold, dict(block["about"]), score_trees)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"weights {file}: the job stage is not complete ({error}); copy the file again") from error
    _check(stage, file)
    return stage


def _check(stage: JobStage, file: Path) -> None:
    if not all(_is_whole(trees, len(stage.inputs)) for trees in (stage.trees, stage.score_trees) if trees):
        raise UserError(f"weights {file}: the trees of the job stage do not fit together; copy the file again")


def _is_whole(trees: BoostedTrees, n_inputs: int) -> bool:
    n, nodes = trees.column.shape if trees.column.ndim == 2 else (0, 0)
    shapes = {"base": (1,), "limit": (n, nodes), "leaf": (n, nodes + 1)}
    fitting = n > 0 and (nodes + 1).bit_count() == 1 and all(getattr(trees, name).shape == shape for name, shape in shapes.items())
    return bool(fitting and trees.column.min() >= UNUSED and trees.column.max() < n_inputs)
