"""The search for the best CTF: defocus around circles, then astigmatism in the plane, then refinement."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.preprocessing.ctf.preparation import Prepared
from relion4plugin.preprocessing.ctf.rings import Microscope, RingPixels, Trial, correlations, unit_rings

_DECAYS = (0.0, 50.0, 200.0)  # A^2
_N_CANDIDATES = 4
_APART = 2.5  # steps of the search between candidates
_ASTIGMATISM = (150.0, 400.0)  # A, half the difference of both defocus values
_STRONG_ASTIGMATISM = (150.0, 400.0, 800.0, 1500.0)
_N_ANGLES = 8
_DELTAS = np.array([20.0, 20.0, 20.0, 1.0, 5.0])  # of Trial's fields, for derivatives
_MOST_ASTIGMATISM = 0.5  # half the difference of both defocus values, of their mean
_LARGEST_DECAY = 1000.0  # A^2
_N_STEPS = 25
_CLOSE_ENOUGH = 0.5  # A
_MOST_DAMPING = 1e4
_LEAST_SCORE = 0.01  # keeps steps bounded where there are hardly any rings


@dataclass(frozen=True)
class SearchRange:
    """Where to look: defocus and tolerated astigmatism in A (`dast` of 0 or less for any), phase shifts in degrees."""

    dfmin: float = 5000.0
    dfmax: float = 50000.0
    dfstep: float = 500.0
    dast: float = 100.0
    phases: tuple[float, float, float] | None = None  # first, last, step; None for no phase plate
    exhaustive: bool = False

    def defocus_values(self) -> np.ndarray:
        """Return the steps from `dfmin` to `dfmax`, both taken in."""
        return np.append(np.arange(self.dfmin, self.dfmax, self.dfstep), self.dfmax)

    def phase_values(self) -> np.ndarray:
        """Return the steps of the phase shift in degrees."""
        if self.phases is None:
            return np.zeros(1)
        first, last, step = self.phases
        return np.arange(first, last + 0.5 * step, step)


def search(prepared: Prepared, microscope: Microscope, where: SearchRange) -> tuple[np.ndarray, float]:
    """Find the CTF that correlates best with the rings.

    Around circles, every defocus (and phase shift) is tried; that is what Rohou & Grigorieff (2015) call the search in one dimension.
    The best few go on: a coarse grid of astigmatism in the plane, then damped Gauss-Newton steps on all parameters.

    Parameters
    ----------
    prepared
        Pixels of the fit.
    microscope
        Constants of the instrument.
    where
        Range of the search; with `exhaustive`, defocus and astigmatism are tried together in the plane.

    Returns
    -------
    row : (5,)
        The fields of `rings.Trial`.
    correlation : float
    """
    candidates = _candidates(prepared, microscope, where)
    refined = [refine(prepared.plane, _with_astigmatism(prepared.plane, row, microscope, where), microscope, where) for row in candidates]
    scores = correlations(prepared.plane, Trial.of(np.array(refined)), microscope)
    best = int(np.argmax(scores - _restraint(np.array(refined), where, len(prepared.plane))))
    return refined[best], float(scores[best])


def _candidates(prepared: Prepared, microscope: Microscope, where: SearchRange) -> list[np.ndarray]:
    """Return the best well-separated maxima over defocus and phase shift."""
    defocus, phases = where.defocus_values(), where.phase_values()
    decays = _DECAYS[1:2] if where.exhaustive else _DECAYS
    grid = np.array([(d, 0.0, 0.0, p, b) for b in decays for p in phases for d in defocus])
    if where.exhaustive:
        scores = _best_in_plane(prepared.plane, grid, microscope)
    else:
        scores = correlations(prepared.circles, Trial.of(grid), microscope)
    chosen: list[np.ndarray] = []
    near = _APART * np.array([where.dfstep, where.phases[2] if where.phases else 0.0])
    for i in np.argsort(-scores):
        if all((np.abs(grid[i] - other)[[0, 3]] > near).any() for other in chosen):
            chosen.append(grid[i])
        if len(chosen) == _N_CANDIDATES:
            break
    return chosen


def _best_in_plane(pixels: RingPixels, grid: np.ndarray, microscope: Microscope) -> np.ndarray:
    """Return for each row the best score over astigmatism."""
    shifted = [correlations(pixels, Trial.of(grid + offset), microscope) for offset in _offsets(_STRONG_ASTIGMATISM)]
    best: np.ndarray = np.max(shifted, axis=0)
    return best


def _offsets(sizes: tuple[float, ...]) -> np.ndarray:
    turns = 2 * np.pi * np.arange(_N_ANGLES) / _N_ANGLES
    rows = [(0.0, size * np.cos(t), size * np.sin(t), 0.0, 0.0) for size in sizes for t in turns]
    return np.array([(0.0,) * 5, *rows])


def _with_astigmatism(pixels: RingPixels, row: np.ndarray, microscope: Microscope, where: SearchRange) -> np.ndarray:
    """Return the row with the best astigmatism of a coarse grid."""
    grid = row + _offsets(_STRONG_ASTIGMATISM if where.exhaustive else _ASTIGMATISM)
    scores = correlations(pixels, Trial.of(grid), microscope) - _restraint(grid, where, len(pixels))
    best: np.ndarray = grid[int(np.argmax(scores))]
    return best


def _restraint(rows: np.ndarray, where: SearchRange, n_pixels: int) -> np.ndarray:
    """Return what astigmatism costs: half its square in units of `dast`, over the number of pixels."""
    if where.dast <= 0:
        return np.zeros(len(rows))
    difference = 2 * np.hypot(rows[:, 1], rows[:, 2])
    cost: np.ndarray = 0.5 * (difference / where.dast) ** 2 / n_pixels
    return cost


def refine(pixels: RingPixels, start: np.ndarray, microscope: Microscope, where: SearchRange) -> np.ndarray:
    """Maximise the correlation, less the restraint on astigmatism, from a start within reach.

    Levenberg's damped steps. For curves of length 1 near the maximum, second derivatives of the correlation s are
    -s times the products of the first derivatives of the curve, as in a least-squares fit of the curve with a free scale.

    Parameters
    ----------
    pixels
        Pixels of the plane.
    start
        (5,) fields of `rings.Trial`.
    microscope, where
        See `search`.

    Returns
    -------
    row : (5,)
    """
    free = np.flatnonzero([True, True, True, where.phases is not None, True])
    row, damping = _bounded(start, where), 1e-2
    slope, bend, gain = _slopes(pixels, row, free, microscope, where)
    for _ in range(_N_STEPS):
        step = np.zeros(5)
        step[free] = np.linalg.solve(bend + damping * np.diag(np.diag(bend) + 1e-12), slope)
        trial = _bounded(row + step, where)
        new = float(correlations(pixels, Trial.of(trial[None]), microscope)[0] - _restraint(trial[None], where, len(pixels))[0])
        if new > gain:
            moved, row = np.abs(trial - row), trial
            if moved[:3].max() < _CLOSE_ENOUGH and moved[3] < 0.02:
                break
            slope, bend, gain = _slopes(pixels, row, free, microscope, where)
            damping = max(1e-6, 0.2 * damping)
        elif damping > _MOST_DAMPING:
            break
        else:
            damping *= 8.0
    return row


def _bounded(row: np.ndarray, where: SearchRange) -> np.ndarray:
    out = row.copy()
    out[0] = np.clip(out[0], where.dfmin, where.dfmax)
    if where.phases is not None:
        out[3] = np.clip(out[3], where.phases[0], where.phases[1])
    out[4] = np.clip(out[4], 0.0, _LARGEST_DECAY)
    out[1:3] *= min(1.0, _MOST_ASTIGMATISM * out[0] / max(float(np.hypot(out[1], out[2])), 1e-12))
    return out


def _slopes(
    pixels: RingPixels, row: np.ndarray, free: np.ndarray, microscope: Microscope, where: SearchRange
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return first derivatives, negated second derivatives and value of what is maximised, for the free parameters.

    Differences are central: one-sided ones would move the maximum by half of the difference.
    """
    deltas = np.diag(_DELTAS)[free]
    curves = unit_rings(pixels, Trial.of(np.concatenate([row[None], row + deltas, row - deltas])), microscope)
    score = float(curves[0] @ pixels.values)
    n = len(free)
    changes = (curves[1 : n + 1] - curves[n + 1 :]).astype(np.float64) / (2 * _DELTAS[free, None])
    slope, bend = changes @ pixels.values, max(score, _LEAST_SCORE) * (changes @ changes.T)
    if where.dast > 0:
        stiffness = 4.0 / (where.dast**2 * len(pixels)) * np.isin(free, (1, 2))
        slope, bend = slope - stiffness * row[free], bend + np.diag(stiffness)
    return slope, bend, score - float(_restraint(row[None], where, len(pixels))[0])
