"""The spectrum averaged along lines of equal phase, and how far its rings follow the CTF."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.imaging.ctf import evaluate_ctf, wavelength
from relion4plugin.preprocessing.ctf.rings import Microscope, Trial
from relion4plugin.preprocessing.ctf.spectrum import PowerSpectrum

_SMALLEST_WINDOW = 5  # shells to either side
_LEAST_AGREEMENT = 0.5
_FIRST_RUN = 2 * _SMALLEST_WINDOW + 1  # shells that must agree where rings begin; fewer do so in noise
_AXIS = 1  # px beside the axes


@dataclass(frozen=True)
class RingProfile:
    """Curves over m shells: frequency (1/A), measured power, squared CTF and their correlation in a window about the shell."""

    frequency: np.ndarray
    measured: np.ndarray
    squared_ctf: np.ndarray
    agreement: np.ndarray


def equal_phase_radius(fx: np.ndarray, fy: np.ndarray, row: np.ndarray, microscope: Microscope) -> np.ndarray:
    """Return where the CTF without astigmatism has the phase that it has at (fx, fy) with astigmatism, 1/A.

    The phase is a quadratic form in |f|^2, so this is the root of a quadratic equation; beyond its turning point the radius itself
    is returned.

    Parameters
    ----------
    fx, fy
        Frequencies in 1/A, any one shape.
    row
        (5,) fields of `rings.Trial`.
    microscope
        Constants of the instrument.
    """
    defocus, along, across = row[:3]
    squares = fx**2 + fy**2
    local = defocus * squares + along * (fx**2 - fy**2) + across * 2 * fx * fy
    bend = 0.5 * microscope.spherical_aberration * 1e7 * wavelength(microscope.voltage) ** 2
    wanted = local - bend * squares**2  # equals defocus s - bend s^2 for the s that is looked for
    turn = defocus / (2 * bend) if bend > 0 else np.inf
    inside = defocus**2 - 4 * bend * wanted
    root = 2 * wanted / (defocus + np.sqrt(np.maximum(inside, 0.0)))
    equal = np.where((squares < turn) & (inside >= 0) & (root > 0), root, squares)
    radius: np.ndarray = np.sqrt(equal)
    return radius


def ring_profile(spectrum: PowerSpectrum, row: np.ndarray, microscope: Microscope, resmin: float) -> RingProfile:
    """Average a spectrum from `resmin` (A) to its edge along lines of equal phase (Zhang 2016)."""
    fx, fy = spectrum.frequencies()
    step, middle = float(fx[1]), spectrum.box // 2
    chosen = np.ones(spectrum.power.shape, dtype=bool)
    chosen[:, : _AXIS + 1] = False
    chosen[middle - _AXIS : middle + _AXIS + 1] = False
    grid_y, grid_x = np.nonzero(chosen)
    x, y = fx[grid_x], fy[grid_y]
    inside = np.hypot(x, y) < (middle - 1) * step
    x, y, power = x[inside], y[inside], spectrum.power[chosen][inside].astype(np.float64)
    shell = np.rint(equal_phase_radius(x, y, row, microscope) / step).astype(np.int64)
    counts = np.bincount(shell, minlength=middle)
    measured = np.bincount(shell, power, minlength=middle) / np.maximum(counts, 1)
    first = max(2, int(np.ceil(1.0 / resmin / step)))
    shells = np.arange(first, middle - 2)
    shells = shells[counts[shells] > 0]
    frequency = shells * step
    curve = evaluate_ctf(frequency, np.zeros_like(frequency), Trial.of(row[None] * [1, 0, 0, 1, 0]).ctf(microscope))[0] ** 2
    period = 1.0 / np.maximum(2 * wavelength(microscope.voltage) * row[0] * frequency, 1e-6) / step
    agreement = _local_agreement(measured[shells], curve.astype(np.float64), period)
    return RingProfile(frequency, measured[shells], curve, agreement)


def _local_agreement(measured: np.ndarray, curve: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Correlate both in a window of one ring (in shells) to either side, each without its linear trend."""
    out = np.zeros(len(measured))
    for i in range(len(measured)):
        reach = int(max(_SMALLEST_WINDOW, np.ceil(period[i])))
        window = slice(max(0, i - reach), i + reach + 1)
        trend = np.vander(np.arange(window.start, window.start + len(measured[window]), dtype=np.float64) - i, 2)
        columns = np.stack([measured[window], curve[window]], axis=1)
        rest = columns - trend @ np.linalg.lstsq(trend, columns, rcond=None)[0]
        size = np.linalg.norm(rest, axis=0)
        out[i] = rest[:, 0] @ rest[:, 1] / max(float(size[0] * size[1]), 1e-30)
    return out


def resolved_to(profile: RingProfile, extent: float, row: np.ndarray, microscope: Microscope, resmax: float) -> float:
    """Return the resolution (A) to which rings follow the CTF; infinity where they do not.

    Rings count from where the local correlation first stays at 0.5 or above over a whole window, at `resmax` or before; the
    shape of particles may hide the first ones. They end before it stays below for half a window, or where they are too fine for the
    spectrum.

    Parameters
    ----------
    profile
        Curves along lines of equal phase.
    extent
        See `PowerSpectrum`.
    row, microscope
        The CTF that was fitted.
    resmax
        End of the fit in A.
    """
    too_fine = 2 * wavelength(microscope.voltage) * row[0] * profile.frequency > 0.5 * extent
    good = (profile.agreement >= _LEAST_AGREEMENT) & ~too_fine
    starts = np.flatnonzero(_sums(good, _FIRST_RUN) == _FIRST_RUN)
    if len(starts) == 0 or profile.frequency[starts[0]] > 1.0 / resmax:
        return float("inf")
    ends = starts[0] + np.flatnonzero(_sums(good[starts[0] :], _SMALLEST_WINDOW) == 0)
    last = ends[0] - 1 if len(ends) else np.flatnonzero(good)[-1]
    return float(1.0 / profile.frequency[last])


def _sums(flags: np.ndarray, n: int) -> np.ndarray:
    """Return how many of n flags are set, from each flag on."""
    out: np.ndarray = np.convolve(flags, np.ones(n), mode="valid") if len(flags) >= n else np.zeros(0)
    return out
