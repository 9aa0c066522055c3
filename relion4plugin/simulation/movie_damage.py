"""Radiation damage: how detail fades with the dose."""

from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-3  # of the share of signal that is left, in any frame at any frequency
SAMPLES = 256
LOW_VOLTAGE, LOW_FACTOR = 250.0, 0.8  # kV; below it damage is by a quarter faster


def critical_exposure(frequency: np.ndarray, voltage: float) -> np.ndarray:
    """Dose at which the power of a frequency has fallen to 1/e of the start.

    Grant & Grigorieff (2015), eLife 4, e06980, equation 3: ``0.245 f^-1.665 + 2.81`` at 300 kV, 0.8 of it at 200 kV.

    Parameters
    ----------
    frequency : numpy.ndarray
        1/A.
    voltage : float
        kV.

    Returns
    -------
    numpy.ndarray
        Electrons per A^2; infinite at frequency 0.
    """
    with np.errstate(divide="ignore"):
        found = 0.245 * np.power(np.asarray(frequency, np.float64), -1.665) + 2.81
    return np.asarray(found * (LOW_FACTOR if voltage < LOW_VOLTAGE else 1.0))


def remaining(frequency: np.ndarray, dose: float | np.ndarray, voltage: float) -> np.ndarray:
    """Share of the amplitude that is left after a dose (electrons per A^2): ``exp(-dose / (2 critical exposure))``."""
    return np.asarray(np.exp(-0.5 * dose / critical_exposure(frequency, voltage)))


@dataclass(frozen=True)
class DamageModes:
    """The decay of all frames as a few filters: that of frame k is ``sum_r weights[k, r] filters[r]``.

    Frames are then sums of a few filtered fields, instead of one transform for each frame.
    """

    frequencies: np.ndarray  # float64 (S,), 1/A
    filters: np.ndarray  # float64 (R, S)
    weights: np.ndarray  # float32 (F, R)

    def filter(self, mode: int, frequency: np.ndarray) -> np.ndarray:
        """One filter at any frequencies: float32, like `frequency`."""
        return np.interp(frequency, self.frequencies, self.filters[mode]).astype(np.float32)


def damage_modes(n_frames: int, dose_per_frame: float, voltage: float, highest: float, damage: bool = True) -> DamageModes:
    """Find the filters of a movie.

    Parameters
    ----------
    n_frames : int
        F.
    dose_per_frame : float
        Electrons per A^2; a frame has the decay of its middle.
    voltage : float
        kV.
    highest : float
        Highest frequency, 1/A.
    damage : bool
        False: nothing fades.

    Returns
    -------
    DamageModes
        With as few filters as `TOLERANCE` allows.
    """
    frequencies = np.linspace(0.0, highest, SAMPLES)
    doses = (np.arange(n_frames) + 0.5) * dose_per_frame * damage
    decay = remaining(frequencies, doses[:, None], voltage)
    u, s, v = np.linalg.svd(decay, full_matrices=False)
    for rank in range(1, len(s) + 1):
        weights = u[:, :rank] * s[:rank]
        if np.abs(weights @ v[:rank] - decay).max() <= TOLERANCE:
            break
    return DamageModes(frequencies, v[:rank], weights.astype(np.float32))
