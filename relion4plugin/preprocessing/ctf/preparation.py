"""From a power spectrum to the pixels that are fitted: flattened, without axes and outliers, in two dimensions and around circles."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import BSpline

from relion4plugin.errors import UserError
from relion4plugin.preprocessing.ctf.rings import RingPixels, prepared_pixels
from relion4plugin.preprocessing.ctf.spectrum import PowerSpectrum

_N_INTERVALS = 5  # of the smooth background; more would follow the rings at low defocus
_AXIS = 1  # px beside the axes where edges and faulty columns of a detector show
_OUTLIER = 5.0  # standard deviations
_FEWEST_SHELLS = 16
ICE_BAND = (0.25, 0.28)  # 1/A: the strongest rings of hexagonal ice
_BESIDE_ICE = ((0.22, 0.24), (0.295, 0.315))
_ICE_IN_FIT = 1.1  # from this density on the band is left out of a fit


@dataclass(frozen=True)
class Prepared:
    """Pixels of the fit as a plane and as averages around circles."""

    plane: RingPixels
    circles: RingPixels


def spline_basis(positions: np.ndarray, low: float, high: float, n_intervals: int) -> np.ndarray:
    """Return cubic B-splines (n, n_intervals + 3) at positions from `low` to `high`."""
    inner = np.linspace(low, high, n_intervals + 1)
    knots = np.concatenate([np.repeat(low, 3), inner, np.repeat(high, 3)])
    basis: np.ndarray = BSpline.design_matrix(np.clip(positions, low, high), knots, 3).toarray()
    return basis


def ice_density(spectrum: PowerSpectrum) -> float:
    """Return the power in the band of ice rings (3.6 to 4 A) over that beside it; 1 without ice, NaN where the spectrum ends before."""
    radius = _radius(spectrum)
    if ICE_BAND[1] > 0.5 / spectrum.pixel_size:
        return float("nan")
    beside = np.zeros(radius.shape, dtype=bool)
    for low, high in _BESIDE_ICE:
        beside |= (radius >= low) & (radius <= high)
    band = (radius >= ICE_BAND[0]) & (radius <= ICE_BAND[1])
    return float(spectrum.power[band].mean() / spectrum.power[beside].mean())


def prepare(spectrum: PowerSpectrum, resmin: float, resmax: float) -> Prepared:
    """Select and flatten the pixels from `resmin` to `resmax` (A).

    The spectrum is divided by a smooth radial curve, so that every pixel has the same relative error; pixels far outside the usual
    range are clipped. Where ice rings are strong, their band is left out.

    Raises
    ------
    UserError
        If the range holds too few pixels.
    """
    fx, fy = spectrum.frequencies()
    radius = _radius(spectrum)
    step = float(fx[1])
    low, high = 1.0 / resmin, min(1.0 / resmax, (spectrum.box // 2 - 2) * step)
    chosen = (radius >= low) & (radius <= high)
    chosen[:, : _AXIS + 1] = False
    middle = spectrum.box // 2
    chosen[middle - _AXIS : middle + _AXIS + 1] = False
    if resmax < 1.0 / ICE_BAND[0] and ice_density(spectrum) > _ICE_IN_FIT:
        chosen &= (radius < ICE_BAND[0]) | (radius > ICE_BAND[1])
    k = radius[chosen]
    if (high - low) / step < _FEWEST_SHELLS:
        raise UserError(
            f"only {max(0, int((high - low) / step))} frequencies of the spectrum lie between {resmin:g} and {resmax:g} A: "
            "widen --resmin and --resmax, or take a larger --box"
        )
    power = spectrum.power[chosen].astype(np.float64)
    if not power.all():
        raise UserError("the power spectrum has zeros within the range of the fit: the image was filtered; use the unfiltered one")
    shell = np.rint(k / step).astype(np.int64)
    shell -= shell.min()
    shells = _Shells(shell)
    radii = shells.mean(k)
    flat = power / _smooth_power(k, radii, shells.mean(power), shells.counts, (low, high)) - 1.0
    limit = _OUTLIER * flat.std()
    flat = np.clip(flat, -limit, limit)
    grid_y, grid_x = np.nonzero(chosen)
    plane = _plane(fx[grid_x], fy[grid_y], k, flat, (low, high), spectrum.extent)
    roots = np.sqrt(shells.counts)
    basis = spline_basis(radii, low, high, _N_INTERVALS)
    return Prepared(plane, prepared_pixels(radii, np.zeros_like(radii), roots, shells.mean(flat), basis, spectrum.extent))


class _Shells:
    """Averages over pixels of one shell; shells without pixels are left out."""

    def __init__(self, shell: np.ndarray) -> None:
        self._shell, counts = shell, np.bincount(shell)
        self._filled = counts > 0
        self.counts = counts[self._filled].astype(np.float64)

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the mean of each shell."""
        return np.bincount(self._shell, values)[self._filled] / self.counts


def _radius(spectrum: PowerSpectrum) -> np.ndarray:
    fx, fy = spectrum.frequencies()
    radius: np.ndarray = np.hypot(fy[:, None], fx[None, :])
    return radius


def _smooth_power(k: np.ndarray, radii: np.ndarray, means: np.ndarray, counts: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Return the smooth radial curve through the logarithm of the shells, at k."""
    basis = spline_basis(radii, *limits, _N_INTERVALS)
    weights = np.sqrt(counts)
    found = np.linalg.lstsq(basis * weights[:, None], np.log(means) * weights, rcond=None)[0]
    curve = basis @ found
    smooth: np.ndarray = np.exp(np.interp(k, radii, curve))
    return smooth


def _plane(fx: np.ndarray, fy: np.ndarray, k: np.ndarray, flat: np.ndarray, limits: tuple[float, float], extent: float) -> RingPixels:
    """Prepare the plane: its background may also be elliptic, as drift and charging leave it."""
    radial = spline_basis(k, *limits, _N_INTERVALS)
    along, across = (fx**2 - fy**2) / k**2, 2 * fx * fy / k**2
    basis = np.concatenate([radial, radial * along[:, None], radial * across[:, None]], axis=1)
    return prepared_pixels(fx, fy, np.ones(len(fx)), flat, basis, extent)
