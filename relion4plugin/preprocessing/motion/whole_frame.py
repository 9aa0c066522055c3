"""Alignment of whole frames on the sum of all others, repeated until they stand still."""

from typing import Any

import numpy as np

from relion4plugin.preprocessing.motion.correlation import Frequencies, correlation_window, peak_of_window, phases, widest_peak

_MAX_ROUNDS = 12
_STILL = 0.05  # px of the movie, rms
_HALF_WIDTH, _SPACING = 5, 0.5  # of the window of later rounds, in small pixels


def align_frames(transforms: list[Any], grid: Frequencies, reach: float) -> np.ndarray:
    """Return the shift that brings each frame onto the first one, float64 (frames, 2), px of the movie, x first.

    Every frame is compared with the sum of all others at their present shifts, as in RELION and MotionCor2 (Zheng et al.
    2017, Nature Methods 14:331).

    Parameters
    ----------
    transforms
        Half transforms of the frames, made small.
    grid
        Their frequencies and weights.
    reach : float
        Largest distance (px) over which a frame is searched for in the first round.
    """
    shifts = np.zeros((len(transforms), 2))
    for round_ in range(_MAX_ROUNDS):
        total = sum_of(transforms, grid, shifts)
        steps = np.array(
            [_step(half, total, grid, shift, reach if round_ == 0 else None) for half, shift in zip(transforms, shifts, strict=True)]
        )
        shifts = shifts + steps
        shifts -= shifts.mean(axis=0)
        # The first round sees small pixels only: frames that lie within one of each other stand still in it all the same.
        if round_ > 0 and np.sqrt(np.mean(np.sum((steps - steps.mean(axis=0)) ** 2, axis=1))) < _STILL:
            break
    return shifts - shifts[0]


def sum_of(transforms: list[Any], grid: Frequencies, shifts: np.ndarray) -> Any:
    """Return the sum of frames moved by their shifts."""
    total = transforms[0] * phases(grid, shifts[0])
    for half, shift in zip(transforms[1:], shifts[1:], strict=True):
        total += half * phases(grid, shift)
    return total


def _step(half: Any, total: Any, grid: Frequencies, shift: np.ndarray, reach: float | None) -> np.ndarray:
    """Return how far a frame must still be moved (px, x first)."""
    moved = half * phases(grid, shift)
    product = (total - moved) * moved.conj()
    product *= grid.weights
    if reach is not None:
        return widest_peak(product, grid, reach)
    peak, _ = peak_of_window(correlation_window(product, grid, _HALF_WIDTH, _SPACING))
    return peak * _SPACING * np.array(grid.step[::-1])
