"""The diagnostic picture: measured rings on the left, fitted rings on the right, as CTFFIND shows them."""

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter1d

from relion4plugin.imaging.ctf import evaluate_ctf
from relion4plugin.preprocessing.ctf.preparation import spline_basis
from relion4plugin.preprocessing.ctf.profile import RingProfile, equal_phase_radius
from relion4plugin.preprocessing.ctf.rings import Microscope, Trial
from relion4plugin.preprocessing.ctf.spectrum import PowerSpectrum

_N_INTERVALS = 12
_CONTRAST = 2.5  # standard deviations of the measured rings from grey to white
_INNER = 0.1  # part of the radius about the centre that does not count for the contrast
_WINDOW = 17  # shells over which the contrast of averaged rings is evened


def diagnostic_picture(spectrum: PowerSpectrum, row: np.ndarray, microscope: Microscope, profile: RingProfile, fit_to: float) -> np.ndarray:
    """Compare a spectrum with the CTF that was fitted.

    Parameters
    ----------
    spectrum
        Power spectrum.
    row
        (5,) fields of `rings.Trial`.
    microscope
        Constants of the instrument.
    profile
        The spectrum averaged along lines of equal phase.
    fit_to
        Resolution (A) to which the CTF is drawn.

    Returns
    -------
    float32 (n, n)
        Values from 0 to 1, zero frequency at pixel n/2. Columns below n/2: the spectrum without its radial background, in the
        lower rows as it is, in the upper rows averaged along lines of equal phase. Other columns: the squared CTF.
    """
    fx, fy = spectrum.frequencies()
    n, half = spectrum.box, spectrum.box // 2
    y, x = np.broadcast_arrays(fy[:, None], fx[None, :])
    radius = np.hypot(x, y)
    undamped = Trial.of((row * [1, 1, 1, 1, 0])[None])
    fitted = evaluate_ctf(x.ravel(), y.ravel(), undamped.ctf(microscope))[0].reshape(radius.shape) ** 2
    averaged = np.interp(equal_phase_radius(x, y, row, microscope), profile.frequency, _evened(profile.measured), left=0.5, right=0.5)
    measured = _contrast(gaussian_filter(_flat(spectrum.power, radius / fx[1]), 1.0, mode="nearest"), radius > _INNER * fy.max())
    measured[:half] = averaged[:half]
    picture = np.full((n, n), 0.5, dtype=np.float32)
    picture[:, half:] = np.where(radius <= 1.0 / fit_to, fitted, 0.5)
    # The left half is the right one mirrored through the centre, where a spectrum has the same values.
    picture[1:, 1:half] = measured[:0:-1, :0:-1]
    return picture


def _contrast(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Bring values to the range from 0 to 1, with the usual spread of those that are counted about 0.5."""
    spread = _CONTRAST * float(values[counted].std()) + 1e-12
    out: np.ndarray = 0.5 + 0.5 * np.clip((values - float(values[counted].mean())) / spread, -1.0, 1.0)
    return out


def _evened(curve: np.ndarray) -> np.ndarray:
    """Return a curve with rings of the same contrast everywhere, from 0 to 1."""
    rest = curve - uniform_filter1d(curve, _WINDOW, mode="nearest")
    spread = np.sqrt(uniform_filter1d(rest**2, _WINDOW, mode="nearest")) + 1e-12
    out: np.ndarray = 0.5 + 0.5 * np.clip(rest / (1.5 * spread), -1.0, 1.0)
    return out


def _flat(power: np.ndarray, shells: np.ndarray) -> np.ndarray:
    """Return a spectrum divided by a smooth curve through its radial averages, less 1; `shells` is the radius in px."""
    index = np.rint(shells).astype(np.int64)
    counts = np.bincount(index.ravel())
    means = np.bincount(index.ravel(), power.ravel()) / np.maximum(counts, 1)
    filled = np.flatnonzero((counts > 0) & (means > 0) & (np.arange(len(counts)) > 2))
    # Even steps in the root of the radius follow the steep start.
    roots = np.sqrt(filled)
    basis = spline_basis(roots, roots[0], roots[-1], _N_INTERVALS)
    weights = np.sqrt(np.minimum(filled, power.shape[1]))
    found = np.linalg.lstsq(basis * weights[:, None], np.log(means[filled]) * weights, rcond=None)[0]
    curve = np.interp(np.arange(len(counts)), filled, basis @ found)
    flat: np.ndarray = power / np.exp(curve)[index] - 1.0
    return flat
