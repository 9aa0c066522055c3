"""Keep class averages centred: shift each by its centre of mass."""

import numpy as np
from scipy import ndimage

from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.vdam import shift_moments


def centre_of_mass(image: np.ndarray) -> np.ndarray:
    """Centre of mass (x, y) of the positive pixels relative to the box centre, in px; (0, 0) if none is positive."""
    positive = np.clip(image, 0, None)
    total = float(positive.sum())
    if total <= 0:
        return np.zeros(2)
    axis = np.arange(image.shape[-1]) - image.shape[-1] // 2
    return np.array([positive.sum(axis=0) @ axis, positive.sum(axis=1) @ axis]) / total


def centre_classes(model: Model, settings: RefinementSettings, grid: PaddedGrid, pixel_size: float, gradient: bool) -> None:
    """Centre the references in place, at most by the offset range.

    In gradient runs small displacements are left alone, and the moments move with their reference.
    """
    tolerance = max(0.01 * settings.particle_diameter / pixel_size, 2.0) if gradient else 0.0
    for k in range(model.n_classes):
        centre = centre_of_mass(model.references[k])
        length = float(np.hypot(*centre))
        if length <= tolerance:
            continue
        centre *= min(1.0, settings.offset_range / length)
        model.references[k] = ndimage.shift(model.references[k], (-centre[1], -centre[0]), order=1, mode="constant", cval=0.0)
        shift_moments(model, grid, k, -centre)
