"""Weights of frames after radiation damage (Grant & Grigorieff 2015, eLife 4:e06980)."""

import numpy as np

from relion4plugin.errors import UserError

N_TABLE = 8192
TABLE_MAX = float(np.sqrt(0.5))  # corner of the transform, cycles per px
_VOLTAGES, _SCALES = (100.0, 200.0, 300.0), (0.64, 0.8, 1.0)  # kV, and critical exposure relative to 300 kV


def critical_exposure(frequency: np.ndarray, voltage: float) -> np.ndarray:
    """Return the exposure (e/A^2) after which the signal at a spatial frequency (1/A) has fallen by e^(-1/2) (equation 3).

    Between 100, 200 and 300 kV the scale is interpolated.

    Raises
    ------
    UserError
        If the voltage (kV) lies outside.
    """
    if not _VOLTAGES[0] <= voltage <= _VOLTAGES[-1]:
        raise UserError(
            f"dose weights are known from {_VOLTAGES[0]:g} to {_VOLTAGES[-1]:g} kV, not for {voltage:g} kV: "
            "correct rlnVoltage, or set do_dose_weighting to No"
        )
    scale = np.interp(voltage, _VOLTAGES, _SCALES)
    safe = np.maximum(frequency, 1e-6)
    return np.asarray(scale * (0.24499 * safe**-1.6649 + 2.8141))


def dose_tables(exposures: np.ndarray, pixel_size: float, voltage: float) -> np.ndarray:
    """Return normalised weights of frames, float32 (frames, N_TABLE), over the frequency from 0 to TABLE_MAX cycles per px.

    The squares of all weights at a frequency add up to one, so that noise stays white (equation 9).

    Parameters
    ----------
    exposures : float (frames,)
        Accumulated exposure at the end of each frame, e/A^2.
    pixel_size : float
        A.
    voltage : float
        kV.
    """
    frequency = np.arange(N_TABLE) * (TABLE_MAX / (N_TABLE - 1)) / pixel_size
    weights = np.exp(-0.5 * np.asarray(exposures)[:, None] / critical_exposure(frequency, voltage))
    return (weights / np.sqrt(np.sum(weights**2, axis=0))).astype(np.float32)


def table_index(ny: int, nx: int) -> np.ndarray:
    """Return the place in a table for each pixel of a half transform (ny, nx // 2 + 1), int16."""
    fy, fx = np.fft.fftfreq(ny)[:, None], np.arange(nx // 2 + 1) / nx
    return np.rint(np.sqrt(fy * fy + fx * fx) * ((N_TABLE - 1) / TABLE_MAX)).astype(np.int16)
