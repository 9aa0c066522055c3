"""Where a micrograph shows something much larger or much stronger than particles: ice, carbon, gold."""

import numpy as np
from scipy.ndimage import binary_propagation, distance_transform_edt

from relion4plugin.preprocessing.picking.micrograph import centre_and_spread
from relion4plugin.preprocessing.picking.scale_space import responses, smooth

_FIRST, _STEP = 3.0, 2.0  # diameters of contaminants, in those of the largest particle
_SHARE = 2.5  # contrast of a contaminant against that of particles
# In pixels of 10 A, protein in ice stands out by 2 to 6 standard deviations of the pixels, a bead of gold by 20 and more.
_FAR_TOO_STRONG, _PIXEL = 10.0, 10.0
_SAME = 5.0  # pixels that touch such ones belong to the same thing
_PIXEL_WIDTH = 1 / (2 * np.sqrt(np.pi))  # standard deviation of the Gaussian that averages noise as a square of 1 px does
_GRAIN = 0.2  # spread of neighbouring pixels against that of all, below which noise was taken away
_MOST = 0.5  # of a micrograph


def far_too_strong(image: np.ndarray, diameter: float, pixel_size: float) -> np.ndarray:
    """Find what is too dark or too bright to be protein, whatever its size.

    Single pixels tell: noise hides protein there, but not metal and crystals. So a micrograph without noise is left as it is.

    Parameters
    ----------
    image : float32 (ny, nx)
        Down-scaled micrograph.
    diameter : float
        Of the largest particles, in px.
    pixel_size : float
        A.

    Returns
    -------
    bool (ny, nx)
        True there, in all that is connected with it, and within half a diameter; nowhere if that is more than half of the micrograph,
        which is then of another kind.
    """
    middle, spread = centre_and_spread(image)
    flat = image - smooth(np.clip(image, middle - 3 * spread, middle + 3 * spread), 2 * diameter)
    grain, spread = (centre_and_spread(values)[1] for values in (flat - smooth(flat, 2 * _PIXEL_WIDTH), flat))
    if spread <= 0 or grain < _GRAIN * spread:
        return np.zeros(image.shape, dtype=bool)
    if pixel_size < _PIXEL:
        flat = smooth(flat, _PIXEL_WIDTH * np.sqrt((_PIXEL / pixel_size) ** 2 - 1))
    middle, spread = centre_and_spread(flat)
    contrast = np.abs(flat - middle) / (max(1.0, pixel_size / _PIXEL) * spread)
    strong = contrast > _FAR_TOO_STRONG
    if strong.any():
        whole = binary_propagation(strong, mask=contrast > _SAME)
        strong = distance_transform_edt(~whole) <= diameter / 2
    return strong if strong.mean() <= _MOST else np.zeros_like(strong)


def contaminated(image: np.ndarray, diameter: float, contrast: float) -> np.ndarray:
    """Find blobs that are several times larger than particles and at least as dark or bright.

    Even a dense cluster of particles is, as a whole, fainter than each of them.

    Parameters
    ----------
    image : float32 (ny, nx)
        Background near 0, not normalised locally.
    diameter : float
        Of the largest particles, in px.
    contrast : float
        Typical response to a particle, as of `scale_space.responses`.

    Returns
    -------
    bool (ny, nx)
        True where nothing should be picked: the blobs and half a particle around them.
    """
    largest = min(image.shape) / 2
    count = int(np.floor(np.log(max(largest / (_FIRST * diameter), 1.0)) / np.log(_STEP))) + 1
    sizes = _FIRST * diameter * _STEP ** np.arange(count)
    sizes = sizes[sizes <= max(largest, _FIRST * diameter)]
    strong = np.zeros(image.shape, dtype=bool)
    for response in responses(image, sizes):
        strong |= response > _SHARE * contrast
    if not strong.any():
        return strong
    return np.asarray(distance_transform_edt(~strong) <= diameter / 2)
