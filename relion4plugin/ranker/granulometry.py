"""How much of a class average survives the removal of ever larger bright specks."""

import numpy as np
import scipy.ndimage

RADII = (1, 2, 3, 4, 5, 6)  # px


def granulometry(images: np.ndarray) -> np.ndarray:
    """Sum of the grey-level morphological opening of images with discs of growing radius.

    Parameters
    ----------
    images : float (m, n, n)
        At 4 A/px.

    Returns
    -------
    float64 (m, 6)
        For radii 1 to 6 px; a neighbourhood that reaches over the border counts only what lies inside.
    """
    out = np.empty((len(images), len(RADII)))
    for column, radius in enumerate(RADII):
        axis = np.arange(-radius, radius + 1)
        disc = (axis[:, None] ** 2 + axis**2 <= radius**2)[None]
        eroded = scipy.ndimage.minimum_filter(images, footprint=disc, mode="constant", cval=np.inf)
        opened = scipy.ndimage.maximum_filter(eroded, footprint=disc, mode="constant", cval=-np.inf)
        out[:, column] = opened.sum(axis=(1, 2))
    return out
