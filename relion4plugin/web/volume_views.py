"""Two-dimensional views of a map: central slices and projections along the axes."""

from dataclasses import dataclass

import numpy as np

AXES = ("z", "y", "x")  # of views, in order; the array is indexed [z, y, x]


@dataclass(frozen=True, eq=False)
class VolumeViews:
    """Three views across z, y and x, float32 (N, N) each: rows and columns are (y, x), (z, x) and (z, y).

    Attributes
    ----------
    slices : tuple of array
        Through the voxel of the origin, N/2.
    projections : tuple of array
        Means along the axis.
    """

    slices: tuple[np.ndarray, ...]
    projections: tuple[np.ndarray, ...]


def volume_views(volume: np.ndarray) -> VolumeViews:
    """Cut and project a map.

    Parameters
    ----------
    volume : float (N, N, N)
        Indexed [z, y, x].

    Returns
    -------
    VolumeViews
    """
    middle = volume.shape[0] // 2
    slices = tuple(np.take(volume, middle, axis=axis) for axis in range(3))
    return VolumeViews(slices, tuple(volume.mean(axis=axis, dtype=np.float32) for axis in range(3)))


def common_levels(images: tuple[np.ndarray, ...], low: float = 0.5, high: float = 99.7) -> tuple[np.ndarray, ...]:
    """Scale several images by the same percentiles of their values, uint8; without contrast they become mid grey (128)."""
    values = np.concatenate([image.ravel() for image in images])
    values = values[np.isfinite(values)]
    bottom, top = np.percentile(values, (low, high)) if len(values) else (0.0, 0.0)
    if top <= bottom:
        return tuple(np.full(image.shape, 128, np.uint8) for image in images)
    scaled = ((np.nan_to_num(image, nan=bottom, posinf=top, neginf=bottom) - bottom) / (top - bottom) for image in images)
    return tuple(np.rint(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8) for image in scaled)


def at_most(levels: np.ndarray, edge: int = 256) -> np.ndarray:
    """Shrink a picture whose edge is longer than `edge` pixels."""
    from PIL import Image

    if max(levels.shape[:2]) <= edge:
        return levels
    factor = edge / max(levels.shape[:2])
    size = (max(1, round(levels.shape[1] * factor)), max(1, round(levels.shape[0] * factor)))
    return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.LANCZOS))
