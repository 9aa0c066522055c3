"""References as templates: filtered, masked, without mean, turned in steps, at the pixel size of a down-scaled micrograph."""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter

from relion4plugin.imaging.filters import lowpass_half
from relion4plugin.imaging.fourier import half_to_image, image_to_half
from relion4plugin.imaging.masks import soft_disc

_POWER = 0.99  # of a particle within its radius
_SURROUNDINGS = 1.3  # radius of a template in radii of a particle
_EDGE = 2.0  # px of a reference over which its mask fades


@dataclass(frozen=True)
class References:
    """Images to look for, float32 (K, N, N), centred on pixel N/2, and their pixel size in A."""

    images: np.ndarray
    pixel_size: float

    @property
    def particle_radius(self) -> float:
        """Radius in A that holds nearly all of the contrast of the references."""
        half = self.images.shape[-1] // 2
        offset = np.arange(self.images.shape[-1]) - half
        rings = np.rint(np.hypot(offset[:, None], offset[None, :])).astype(np.intp)
        power = np.cumsum(np.bincount(rings.ravel(), (self.images.astype(np.float64) ** 2).sum(axis=0).ravel()))
        return min(float(np.searchsorted(power, _POWER * power[-1])), half - 1.0) * self.pixel_size

    @property
    def radius(self) -> float:
        """Radius in A of a particle with some of its surroundings, at most half of the box: a template is bright or dark against them."""
        return min(_SURROUNDINGS * self.particle_radius, (self.images.shape[-1] // 2 - 1) * self.pixel_size)


@dataclass(frozen=True)
class Templates:
    """Turned references, float32 (K, P, n, n), centred on pixel n // 2 of an odd box, without mean inside `radius`.

    `angles` are the P turns in degrees as RELION's rlnAnglePsi; `radius` and `pixel_size` are in A.
    """

    images: np.ndarray
    angles: np.ndarray
    radius: float
    pixel_size: float


def make_templates(references: References, pixel_size: float, step: float, lowpass: float) -> Templates:
    """Turn references in steps over the whole circle.

    Parameters
    ----------
    references : References
        White or black particles on a background near zero.
    pixel_size : float
        A, of the templates.
    step : float
        Degrees; the circle is divided evenly into steps of at most this.
    lowpass : float
        A; 0 or less for no filter.

    Returns
    -------
    Templates
    """
    box, radius = references.images.shape[-1], references.radius
    halves = image_to_half(references.images)
    if lowpass > 0:
        halves = lowpass_half(halves, box * references.pixel_size / lowpass)
    filtered = np.stack([spline_filter(image) for image in half_to_image(halves, box)])
    ratio = pixel_size / references.pixel_size
    reach = int(np.ceil(radius / pixel_size)) + 1
    n = 2 * reach + 1
    angles = np.arange(max(1, round(np.ceil(360.0 / step - 1e-6)))) * 360.0 / max(1, round(np.ceil(360.0 / step - 1e-6)))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1] * ratio
    cosine, sine = (f(np.deg2rad(angles))[:, None, None] for f in (np.cos, np.sin))
    places = np.stack([cosine * y + sine * x, cosine * x - sine * y]) + box // 2
    turned = np.stack([map_coordinates(image, places, order=3, prefilter=False, mode="constant") for image in filtered])
    mask = _mask(n, radius / pixel_size)
    turned -= (turned * mask).sum(axis=(-2, -1), keepdims=True) / mask.sum()
    return Templates((turned * mask).astype(np.float32), angles, radius, pixel_size)


def _mask(n: int, radius: float) -> np.ndarray:
    """Return a soft disc about pixel n // 2 of an odd box, float32 (n, n)."""
    return np.asarray(soft_disc(n, max(radius - _EDGE, 1.0), _EDGE))
