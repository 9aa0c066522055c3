"""Soft-edged masks centred on the box."""

from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace


def _raised_cosine(radius_squared: Any, radius: float, edge: float, xp: Any) -> Any:
    """1 inside `radius`, 0 beyond `radius + edge`, half a cosine between."""
    r = xp.sqrt(radius_squared)
    if edge <= 0:
        return (r <= radius).astype(xp.float32)
    t = xp.clip((radius + edge - r) / edge, 0.0, 1.0)
    return (0.5 - 0.5 * xp.cos(np.pi * t)).astype(xp.float32)


def soft_disc(n: int, radius_px: float, edge_px: float = 5, xp: Any = np) -> Any:
    """Disc around the box centre (pixel n/2) with a raised-cosine edge outside its radius.

    Parameters
    ----------
    n : int
        Box size in pixels.
    radius_px : float
        Radius of the part with weight 1, in pixels.
    edge_px : float
        Width of the edge from 1 to 0, in pixels.
    xp : module
        Array library of the result.

    Returns
    -------
    float32 (n, n)
    """
    x = xp.arange(n, dtype=xp.float64) - n // 2
    return _raised_cosine(x[:, None] ** 2 + x[None, :] ** 2, radius_px, edge_px, xp)


def soft_sphere(n: int, radius_px: float, edge_px: float = 5, xp: Any = np) -> Any:
    """Sphere around the box centre (voxel n/2) with a raised-cosine edge outside its radius.

    Parameters
    ----------
    n : int
        Box size in pixels.
    radius_px : float
        Radius of the part with weight 1, in pixels.
    edge_px : float
        Width of the edge from 1 to 0, in pixels.
    xp : module
        Array library of the result.

    Returns
    -------
    float32 (n, n, n)
    """
    x2 = (xp.arange(n, dtype=xp.float64) - n // 2) ** 2
    return _raised_cosine(x2[:, None, None] + x2[None, :, None] + x2[None, None, :], radius_px, edge_px, xp)


def mask_with_background(images: Any, mask: Any) -> Any:
    """Replace what lies outside the mask by each image's mean background.

    Parameters
    ----------
    images : float (..., N, N)
        Images.
    mask : float (N, N)
        Weights w in [0, 1]; the background mean is weighted with 1 - w.

    Returns
    -------
    array (..., N, N) of the images' type
        ``w * image + (1 - w) * background``. A mask without any outside leaves the images unchanged.
    """
    xp = array_namespace(images, mask)
    inside = xp.asarray(mask, dtype=images.dtype)
    outside = 1 - inside
    weights = outside.ravel() / xp.maximum(outside.sum(), 1e-6)
    background = images.reshape(*images.shape[:-2], -1) @ weights.astype(images.dtype)
    return images * inside + background[..., None, None] * outside
