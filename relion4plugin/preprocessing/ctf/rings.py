"""How well a CTF explains the rings of a power spectrum: the normalised cross-correlation that is maximised."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.imaging.ctf import CtfParameters, evaluate_ctf, wavelength
from relion4plugin.preprocessing.ctf.spectrum import hann_overlap

_VALUES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Microscope:
    """Constants of the instrument: kV, mm, fraction."""

    voltage: float
    spherical_aberration: float
    amplitude_contrast: float


@dataclass(frozen=True)
class Trial:
    """n sets of CTF parameters, each (n,).

    Astigmatism is a vector that is smooth where it vanishes: half the difference of both defocus values (A) times cosine
    (`along`) and sine (`across`) of twice the angle. `decay` (A^2) dampens rings by exp(-decay |f|^2 / 2).
    """

    defocus: np.ndarray  # mean of U and V, A
    along: np.ndarray  # A
    across: np.ndarray  # A
    phase_shift: np.ndarray  # degrees
    decay: np.ndarray  # A^2

    @classmethod
    def of(cls, rows: np.ndarray) -> "Trial":
        """Make it of rows (n, 5) in the order of the fields."""
        return cls(*np.asarray(rows, dtype=np.float64).T)

    def __len__(self) -> int:
        """Return the number of sets."""
        return len(self.defocus)

    def part(self, first: int, last: int) -> "Trial":
        """Return the sets from `first` up to `last`, which is left out."""
        return Trial(*(values[first:last] for values in (self.defocus, self.along, self.across, self.phase_shift, self.decay)))

    def ctf(self, microscope: Microscope) -> CtfParameters:
        """Return the same as parameters of `imaging.ctf`."""
        ones = np.ones(len(self))
        half = np.hypot(self.along, self.across)
        return CtfParameters(
            defocus_u=self.defocus + half,
            defocus_v=self.defocus - half,
            defocus_angle=0.5 * np.degrees(np.arctan2(self.across, self.along)),
            voltage=ones * microscope.voltage,
            spherical_aberration=ones * microscope.spherical_aberration,
            amplitude_contrast=ones * microscope.amplitude_contrast,
            phase_shift=self.phase_shift,
            bfactor=0.0 * ones,
            scale=ones,
        )


@dataclass(frozen=True)
class RingPixels:
    """Pixels of a spectrum in the range of the fit, with their measured values prepared for correlation.

    `values` has zero correlation with every smooth background in `background` (orthonormal columns) and length 1; `weights` is the
    root of the number of measurements in a pixel.
    """

    fx: np.ndarray  # (P,) 1/A
    fy: np.ndarray  # (P,) 1/A
    weights: np.ndarray  # (P,) float32
    values: np.ndarray  # (P,) float32
    background: np.ndarray  # (P, K) float32
    extent: float  # A, see PowerSpectrum

    def __len__(self) -> int:
        """Return the number of pixels."""
        return len(self.fx)


def prepared_pixels(
    fx: np.ndarray, fy: np.ndarray, weights: np.ndarray, measured: np.ndarray, basis: np.ndarray, extent: float
) -> RingPixels:
    """Remove the smooth background from measured values.

    Parameters
    ----------
    fx, fy
        (P,) frequencies in 1/A.
    weights
        (P,) roots of the number of measurements of each value.
    measured
        (P,) values.
    basis
        (P, K) smooth functions that a background is a sum of.
    extent
        See `PowerSpectrum`.
    """
    scaled = (basis * weights[:, None]).astype(np.float64)
    columns = scaled / np.maximum(np.linalg.norm(scaled, axis=0), 1e-12)
    directions, sizes, _ = np.linalg.svd(columns, full_matrices=False)
    background = directions[:, sizes > 1e-5 * sizes[0]]
    values = measured * weights
    values = values - background @ (background.T @ values)
    length = float(np.linalg.norm(values))
    single = np.float32
    return RingPixels(fx, fy, weights.astype(single), (values / max(length, 1e-30)).astype(single), background.astype(single), extent)


def rings(pixels: RingPixels, trial: Trial, microscope: Microscope) -> np.ndarray:
    """Return the squared CTF of each trial as the spectrum shows it, (n, P): damped, and washed out where it turns too fast."""
    curves = evaluate_ctf(pixels.fx, pixels.fy, trial.ctf(microscope))
    curves *= curves
    curves -= np.float32(0.5)
    squares = (pixels.fx**2 + pixels.fy**2).astype(np.float32)
    lag = np.outer(2.0 * wavelength(microscope.voltage) * np.abs(trial.defocus), np.sqrt(squares))
    curves *= hann_overlap(lag, pixels.extent)
    curves += np.float32(0.5)
    curves *= np.exp(np.outer(-0.5 * trial.decay.astype(np.float32), squares))
    curves *= pixels.weights
    return curves


def unit_rings(pixels: RingPixels, trial: Trial, microscope: Microscope) -> np.ndarray:
    """Return rings without their smooth part, each of length 1, (n, P)."""
    curves = rings(pixels, trial, microscope)
    curves -= (curves @ pixels.background) @ pixels.background.T
    curves /= np.maximum(np.linalg.norm(curves, axis=1, keepdims=True), np.float32(1e-20))
    return curves


def correlations(pixels: RingPixels, trial: Trial, microscope: Microscope) -> np.ndarray:
    """Return the correlation of each trial with the measurement, (n,), from -1 to 1."""
    out = np.empty(len(trial), dtype=np.float64)
    step = max(1, _VALUES_AT_ONCE // max(len(pixels), 1))
    for first in range(0, len(trial), step):
        curves = rings(pixels, trial.part(first, first + step), microscope)
        smooth = curves @ pixels.background
        rest = np.einsum("ij,ij->i", curves, curves) - np.einsum("ij,ij->i", smooth, smooth)
        out[first : first + step] = (curves @ pixels.values) / np.sqrt(np.maximum(rest, 1e-20))
    return out
