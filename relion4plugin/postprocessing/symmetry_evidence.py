"""Whether a map has a point group: how well it agrees with its turned copies, beyond what its shape alone gives."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.geometry.symmetry import rotation_about, symmetry_axes
from relion4plugin.postprocessing.self_comparison import AxisPose, SelfComparison

_LAST_SHELL = 16
_TURNS = 36  # about an axis, whose mean is the agreement of a body of revolution


@dataclass(frozen=True)
class Evidence:
    """Agreement of a map with its turned copies, once amplitudes are made flat and the spherical average is removed.

    Attributes
    ----------
    agreement : float
        Mean weighted correlation over all operators but the identity: about 0 for what is not there, 1 for perfect symmetry.
    weakest : float
        Lowest correlation of a single operator.
    score : float
        Lowest correlation of a single operator beyond that of a body of revolution about the same axis, as a part of what
        perfect symmetry would add; clipped to 0..1. It decides whether the symmetry is there.
    """

    agreement: float
    weakest: float
    score: float


def symmetry_evidence(comparison: SelfComparison, operators: np.ndarray, pose: AxisPose) -> Evidence:
    """Judge a point group at given axes.

    Parameters
    ----------
    comparison : SelfComparison
        The map.
    operators : float (m, 3, 3)
        The point group; the identity first.
    pose : AxisPose
        Where its axes lie.

    Returns
    -------
    Evidence
    """
    frequencies = comparison.frequencies.up_to(min(_LAST_SHELL, comparison.last_shell))
    weights = comparison.broad[: len(frequencies.counts)] * frequencies.counts
    weights = weights / weights.sum()
    weakest, score = 1.0, 1.0
    for fold, axis in symmetry_axes(operators):
        turns = np.array([rotation_about(axis, 360 * i / _TURNS) for i in range(_TURNS)])
        # the mean over all turns contains the map itself once
        round_body = float(weights @ ((_TURNS - 1) * comparison.curve(turns, pose, frequencies) + 1)) / _TURNS
        for i in range(1, fold // 2 + 1):  # the others are the inverse turns
            pair = np.array([np.eye(3), rotation_about(axis, 360 * i / fold)])
            correlation = float(weights @ comparison.curve(pair, pose, frequencies))
            weakest = min(weakest, correlation)
            score = min(score, (correlation - round_body) / max(1 - round_body, 1e-6))
    agreement = float(weights @ comparison.curve(operators, pose, frequencies)) if len(operators) > 1 else 1.0
    return Evidence(agreement, weakest, float(np.clip(score, 0.0, 1.0)))
