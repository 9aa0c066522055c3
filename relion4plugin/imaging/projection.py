"""Projections of a volume by central slices of its Fourier transform."""

from typing import Any

from relion4plugin.arrays import array_namespace, fft_module
from relion4plugin.imaging.fourier import half_frequencies, half_to_image

_CHUNK_POINTS = 1_000_000  # interpolated points at a time: about 150 MB of working arrays


def _gridding_corrected(volume: Any, pad: int, xp: Any) -> Any:
    """Divide by the radial sinc^2 that trilinear interpolation of the transform imprints on the map."""
    n = volume.shape[0]
    x2 = (xp.arange(n, dtype=xp.float32) - n // 2) ** 2
    r = xp.sqrt(x2[:, None, None] + x2[None, :, None] + x2[None, None, :])
    return volume.astype(xp.float32) / xp.sinc(r / (n * pad)).astype(xp.float32) ** 2


def _centred_transform(volume: Any, pad: int, xp: Any) -> Any:
    """Transform the padded volume, divided by N^2: complex64 on the grid z, y = -R..R, x = 0..R with R = pad N / 2."""
    n = volume.shape[0]
    size = n * pad
    before = (size - n) // 2
    padded = xp.pad(_gridding_corrected(volume, pad, xp), [(before, size - n - before)] * 3)
    transform = fft_module(xp).rfftn(padded)
    del padded
    radius = size // 2
    k = xp.arange(-radius, radius + 1)
    sign = (1 - 2 * (k % 2)).astype(xp.float32)
    transform = transform[k % size][:, k % size]
    transform *= sign[:, None, None] * sign[None, :, None]
    transform *= sign[radius:] / xp.float32(n * n)
    return transform


def _interpolate(transform: Any, points: Any, xp: Any) -> Any:
    """Trilinear interpolation at points (m, 3) given as x, y, z in grid units within the sphere of radius R."""
    radius = transform.shape[2] - 1
    flip = points[:, 0] < 0
    points = xp.where(flip[:, None], -points, points)
    corner = xp.minimum(xp.floor(points), radius - 1)
    fraction = points - corner
    corner = corner.astype(xp.int64)
    width, height = radius + 1, 2 * radius + 1
    base = ((corner[:, 2] + radius) * height + corner[:, 1] + radius) * width + corner[:, 0]
    flat = transform.ravel()
    fx, fy, fz = fraction[:, 0], fraction[:, 1], fraction[:, 2]
    value = xp.zeros(len(points), xp.complex64)
    for dz, wz in ((0, 1 - fz), (1, fz)):
        for dy, wy in ((0, 1 - fy), (1, fy)):
            start = base + (dz * height + dy) * width
            weight = wz * wy
            value += flat[start] * (weight * (1 - fx))
            value += flat[start + 1] * (weight * fx)
    return xp.where(flip, xp.conj(value), value)


def project_volume(volume: Any, rotations: Any, pad: int = 2) -> Any:
    """Project a volume along directions given by rotation matrices.

    The image-frame point (x, y, 0) is the map-frame point ``A^T (x, y, 0)``: a density at map point p is seen at the first
    two components of ``A p``. Pixel values are sums of voxels along the line of sight.

    Parameters
    ----------
    volume : float (N, N, N)
        Map indexed [z, y, x], origin at voxel N/2, N even.
    rotations : float (n, 3, 3)
        Rotation matrices A.
    pad : int
        Padding factor of the transform: 2 for accuracy, 1 for memory.

    Returns
    -------
    float32 (n, N, N)
        Images indexed [y, x]; frequencies beyond N/2 are zero.
    """
    xp = array_namespace(volume, rotations)
    n = volume.shape[0]
    if volume.shape != (n, n, n) or n % 2:
        raise ValueError(f"a volume of shape {volume.shape} is not a cube of even size")
    transform = _centred_transform(volume, pad, xp)
    ky, kx = (k.ravel() for k in half_frequencies(n, xp))
    inside = xp.nonzero(kx * kx + ky * ky <= (n // 2) ** 2)[0]
    plane = xp.stack([kx[inside], ky[inside]], axis=-1).astype(xp.float32) * xp.float32(pad)
    matrices = xp.asarray(rotations, dtype=xp.float32)
    images = xp.empty((len(matrices), n, n), xp.float32)
    step = max(1, _CHUNK_POINTS // len(plane))
    for start in range(0, len(matrices), step):
        chunk = matrices[start : start + step]
        points = (plane @ chunk[:, :2, :]).reshape(-1, 3)
        slices = xp.zeros((len(chunk), n * (n // 2 + 1)), xp.complex64)
        slices[:, inside] = _interpolate(transform, points, xp).reshape(len(chunk), -1)
        images[start : start + step] = half_to_image(slices.reshape(len(chunk), n, n // 2 + 1), n)
    return images
