"""The CTF of one micrograph from its power spectrum."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.imaging.ctf import CtfOptions, evaluate_ctf
from relion4plugin.preprocessing.ctf.preparation import ice_density, prepare
from relion4plugin.preprocessing.ctf.profile import RingProfile, resolved_to, ring_profile
from relion4plugin.preprocessing.ctf.rings import Microscope, RingPixels, Trial
from relion4plugin.preprocessing.ctf.search import SearchRange, search
from relion4plugin.preprocessing.ctf.spectrum import PowerSpectrum

COARSEST_RESOLUTION = 25.0  # A, reported where no ring follows the CTF
_LEAST_SIGNIFICANCE = 7.0  # standard deviations of chance; the best fit to pure noise reaches 5
_WINDOW_AREA = 2.25  # pixels of a spectrum that a Hann window makes one measurement


@dataclass(frozen=True)
class CtfEstimate:
    """What was found.

    `figure_of_merit` is the correlation of the flattened spectrum, without its background, with the modulus of the CTF in the
    range of the fit, as CTFFIND's is.
    `ice_density` is NaN where the spectrum ends before 3.6 A.
    """

    defocus_u: float  # A, the larger one
    defocus_v: float  # A
    defocus_angle: float  # degrees from the x axis to the direction of U, from -90 to 90
    phase_shift: float  # degrees
    figure_of_merit: float
    max_resolution: float  # A
    ice_density: float

    @property
    def astigmatism(self) -> float:
        """Difference of both defocus values in A."""
        return self.defocus_u - self.defocus_v


@dataclass(frozen=True)
class CtfFit:
    """An estimate with what its pictures are made of: `row` holds the fields of `rings.Trial`."""

    estimate: CtfEstimate
    row: np.ndarray
    profile: RingProfile


def estimate_ctf(spectrum: PowerSpectrum, microscope: Microscope, where: SearchRange, resmin: float, resmax: float) -> CtfFit:
    """Estimate defocus, astigmatism and, where asked for, phase shift.

    Parameters
    ----------
    spectrum
        Power spectrum.
    microscope
        Constants of the instrument.
    where
        Range of the search.
    resmin, resmax
        Range of the fit in A.

    Raises
    ------
    UserError
        If the spectrum has no rings to fit.
    """
    prepared = prepare(spectrum, resmin, resmax)
    if not prepared.plane.values.any():
        raise UserError("the power spectrum is flat: there are no rings to fit")
    row, correlation = search(prepared, microscope, where)
    profile = ring_profile(spectrum, row, microscope, resmin)
    ctf = Trial.of(row[None]).ctf(microscope)
    resolution = COARSEST_RESOLUTION
    if correlation > _LEAST_SIGNIFICANCE * (_WINDOW_AREA / len(prepared.plane)) ** 0.5:
        resolution = min(resolution, resolved_to(profile, spectrum.extent, row, microscope, resmax))
    estimate = CtfEstimate(
        float(ctf.defocus_u[0]),
        float(ctf.defocus_v[0]),
        float(ctf.defocus_angle[0]),
        float(row[3]),
        _figure_of_merit(prepared.plane, row, microscope),
        resolution,
        ice_density(spectrum),
    )
    return CtfFit(estimate, row, profile)


def _figure_of_merit(pixels: RingPixels, row: np.ndarray, microscope: Microscope) -> float:
    """Return the correlation with rings that are not damped, so that it falls with what is missing at high frequency."""
    ctf = Trial.of((row * [1, 1, 1, 1, 0])[None]).ctf(microscope)
    curve = evaluate_ctf(pixels.fx, pixels.fy, ctf, CtfOptions(phase_flipped=True))[0] * pixels.weights
    curve -= pixels.background @ (curve @ pixels.background)
    return float(curve @ pixels.values) / max(float(np.linalg.norm(curve)), 1e-20)
