"""Picking of blobs of a given size: Laplacian of Gaussian over several diameters."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from relion4plugin.errors import UserError
from relion4plugin.preprocessing.picking.contamination import contaminated, far_too_strong
from relion4plugin.preprocessing.picking.micrograph import ScaledMicrograph, centre_and_spread, check_pixels, scaled, without_outliers
from relion4plugin.preprocessing.picking.peaks import local_maxima, refined, without_neighbours
from relion4plugin.preprocessing.picking.picks import Picks, make_picks
from relion4plugin.preprocessing.picking.scale_space import diameters_between, kink, response_noise, responses, smooth
from relion4plugin.preprocessing.picking.threshold import threshold, too_strong

_PX_PER_DIAMETER = 6.0  # the smallest particle has at least so many px
_NEIGHBOURHOOD = 2.0  # standard deviation over which grey values are made even, in diameters of the largest particle
_LEAST_SPREAD = 0.5  # of the median spread: empty areas are not blown up
_LEAST_NOISE = 0.1  # of the spread of the response; a denoised micrograph has less
_SYMMETRIC = 0.03  # skewness of the response below which it may be noise
_KINK = 0.35  # of the response over size (see `kink`), below which it then is, whatever its spectrum
_STRONGEST = 3.0  # times the median score
_UNLIMITED = 999.0


@dataclass(frozen=True)
class BlobSettings:
    """What to look for; diameters and resolution in A.

    `adjust` shifts the threshold by so many standard deviations of the scores, and `upper` is a limit so many of them above it, 999 for
    none. `bright` says that particles are white. `overlap` is the distance of neighbours as a part of their mean diameter.
    `clean` leaves out contaminants.
    """

    smallest: float
    largest: float
    resolution: float = 20.0
    adjust: float = 0.0
    upper: float = _UNLIMITED
    bright: bool = False
    overlap: float = 0.7
    clean: bool = True


@dataclass(frozen=True)
class BlobPicks:
    """Picks of a micrograph, the threshold of their score, and how many blobs were too strong, or on something large."""

    picks: Picks
    threshold: float
    n_rejected: int


def pick_blobs(image: np.ndarray, pixel_size: float, settings: BlobSettings, name: str = "micrograph") -> BlobPicks:
    """Pick blobs in a micrograph.

    The micrograph is down-scaled, grey values are made even, and a blob is a maximum over place and diameter. Scores are in standard
    deviations of the response to the noise of this micrograph. A pick nearer to the edge than half the smallest diameter is left out.

    Parameters
    ----------
    image : (ny, nx)
        Micrograph in any scale of grey values.
    pixel_size : float
        A.
    settings : BlobSettings
        What to look for.
    name : str
        The micrograph, for messages.

    Returns
    -------
    BlobPicks
        Best first; none is no error.

    Raises
    ------
    UserError
        If the diameters do not fit the micrograph, or it has pixels that are not numbers.
    """
    _check_sizes(image.shape, pixel_size, settings, name)
    check_pixels(image, name)
    target = max(pixel_size, min(max(settings.resolution, 2 * pixel_size) / 2, settings.smallest / _PX_PER_DIAMETER))
    small = scaled(without_outliers(image), pixel_size, target)
    if settings.bright:
        small = ScaledMicrograph(-small.image, small.scale, small.pixel_size)
    accepted, limit = _search(small, settings)
    good, n_rejected = accepted, 0
    if settings.clean:
        clean, dirty = small, far_too_strong(small.image, settings.largest / small.pixel_size, small.pixel_size)
        if dirty.any():
            clean = _without(small, dirty)
            good, limit = _search(clean, settings)
        if len(good):
            dirty |= _dirt(clean, good, settings)
        if dirty.any():  # once more, as if it were not there: it raises background, spread and threshold around it
            again, limit = _search(_without(small, dirty), settings)
            good = again.chosen(~_at(dirty, again))
            n_rejected = int(np.count_nonzero(_at(dirty, accepted)))
    y, x = small.to_micrograph(good.y, good.x)
    return BlobPicks(make_picks(x, y, good.score, good.diameter), limit, n_rejected)


def _without(small: ScaledMicrograph, dirty: np.ndarray) -> ScaledMicrograph:
    return ScaledMicrograph(np.where(dirty, np.median(small.image[~dirty]), small.image), small.scale, small.pixel_size)


def _search(small: ScaledMicrograph, settings: BlobSettings) -> tuple[Picks, float]:
    """Return the maxima that count as particles, in px of the down-scaled micrograph, and the threshold."""
    size = settings.largest / small.pixel_size
    even = _evened(small.image - smooth(small.image, _NEIGHBOURHOOD * size), size)
    noise, noise_is_known = _noise(even, float(np.sqrt(settings.smallest * settings.largest)) / small.pixel_size)
    maxima = _maxima(even, small.pixel_size, settings, noise)
    maxima = maxima.chosen(_inside(maxima, even.shape, settings.smallest / 2 / small.pixel_size))
    limit = threshold(maxima.score, noise_is_known) + settings.adjust * _spread(maxima.score)
    accepted = maxima.chosen(maxima.score >= limit)
    if settings.upper < _UNLIMITED:
        accepted = accepted.chosen(accepted.score <= limit + settings.upper * _spread(maxima.score))
    return accepted, float(limit)


def _check_sizes(shape: tuple[int, ...], pixel_size: float, settings: BlobSettings, name: str) -> None:
    if not pixel_size > 0:
        raise UserError(f"{name}: the pixel size is not known; give it with --angpix, or in the STAR file of micrographs")
    if settings.smallest < 4 * pixel_size:
        raise UserError(f"{name}: particles of {settings.smallest:g} A are {settings.smallest / pixel_size:.2g} px: raise --log_diam_min")
    if settings.largest > min(shape) * pixel_size / 2:
        raise UserError(
            f"{name}: particles of {settings.largest:g} A are more than half of this micrograph of {min(shape) * pixel_size:.0f} A: "
            "lower --log_diam_max, or correct the pixel size"
        )


def _evened(flat: np.ndarray, diameter: float) -> np.ndarray:
    """Divide by the local standard deviation, so that thick ice and carbon do not decide what is a strong blob."""
    spread = np.sqrt(np.maximum(smooth(flat * flat, _NEIGHBOURHOOD * diameter), 0.0))
    typical = float(np.median(spread))
    return (flat / np.maximum(spread, _LEAST_SPREAD * typical or 1.0)).astype(np.float32, copy=False)


def _noise(even: np.ndarray, diameter: float) -> tuple[float, bool]:
    """Return the standard deviation of the response to noise, and whether it could be measured.

    Noise answers alike in dark and bright, and to all diameters as a power law has it. Particles answer more in dark, unless they
    are crowded, and break the power law at their size. A response with neither is all noise; any other holds particles, and its noise
    is measured where they have no power.
    """
    response = responses(even, np.array([diameter]))[0]
    middle, spread = centre_and_spread(response)
    if spread <= 0:
        return 1.0, False
    centred = np.clip((response - middle) / spread, -6.0, 6.0)
    symmetric = float(np.mean(centred**3)) < _SYMMETRIC * float(np.mean(centred**2)) ** 1.5
    if symmetric and kink(even, diameter) < _KINK:
        return spread, True
    white = response_noise(even, diameter)
    return max(white, _LEAST_NOISE * spread), white >= _LEAST_NOISE * spread


def _maxima(even: np.ndarray, pixel_size: float, settings: BlobSettings, noise: float) -> Picks:
    """Return maxima over place and diameter in px of the down-scaled micrograph, with scores in units of noise."""
    diameters = diameters_between(settings.smallest, settings.largest)
    planes = responses(even, diameters / pixel_size)
    best = planes.argmax(axis=0)
    strength = np.take_along_axis(planes, best[None], axis=0)[0]
    width = max(3, int(settings.smallest / pixel_size / 2) | 1)
    rows, columns = local_maxima(strength, width)
    y, x = refined(strength, rows, columns)
    found = diameters[best[rows, columns]]
    score = strength[rows, columns].astype(np.float64) / noise
    kept = without_neighbours(np.column_stack([x, y]), score, settings.overlap * found / pixel_size / 2)
    return make_picks(x[kept], y[kept], score[kept], found[kept])


def _inside(picks: Picks, shape: tuple[int, ...], margin: float) -> np.ndarray:
    ny, nx = shape
    return (picks.x >= margin) & (picks.y >= margin) & (picks.x <= nx - 1 - margin) & (picks.y <= ny - 1 - margin)


def _spread(scores: np.ndarray) -> float:
    return float(scores.std()) if len(scores) else 0.0


def _dirt(small: ScaledMicrograph, picks: Picks, settings: BlobSettings) -> np.ndarray:
    """Return where something much stronger or much larger than particles is, bool (ny, nx)."""
    size = settings.largest / small.pixel_size
    flat = small.image - np.median(small.image)
    contrast = float(np.median(_at(responses(flat, np.array([size]))[0], picks)))
    dirty = contaminated(flat, size, contrast) if contrast > 0 else np.zeros(flat.shape, dtype=bool)
    strong = picks.chosen(too_strong(picks.score, _STRONGEST))
    if len(strong):
        distance, _ = cKDTree(strong.centres).query(np.argwhere(np.ones(flat.shape, dtype=bool))[:, ::-1], distance_upper_bound=size / 2)
        dirty |= np.isfinite(distance).reshape(flat.shape)
    return dirty


def _at(values: np.ndarray, picks: Picks) -> np.ndarray:
    """Return the values (n,) of a map at the pixels of picks."""
    return values[np.rint(picks.y).astype(np.intp), np.rint(picks.x).astype(np.intp)]
