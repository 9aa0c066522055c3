"""Guinier plot of a map and the B-factor that follows from it."""

from dataclasses import dataclass

import numpy as np

NO_AMPLITUDE = -99.0  # logarithm written for a shell without amplitude
_MIN_SHELLS = 3


@dataclass(frozen=True)
class GuinierFit:
    """Straight line ``ln <|F|> = slope / d^2 + intercept`` (slope in A^2) and its squared correlation coefficient."""

    slope: float
    intercept: float
    r_squared: float
    shells: int

    @property
    def bfactor(self) -> float:
        """B-factor that flattens the line, in A^2; negative values sharpen."""
        return 4 * self.slope


def log_amplitudes(means: np.ndarray) -> np.ndarray:
    """Logarithm of the mean amplitudes per shell; -99 where there is none."""
    return np.where(means > 0, np.log(np.where(means > 0, means, 1.0)), NO_AMPLITUDE)


def fit_line(log_amplitude: np.ndarray, extent: float, lowest: float, highest: float) -> GuinierFit | None:
    """Fit a line to the Guinier plot between two resolutions.

    Rosenthal and Henderson (2003) J. Mol. Biol. 333, 721-745.

    Parameters
    ----------
    log_amplitude : float (S,)
        Logarithm of the mean amplitude per shell, -99 where there is none.
    extent : float
        Box size times pixel size, in A: shell s is at ``extent / s``.
    lowest, highest : float
        Range of the fit in A, for example 10 and 4.

    Returns
    -------
    GuinierFit or None
        None if fewer than three shells lie in the range.
    """
    shells = np.arange(len(log_amplitude))
    frequency = shells / extent
    tolerance = 1e-9  # a shell exactly at a limit is in
    inside = (frequency >= 1 / lowest - tolerance) & (frequency <= 1 / highest + tolerance) & (log_amplitude > NO_AMPLITUDE)
    if inside.sum() < _MIN_SHELLS:
        return None
    x, y = frequency[inside] ** 2, log_amplitude[inside]
    slope, intercept = np.polyfit(x, y, 1)
    scatter = float(np.var(y))
    r_squared = 1 - float(np.var(y - slope * x - intercept)) / scatter if scatter > 0 else 0.0
    return GuinierFit(float(slope), float(intercept), r_squared, int(inside.sum()))
