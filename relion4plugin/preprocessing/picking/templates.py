"""Picking of what looks like given images: references turned in the plane, with the CTF of the micrograph.

Scheres (2015) J. Struct. Biol. 189, 114-122.
"""

import threading
from dataclasses import dataclass, field

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.imaging.ctf import PLAIN_CTF, CtfOptions, CtfParameters
from relion4plugin.preprocessing.picking.micrograph import check_pixels, scaled, without_outliers
from relion4plugin.preprocessing.picking.peaks import local_maxima, refined, without_neighbours
from relion4plugin.preprocessing.picking.picks import Picks, make_picks
from relion4plugin.preprocessing.picking.template_images import References, Templates, make_templates
from relion4plugin.preprocessing.picking.template_scores import Filters, score_map

_PX_PER_LOWPASS = 2.5  # two are the least; more make positions finer
_HIGHEST = 0.95  # quantile: the negative rings about single strong particles are no noise
_MOST_NOISE = 7.0  # standard deviations; 4 to 6.5 in micrographs. Gaps in a crowd fit reversed templates better than any noise
_UNLIMITED_AVERAGE = -900.0


@dataclass(frozen=True)
class TemplateSettings:
    """How templates are compared with micrographs, and which maxima count.

    `step` in degrees, `lowpass`, `highpass` and `distance` in A (filters: 0 or less for none). `threshold` is the least figure of merit.
    `noise_spread` (0 or less for none) and `noise_mean` (-900 or less for none) are limits of what surrounds a pick, in standard
    deviations of the micrograph. `shrink` is the scale to work at, 0 for what suits the low-pass filter. `invert` says that particles
    are dark and references white.
    """

    step: float = 5.0
    lowpass: float = 20.0
    highpass: float = -1.0
    threshold: float = 0.05
    distance: float = 100.0
    noise_spread: float = 1.1
    noise_mean: float = -999.0
    shrink: float = 0.0
    invert: bool = True
    ctf_options: CtfOptions = PLAIN_CTF


@dataclass
class TemplateBank:
    """References, and the templates made of them so far; micrographs of one size share them. May be used from several threads."""

    references: References
    settings: TemplateSettings
    _made: dict[float, Templates] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def templates(self, pixel_size: float) -> Templates:
        """Return the templates for a pixel size in A."""
        with self._lock:
            if pixel_size not in self._made:
                self._made[pixel_size] = make_templates(self.references, pixel_size, self.settings.step, self.settings.lowpass)
            return self._made[pixel_size]


def pick_templates(
    image: np.ndarray, pixel_size: float, bank: TemplateBank, ctf: CtfParameters | None = None, name: str = "micrograph"
) -> Picks:
    """Pick what looks like a reference.

    Parameters
    ----------
    image : (ny, nx)
        Micrograph in any scale of grey values.
    pixel_size : float
        A.
    bank : TemplateBank
        What to look for, and how.
    ctf : CtfParameters or None
        Of this one micrograph; None where references have no CTF applied.
    name : str
        The micrograph, for messages.

    Returns
    -------
    Picks
        Best first, with reference and angle; none is no error. The score is the part by which the normalised correlation exceeds
        that which noise reaches in this micrograph: 0 is as good as noise, 1 twice as good. Picks nearer to the edge than the radius
        of a particle are left out.

    Raises
    ------
    UserError
        If the references do not fit the micrograph, or it has pixels that are not numbers.
    """
    settings, radius = bank.settings, bank.references.radius
    if not pixel_size > 0:
        raise UserError(f"{name}: the pixel size is not known; give it with --angpix, or in the STAR file of micrographs")
    if 4 * radius > min(image.shape) * pixel_size:
        raise UserError(
            f"{name}: references of {2 * radius:.0f} A are more than half of this micrograph of {min(image.shape) * pixel_size:.0f} A: "
            "correct --angpix_ref, or the pixel size"
        )
    check_pixels(image, name)
    small = scaled(without_outliers(image), pixel_size, _working_pixel(pixel_size, settings))
    templates = bank.templates(small.pixel_size)
    filters = Filters(settings.lowpass, settings.highpass)
    scores = score_map(small, templates, filters, ctf, settings.ctf_options, -1.0 if settings.invert else 1.0)
    width = max(3, int(settings.distance / small.pixel_size / 2) | 1)
    margin = bank.references.particle_radius / small.pixel_size
    fom = scores.correlation / _noise_level(scores.reversed_, width, margin) - 1
    rows, columns = local_maxima(fom, width)
    good = (fom[rows, columns] >= settings.threshold) & _inside(rows, columns, fom.shape, margin)
    if settings.noise_spread > 0:
        good &= scores.noise_spread[rows, columns] <= settings.noise_spread
    if settings.noise_mean > _UNLIMITED_AVERAGE:
        good &= scores.noise_mean[rows, columns] >= settings.noise_mean
    rows, columns = rows[good], columns[good]
    y, x = refined(fom, rows, columns)
    reach = np.full(len(x), settings.distance / small.pixel_size / 2)
    kept = without_neighbours(np.column_stack([x, y]), fom[rows, columns].astype(np.float64), reach)
    y, x = small.to_micrograph(y[kept], x[kept])
    at, diameter = (rows[kept], columns[kept]), 2 * bank.references.particle_radius
    return make_picks(x, y, fom[at], diameter, scores.reference[at] + 1, templates.angles[scores.angle[at]])


def _noise_level(reversed_: np.ndarray, width: int, margin: float) -> float:
    """Return the correlation that noise reaches: nearly the highest of maxima that templates of reversed contrast have."""
    rows, columns = local_maxima(reversed_, width)
    inside = _inside(rows, columns, reversed_.shape, margin)
    found = reversed_[rows[inside], columns[inside]]
    return min(float(np.quantile(found, _HIGHEST)), _MOST_NOISE) if len(found) else _MOST_NOISE


def _working_pixel(pixel_size: float, settings: TemplateSettings) -> float:
    """Return the pixel size in A at which micrographs and templates are compared."""
    if settings.shrink > 0:
        return pixel_size / min(settings.shrink, 1.0)
    return max(pixel_size, settings.lowpass / _PX_PER_LOWPASS)


def _inside(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, ...], margin: float) -> np.ndarray:
    return (rows >= margin) & (columns >= margin) & (rows <= shape[0] - 1 - margin) & (columns <= shape[1] - 1 - margin)
