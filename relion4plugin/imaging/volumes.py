"""Maps on a grid: other box and pixel size, rotation, symmetry average, centre of mass, other hand.

Maps are indexed [z, y, x] with their origin at voxel N // 2 (so odd boxes have it in the middle). Points, shifts and matrices
are in the order x, y, z.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import scipy.ndimage

_SAME = 1e-4  # relative difference below which two pixel sizes are one: no map has more voxels along an edge than 1 / _SAME
_MARGIN = 2  # voxels around the spline coefficients, so that no voxel of the support needs a test of bounds


def check_cube(volume: np.ndarray) -> int:
    """Return the edge of a map in voxels.

    Raises
    ------
    ValueError
        If it is not a cube.
    """
    n = volume.shape[0]
    if volume.shape != (n, n, n):
        raise ValueError(f"a map of {volume.shape} voxels is not a cube")
    return n


def resample_volume(volume: np.ndarray, pixel_size: float, new_box: int, new_pixel_size: float) -> np.ndarray:
    """Bring a map to another box and pixel size, keeping its centre and its grey values.

    Trigonometric interpolation, low-passed at the coarser Nyquist frequency; where only the box changes, voxels are copied.

    Parameters
    ----------
    volume : numpy.ndarray
        float (N, N, N), N even or odd.
    pixel_size, new_pixel_size : float
        A per voxel before and after.
    new_box : int
        Edge of the result in voxels.

    Returns
    -------
    numpy.ndarray
        float32 (new_box, new_box, new_box); zero where the old map does not reach.
    """
    n = check_cube(volume)
    if not (pixel_size > 0 and new_pixel_size > 0 and new_box > 0):
        raise ValueError(f"pixel sizes {pixel_size}, {new_pixel_size} A and box {new_box} must be positive")
    if abs(new_pixel_size / pixel_size - 1) < _SAME:
        return _crop_or_pad(np.asarray(volume, dtype=np.float32), new_box)
    matrix = _resampling_matrix(n, new_box, new_pixel_size / pixel_size)
    result = np.asarray(volume, dtype=np.float32)
    for _ in range(3):  # each turn works on the last axis and moves it to the front: after three turns the order is as before
        result = np.moveaxis(result @ matrix.T, -1, 0)
    return np.ascontiguousarray(result)


def _crop_or_pad(volume: np.ndarray, new_box: int) -> np.ndarray:
    n = volume.shape[0]
    start = n // 2 - new_box // 2  # of the new box in the old one
    old = slice(max(0, start), min(n, start + new_box))
    new = slice(old.start - start, old.stop - start)
    result = np.zeros((new_box,) * 3, np.float32)
    result[new, new, new] = volume[old, old, old]
    return result


def _resampling_matrix(n: int, new: int, ratio: float) -> np.ndarray:
    """Values at every `ratio` samples from those at every sample: Dirichlet's kernel; float32 (new, n)."""
    points = (np.arange(new) - new // 2) * ratio
    distance = points[:, None] - (np.arange(n) - n // 2)
    highest = min((n - 1) // 2, int(np.ceil(n / (2 * ratio))) - 1)
    sine = np.sin(np.pi * distance / n)
    there = np.abs(sine) < 1e-12
    matrix = np.sin(np.pi * (2 * highest + 1) * distance / n) / np.where(there, 1.0, sine)
    matrix = np.where(there, 2 * highest + 1, matrix) / n
    matrix[np.abs(points) > n / 2] = 0.0
    return matrix.astype(np.float32)


def rotate_volume(volume: np.ndarray, matrix: np.ndarray, shift: Sequence[float] | np.ndarray = (0.0, 0.0, 0.0)) -> np.ndarray:
    """Turn a map about its origin and then move it: the density at point q goes to ``A q + shift``.

    ``m'(p) = m(A^T (p - shift))``, interpolated by cubic B-splines.

    Parameters
    ----------
    volume : numpy.ndarray
        float (N, N, N).
    matrix : numpy.ndarray
        Rotation matrix A, float (3, 3).
    shift : sequence of float
        Voxels along x, y, z.

    Returns
    -------
    numpy.ndarray
        float32 (N, N, N); zero where the old map does not reach.
    """
    return _average(volume, np.asarray(matrix, dtype=np.float64)[None], np.asarray(shift, dtype=np.float64))


def symmetrise_volume(volume: np.ndarray, operators: np.ndarray) -> np.ndarray:
    """Average a map over rotations about its origin, as those of a point group.

    Parameters
    ----------
    volume : numpy.ndarray
        float (N, N, N).
    operators : numpy.ndarray
        Rotation matrices, float (m, 3, 3), as `geometry.symmetry.point_group` gives them.

    Returns
    -------
    numpy.ndarray
        float32 (N, N, N).
    """
    return _average(volume, np.asarray(operators, dtype=np.float64), np.zeros(3))


def _average(volume: np.ndarray, operators: np.ndarray, shift: np.ndarray) -> np.ndarray:
    n = check_cube(volume)
    values = np.asarray(volume, dtype=np.float32)
    result = np.zeros((n, n, n), np.float32)
    exact = np.abs(operators - np.eye(3)).max(axis=(1, 2)) < 1e-9
    if not shift.any() and exact.any():  # the identity needs no interpolation
        result += np.float32(exact.sum()) * values
        operators = operators[~exact]
    if len(operators):
        coefficients = np.pad(scipy.ndimage.spline_filter(np.pad(values, _MARGIN), order=3, output=np.float32, mode="mirror"), _MARGIN)
        # from the voxel of the result to the voxel of the coefficients, both in the order z, y, x
        inverse = np.ascontiguousarray(operators.transpose(0, 2, 1)[:, ::-1, ::-1])
        offsets = n // 2 - inverse @ (n // 2 + shift[::-1])
        _kernel()(coefficients, inverse, offsets, 2 * _MARGIN, result)
    result /= np.float32(len(operators) + (exact.sum() if not shift.any() else 0))
    return result


@cache
def _kernel() -> Any:
    """Compile the cubic B-spline interpolation; numba is imported only when a map is turned."""
    import numba

    @numba.njit(cache=True, nogil=True, fastmath=True)
    def add_turned(coefficients, inverse, offsets, margin, result):  # type: ignore[no-untyped-def]
        n = result.shape[0]
        wz, wy, wx = np.empty(4, np.float32), np.empty(4, np.float32), np.empty(4, np.float32)
        for g in range(inverse.shape[0]):
            m, o = inverse[g], offsets[g]
            for i in range(n):
                for j in range(n):
                    for k in range(n):
                        z = m[0, 0] * i + m[0, 1] * j + m[0, 2] * k + o[0]
                        y = m[1, 0] * i + m[1, 1] * j + m[1, 2] * k + o[1]
                        x = m[2, 0] * i + m[2, 1] * j + m[2, 2] * k + o[2]
                        if z < -1 or y < -1 or x < -1 or z > n or y > n or x > n:
                            continue
                        z0, y0, x0 = int(np.floor(z)), int(np.floor(y)), int(np.floor(x))
                        for weights, t in ((wz, z - z0), (wy, y - y0), (wx, x - x0)):
                            s = 1 - t
                            weights[0] = s * s * s / 6
                            weights[1] = (4 - 6 * t * t + 3 * t * t * t) / 6
                            weights[2] = (4 - 6 * s * s + 3 * s * s * s) / 6
                            weights[3] = t * t * t / 6
                        total = np.float32(0)
                        for a in range(4):
                            plane = coefficients[z0 + margin - 1 + a]
                            for b in range(4):
                                row = plane[y0 + margin - 1 + b]
                                start = x0 + margin - 1
                                part = wx[0] * row[start] + wx[1] * row[start + 1] + wx[2] * row[start + 2] + wx[3] * row[start + 3]
                                total += wz[a] * wy[b] * part
                        result[i, j, k] += total

    return add_turned


def centre_of_mass(volume: np.ndarray) -> np.ndarray:
    """Centre of mass of the positive density.

    Parameters
    ----------
    volume : numpy.ndarray
        float (N, N, N); the background should be about zero.

    Returns
    -------
    numpy.ndarray
        float64 (3,): x, y, z in voxels from the origin; zeros where no density is positive.
    """
    n = check_cube(volume)
    mass = np.maximum(volume, 0)
    total = float(mass.sum(dtype=np.float64))
    if not total > 0:
        return np.zeros(3)
    axis = np.arange(n) - n // 2
    return np.array([mass.sum(axis=others, dtype=np.float64) @ axis / total for others in ((0, 1), (0, 2), (1, 2))])


def mirror_volume(volume: np.ndarray) -> np.ndarray:
    """Return the map of the other hand: mirrored along z, ``m'(x, y, z) = m(x, y, -z)``.

    In even boxes the plane z = -N/2 has no counterpart and stays where it is.

    Parameters
    ----------
    volume : numpy.ndarray
        float (N, N, N).

    Returns
    -------
    numpy.ndarray
        float32 (N, N, N).
    """
    n = check_cube(volume)
    return np.asarray(volume, dtype=np.float32)[(2 * (n // 2) - np.arange(n)) % n]
