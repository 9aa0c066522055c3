"""Padded Fourier transforms of volumes, axis by axis: zeros are neither stored nor transformed.

Coordinates and frequencies wrap around (origin at index 0), so no phase is needed to move the origin to voxel N/2.
"""

from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace, fft_module
from relion4plugin.refinement.voxels import axis_indices

CHUNK = 1 << 22  # complex values transformed at a time


def _options(xp: Any, workers: int | None) -> dict[str, Any]:
    return {"overwrite_x": True, "workers": workers} if xp is np else {"overwrite_x": True}


def _steps(count: int, per_item: int) -> list[slice]:
    step = max(1, CHUNK // max(per_item, 1))
    return [slice(first, min(first + step, count)) for first in range(0, count, step)]


def forward_volume(volume: Any, size: int, radius: int = 0, workers: int | None = None, out: Any = None) -> Any:
    """Transform a map padded to `size`, on the scale of a 2D transform (divided by N^2).

    Parameters
    ----------
    volume : float32 (N, N, N)
        Origin at voxel N/2.
    size : int
        Linear size M of the padded grid.
    radius : int
        Frequencies beyond it along any axis are left zero; 0: all are computed.
    workers : int, optional
        Threads of scipy's FFT.
    out : complex64 (M, M, M//2+1), optional
        Zeros, written to.

    Returns
    -------
    complex64 (M, M, M//2+1)
    """
    xp = array_namespace(volume)
    fft, options = fft_module(xp), _options(xp, workers)
    n, half, box = volume.shape[-1], size // 2 + 1, volume.shape[-1] // 2
    rows = xp.asarray(axis_indices(size, radius or size)[0])
    columns = min(radius + 1, half) if radius else half
    stage = xp.empty((n, len(rows), columns), xp.complex64)
    for part in _steps(n, size * half):
        count = part.stop - part.start
        lines = xp.zeros((count, n, size), xp.float32)
        lines[..., : n - box], lines[..., size - box :] = volume[part, :, box:], volume[part, :, :box]
        partial = fft.rfft(lines, axis=2, **options)[..., :columns]
        planes = xp.zeros((count, size, columns), xp.complex64)
        planes[:, : n - box], planes[:, size - box :] = partial[:, box:], partial[:, :box]
        stage[part] = fft.fft(planes, axis=1, **options)[:, rows]
    stage *= xp.float32(1.0 / n**2)
    if out is None:
        out = xp.zeros((size, size, half), xp.complex64)
    for part in _steps(len(rows), size * columns):
        block = xp.zeros((size, part.stop - part.start, columns), xp.complex64)
        block[: n - box], block[size - box :] = stage[box:, part], stage[:box, part]
        out[rows[:, None], rows[part], :columns] = fft.fft(block, axis=0, **options)[rows]
    return out


def inverse_volume(transform: Any, box: int, size: int, radius: int = 0, workers: int | None = None) -> Any:
    """Transform back to a padded grid of `size` and crop to the box: the inverse of `forward_volume`.

    Parameters
    ----------
    transform : complex64 (m, m, m//2+1)
        Grid in FFT order; one smaller than `size` holds the low frequencies of it.
    box : int
        Size N of the map.
    size : int
        Linear size M of the padded grid.
    radius : int
        Frequencies beyond it along any axis are taken as zero; 0: all count.
    workers : int, optional
        Threads of scipy's FFT.

    Returns
    -------
    float32 (N, N, N)
    """
    xp = array_namespace(transform)
    fft, options = fft_module(xp), _options(xp, workers)
    m, centre = transform.shape[0], box // 2
    source, frequency = (xp.asarray(index) for index in axis_indices(m, radius or m))
    rows = frequency % size
    columns = min(radius + 1, transform.shape[2]) if radius else transform.shape[2]
    stage = xp.empty((box, len(rows), columns), xp.complex64)
    for part in _steps(len(rows), size * columns):
        block = xp.zeros((size, part.stop - part.start, columns), xp.complex64)
        block[rows] = transform[:, source[part], :columns][source]
        block = fft.ifft(block, axis=0, **options)
        stage[centre:, part], stage[:centre, part] = block[: box - centre], block[size - centre :]
    volume = xp.empty((box, box, box), xp.float32)
    for part in _steps(box, size * (size // 2 + 1)):
        count = part.stop - part.start
        planes = xp.zeros((count, size, columns), xp.complex64)
        planes[:, rows] = stage[part]
        planes = fft.ifft(planes, axis=1, **options)
        lines = xp.empty((count, box, columns), xp.complex64)
        lines[:, centre:], lines[:, :centre] = planes[:, : box - centre], planes[:, size - centre :]
        full = fft.irfft(lines, n=size, axis=2, **options)
        volume[part, :, centre:], volume[part, :, :centre] = full[..., : box - centre], full[..., size - centre :]
    volume *= xp.float32(box**2)
    return volume


def fade_sphere(volume: np.ndarray, radius: float, edge: float) -> None:
    """Fade a map outside a sphere to the average of what is outside, in place.

    Parameters
    ----------
    volume : float32 (N, N, N)
    radius, edge : float
        Radius of what stays and width of the raised cosine around it, px.
    """
    squared = (np.arange(len(volume)) - len(volume) // 2) ** 2
    in_plane = squared[:, None] + squared
    r = np.sqrt(np.arange(3 * int(squared.max()) + 1))  # a table over the squared radius: no root per voxel
    fading = (0.5 + 0.5 * np.cos(np.pi * np.clip((radius + edge - r) / edge, 0.0, 1.0))).astype(np.float32)
    total, count = 0.0, 0.0
    for plane, z2 in zip(volume, squared, strict=True):
        outside = fading[z2 + in_plane]
        total += float(np.vdot(outside, plane))
        count += float(outside.sum())
    background = np.float32(total / max(count, 1e-6))
    for plane, z2 in zip(volume, squared, strict=True):
        plane += fading[z2 + in_plane] * (background - plane)
