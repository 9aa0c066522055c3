"""What a 2D classification says of the members of each class: how sure it was of them, how far they were shifted, how they fit."""

from collections.abc import Callable, Mapping

import numpy as np

from relion4plugin.ranker.class_run import ClassRun

PREFIX = "members_"  # of the columns of a training set
_LEAST_PROBABILITY = 1e-6
_LEAST_NORM = 1e-3


def _sureness(run: ClassRun) -> np.ndarray:
    return np.log(np.clip(run.data.column("rlnMaxValueProbDistribution"), _LEAST_PROBABILITY, 1.0))


def _samples(run: ClassRun) -> np.ndarray:
    return np.log(np.maximum(run.data.column("rlnNrOfSignificantSamples"), 1.0))


def _likelihood(run: ClassRun) -> np.ndarray:
    values = run.data.column("rlnLogLikeliContribution").astype(np.float64)
    spread = float(np.subtract(*np.percentile(values, [75, 25]))) or 1.0
    return np.clip((values - np.median(values)) / spread, -5.0, 5.0)


def _norm(run: ClassRun) -> np.ndarray:
    return np.log(np.maximum(run.data.column("rlnNormCorrection"), _LEAST_NORM))


def _shift(run: ClassRun) -> np.ndarray:
    return np.hypot(*run.origins.T) / run.particle_diameter


# each returns one value per particle, float64 (n,)
_FIGURES: Mapping[str, tuple[str | None, Callable[[ClassRun], np.ndarray]]] = {
    "sureness": ("rlnMaxValueProbDistribution", _sureness),
    "samples": ("rlnNrOfSignificantSamples", _samples),
    "likelihood": ("rlnLogLikeliContribution", _likelihood),
    "norm": ("rlnNormCorrection", _norm),
    "shift": (None, _shift),
}
MEMBER_FIGURES = tuple(_FIGURES)


def member_figures(run: ClassRun) -> dict[str, np.ndarray]:
    """Return means over the members of each class, from what the run's particles carry.

    ``sureness`` is the logarithm of the largest posterior probability, ``samples`` that of the number of significant orientations and
    shifts, ``likelihood`` the contribution to the log likelihood about the run's median in interquartile ranges, ``norm`` the
    logarithm of the norm correction, ``shift`` the distance from the box's centre in particle diameters. All depend on a run's
    settings, so they mean something beside the other classes of their run alone.

    Returns
    -------
    dict
        float64 (K,) by name, names of `MEMBER_FIGURES`; NaN for a class without members, and throughout where the run's particles
        lack the column.
    """
    n_classes = len(run.pdf)
    member = run.class_number > 0
    found = {}
    for name, (label, values_of) in _FIGURES.items():
        found[name] = np.full(n_classes, np.nan)
        if label is None or label in run.data.table:
            found[name] = _means(values_of(run)[member], run.class_number[member] - 1, n_classes)
    return found


def _means(values: np.ndarray, of_class: np.ndarray, n_classes: int) -> np.ndarray:
    counts = np.bincount(of_class, minlength=n_classes)
    sums = np.bincount(of_class, weights=values, minlength=n_classes)
    return np.divide(sums, counts, out=np.full(n_classes, np.nan), where=counts > 0)
