"""Keep class averages centred: shift each by its centre of mass."""

import numpy as np
from scipy import ndimage

from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.vdam import shift_moments

PEAK_SHARE = 0.2  # of the highest value: density below does not count in a map, where solvent fills most of the box


def centre_of_mass(reference: np.ndarray) -> np.ndarray:
    """Centre of mass relative to the box centre in px, (x, y) or (x, y, z).

    Of the positive pixels of an image, or the dense voxels of a map; zeros if nothing is positive.
    """
    floor = PEAK_SHARE * float(reference.max()) if reference.ndim == 3 else 0.0
    positive = np.clip(reference - max(floor, 0.0), 0, None)
    total = float(positive.sum())
    if total <= 0:
        return np.zeros(reference.ndim)
    axis = np.arange(reference.shape[-1]) - reference.shape[-1] // 2
    along = [positive.sum(axis=tuple(a for a in range(reference.ndim) if a != d)) @ axis for d in range(reference.ndim)]
    return np.array(along[::-1]) / total


def centre_classes(model: Model, settings: RefinementSettings, grid: PaddedGrid, pixel_size: float, gradient: bool) -> None:
    """Centre the references in place, at most by the offset range.

    In gradient runs small displacements are left alone, and the moments move with their reference.
    """
    tolerance = max(0.01 * settings.particle_diameter / pixel_size, 2.0) if gradient and grid.dimension == 2 else 0.5
    for k in range(model.n_classes):
        centre = centre_of_mass(model.references[k])
        length = float(np.linalg.norm(centre))
        if length <= (tolerance if gradient else 0.0):
            continue
        centre *= min(1.0, settings.offset_range / length)
        model.references[k] = ndimage.shift(model.references[k], -centre[::-1], order=1, mode="constant", cval=0.0)
        shift_moments(model, grid, k, -centre)
