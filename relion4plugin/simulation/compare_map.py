"""A map that was made of simulated movies against the density that they were made of."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.files.mrc import read_mrc
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.imaging.volumes import resample_volume
from relion4plugin.postprocessing.align_maps import agreement

_BORDER = 0.05  # of the maximum: density that counts as particle
_MARGIN = 10.0  # A, of the mask beyond the particle
_EDGE = 10.0  # A, of the soft edge


@dataclass(frozen=True, eq=False)
class MapTruth:
    """How a map agrees with the best of several true densities.

    Attributes
    ----------
    number : int
        Of the density, from 1.
    fsc : float64 (N//2+1,)
        Within a soft sphere about the particle, after alignment.
    resolution : float
        A, where it falls below 0.5.
    correlation : float
        Real-space correlation within the sphere.
    mirrored : bool
        Whether the map has the other hand.
    aligned, truth : float32 (N, N, N)
        The map as it was turned, and the density, on one grid.
    """

    number: int
    fsc: np.ndarray
    resolution: float
    correlation: float
    mirrored: bool
    aligned: np.ndarray
    truth: np.ndarray


def map_truth(volume: np.ndarray, pixel_size: float, densities: list[Path], symmetry: str = "C1") -> MapTruth:
    """Compare a map with true densities.

    Parameters
    ----------
    volume : float (N, N, N)
        The map; either hand is tried, as projections do not tell them apart.
    pixel_size : float
        Of the map, A.
    densities : list of Path
        At least one.
    symmetry : str
        Point group of the map.

    Returns
    -------
    MapTruth
        Of the density that it agrees with to the highest resolution.

    Raises
    ------
    UserError
        If a density cannot be read, or the map is empty.
    """
    found = [_against(volume, pixel_size, path, number, symmetry) for number, path in enumerate(densities, 1)]
    return min(found, key=lambda one: (one.resolution, -one.correlation))


def _against(volume: np.ndarray, pixel_size: float, path: Path, number: int, symmetry: str) -> MapTruth:
    density, size = read_mrc(path)
    n = volume.shape[0]
    truth = resample_volume(density, size, n, pixel_size)
    mask = soft_sphere(n, min(_radius(truth) + _MARGIN / pixel_size, 0.47 * n), _EDGE / pixel_size)
    best = agreement(volume, truth, pixel_size, mirror=True, symmetry=symmetry, mask=mask)
    alignment = best.alignment
    return MapTruth(number, best.fsc, best.resolution, alignment.correlation, alignment.mirrored, alignment.volume, truth)


def _radius(volume: np.ndarray) -> float:
    """Return the distance of the outermost density from the middle, px."""
    n = volume.shape[0]
    inside = np.argwhere(volume > _BORDER * volume.max()) - n // 2
    return float(np.sqrt((inside**2).sum(axis=1)).max())
