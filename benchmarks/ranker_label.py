"""Labelled samples of one finished 2D classification whose particles are known."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.ranker.class_run import ClassRun, read_class_run
from relion4plugin.ranker.features import ClassFeatures, compute_features
from relion4plugin.ranker.samples import Samples
from relion4plugin.ranker.target import DEFAULT_RULES, LabelRules, categories, quality, targets, to_select
from relion4plugin.ranker.truth import PARTIAL, ClassTruth, class_targets, class_truth, particle_truth
from relion4plugin.simulation.mixture_spec import PARTICLE_KINDS


def label_run(
    optimiser: Path, truth: pd.DataFrame, maps: Sequence[np.ndarray], job: str, structure: str, rules: LabelRules = DEFAULT_RULES,
    known_share: float = 1.0, proteins: Sequence[int] | None = None,
) -> tuple[Samples, dict[str, Any]]:  # fmt: skip
    """Samples of a run, and figures of it as a whole.

    Parameters
    ----------
    optimiser : Path
    truth : pandas.DataFrame
        See `relion4plugin.ranker.truth.particle_truth`.
    maps : sequence of numpy.ndarray
        The true maps.
    job, structure : str
        Names in the training set.
    rules : LabelRules
    known_share : float
        Share of the genuine particles that the truth knows as such.
    proteins : sequence of int, optional
        See `relion4plugin.ranker.truth.class_truth`.
    """
    run = read_class_run(optimiser)
    known = particle_truth(truth, run.data.table["rlnImageName"], known_share)
    found = class_truth(run, known, maps, rules, proteins)
    target, score = class_targets(run, found, known.true_fraction, rules)
    samples = make_samples(run, compute_features(run), found, target, score, job, structure, rules)
    figures = {"job_score": score, "true_fraction": known.true_fraction, "n_particles": len(run.data), "n_classes": len(run.classes)}
    return samples, figures


def make_samples(
    run: ClassRun, features: ClassFeatures, found: ClassTruth, target: np.ndarray, score: float, job: str, structure: str,
    rules: LabelRules = DEFAULT_RULES,
) -> Samples:  # fmt: skip
    """Samples of the classes that have features, with everything that is known about them as extra columns."""
    rows = features.classes
    n = len(rows)
    columns = {
        "purity": found.purity, "d_true": found.d_true, "offset": found.offset, "contamination": found.contamination, "q": found.q,
        "category": found.category, "selected": found.selected.astype(np.int64),
        "correlation": found.correlation, "members": found.members, "true_members": found.true_members,
        "map_number": found.map_number, "pdf": run.pdf, **{f"share_{kind}": share for kind, share in found.fractions.items()},
    }  # fmt: skip
    extra = {name: column[rows] for name, column in columns.items()}
    extra |= {"particles": features.particles, "resolution": features.resolution, "accuracy_rotation": features.accuracy_rotation}
    extra |= {
        "true_particles": features.particles * extra["purity"],
        "job_score": np.full(n, score),
        "label_version": np.full(n, rules.version),
    }
    return Samples(
        images=features.images.astype(np.float32),
        features=features.normalised.astype(np.float32),
        score=target[rows].astype(np.float32),
        job=np.full(n, job),
        reference=np.array([f"{k + 1:06d}@{job}/run_classes.mrcs" for k in rows], dtype=str),
        structure=np.full(n, structure),
        extra=extra,
    )


def relabel(samples: Samples, rules: LabelRules = DEFAULT_RULES, proteins: Sequence[int] | None = None) -> Samples:
    """Label the samples of one run again, by what was measured when they were made; the score of the job stays.

    Samples of runs whose maps are several conformations of one protein, by `proteins`, may have been made before that was counted.
    """
    known = dict(samples.extra)
    if proteins is not None and len(proteins) > 1 and len(set(proteins)) == 1:
        known |= _of_one_protein(samples)
    seen = [known[name] for name in ("purity", "d_true", "offset", "contamination", "true_members")]
    q = quality(*seen, rules)
    score = targets(q, np.asarray(known["resolution"], np.float64), float(known["job_score"][0]), rules)
    labels = {"q": q, "category": categories(q, rules), "selected": to_select(*seen, rules).astype(np.int64)}
    version = np.full(len(samples), rules.version)
    return replace(samples, score=score.astype(np.float32), extra={**known, **labels, "label_version": version})


def _of_one_protein(samples: Samples) -> dict[str, np.ndarray]:
    """Purity and true members where every particle is of the same protein."""

    def share(kind: str) -> np.ndarray:
        return np.asarray(samples.extra.get(f"share_{kind}", np.zeros(len(samples))), np.float64)

    whole = sum((share(kind) for kind in PARTICLE_KINDS), np.zeros(len(samples)))
    purity = np.minimum(1.0, whole + sum(value * share(kind) for kind, value in PARTIAL.items()))
    members = np.asarray(samples.extra["members"], np.float64)
    particles = np.asarray(samples.extra["particles"], np.float64)
    return {"purity": purity, "true_members": np.rint(whole * members).astype(np.int64), "true_particles": particles * purity}
