"""Where a micrograph shows something much larger than particles: ice, carbon, drops of fixative."""

import numpy as np
from scipy.ndimage import distance_transform_edt

from relion4plugin.preprocessing.picking.scale_space import responses

_FIRST, _STEP = 3.0, 2.0  # diameters of contaminants, in those of the largest particle
_SHARE = 2.5  # contrast of a contaminant against that of particles


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
