"""Central slices of padded 3D transforms in plain array operations, and their exact transpose.

The reference for compiled kernels, and good enough where few or small slices are taken.
"""

from collections.abc import Iterator

import numpy as np


def _corners(
    shape: tuple[int, ...], matrices: np.ndarray, kx: np.ndarray, ky: np.ndarray, padding: int, r_max: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yield for each of the eight corners its flat index and weight (n, P), and the mask of mirrored points."""
    size, half = shape[0], shape[-1]
    plane = np.stack([kx, ky]).astype(np.float32) * np.float32(padding)
    points = np.einsum("nij,ip->jnp", np.asarray(matrices, np.float32)[:, :2], plane)  # x, y, z of A^T (kx, ky, 0)
    mirrored = points[0] < 0
    points = np.where(mirrored, -points, points)
    base = np.floor(points).astype(np.int32)
    fraction = points - base
    outside = np.asarray(kx, np.float64) ** 2 + np.asarray(ky, np.float64) ** 2 > r_max**2
    limit = (padding * r_max) ** 2
    for corner in range(8):
        dx, dy, dz = corner & 1, corner >> 1 & 1, corner >> 2
        x, y, z = base[0] + dx, base[1] + dy, base[2] + dz
        weight = np.ones(mirrored.shape, np.float32)
        for axis, step in enumerate((dx, dy, dz)):
            weight *= fraction[axis] if step else 1 - fraction[axis]
        weight[(x * x + y * y + z * z > limit) | outside] = 0.0
        yield (np.mod(z, size).astype(np.int64) * size + np.mod(y, size)) * half + np.minimum(x, half - 1), weight, mirrored


def central_slices(
    transform: np.ndarray, matrices: np.ndarray, kx: np.ndarray, ky: np.ndarray, padding: int, r_max: int
) -> np.ndarray:
    """Interpolate central slices trilinearly.

    Parameters
    ----------
    transform : complex64 (M, M, M//2+1)
        Padded transform in FFT order, origin at voxel 0.
    matrices : float (n, 3, 3)
        Rotation matrices A; the image point (kx, ky) is the map point ``padding * A^T (kx, ky, 0)``.
    kx, ky : (P,)
        Frequencies in pixels of the unpadded transform.
    padding : int
    r_max : int
        Radius in unpadded pixels beyond which pixels, and voxels, are zero.

    Returns
    -------
    complex64 (n, P)
    """
    flat = transform.reshape(-1)
    values = np.zeros((len(matrices), len(kx)), np.complex64)
    mirrored = np.zeros(values.shape, bool)
    for index, weight, mirrored in _corners(transform.shape, matrices, kx, ky, padding, r_max):  # noqa: B007
        values += flat[index] * weight
    return np.where(mirrored, values.conj(), values)


def insert_slices(
    data: np.ndarray,
    weight: np.ndarray,
    values: np.ndarray,
    weights: np.ndarray,
    matrices: np.ndarray,
    kx: np.ndarray,
    ky: np.ndarray,
    padding: int,
    r_max: int,
) -> None:
    """Add slices to a grid, in place: the transpose of `central_slices`.

    Parameters
    ----------
    data, weight : complex and float (M, M, M//2+1), contiguous
        Sums, added to. M may be smaller than the padded box where it holds ``padding * r_max``.
    values, weights : complex and float (n, P)
        Data and weight of each pixel.
    matrices, kx, ky, padding, r_max :
        As for `central_slices`.
    """
    flat_data, flat_weight = data.reshape(-1), weight.reshape(-1)
    for index, share, mirrored in _corners(data.shape, matrices, kx, ky, padding, r_max):
        used = share > 0
        at, part = index[used], share[used]
        turned = np.where(mirrored, values.conj(), values)[used] * part
        # unique voxels first: adding at repeated indices one by one is slow
        voxels, inverse = np.unique(at, return_inverse=True)
        count = len(voxels)
        total = np.bincount(inverse, turned.real, count) + 1j * np.bincount(inverse, turned.imag, count)
        flat_data[voxels] += total.astype(data.dtype)
        flat_weight[voxels] += np.bincount(inverse, weights[used] * part, count).astype(weight.dtype)
