"""Central slices of 3D grids: cut, inserted, and folded into parts that are even and odd under the mirror.

Grids are cropped half grids [z, y, x] with ``z, y = -R..R`` and ``x = 0..R + 1``, the last column zero: R is the radius of what
they hold, plus one, in padded px (`volume_search.crop_transforms`).
"""

import math

import numpy as np
from numba import njit

from relion4plugin.refinement.kernels.options import FAST


@njit(**FAST)
def cut_slice(grid, matrix, kx, ky, inside, padding, real, imag):
    """Cut the central slice of orientation `matrix` (3, 3) out of a cropped grid by trilinear interpolation.

    Parameters
    ----------
    grid : float32 (Z, Y, X, 2), real and imaginary parts
    kx, ky, inside : float32 (P,), pixels, and 1 where they lie within the radius of the grid
    real, imag : float32 (P,), written
    """
    middle = np.float32((grid.shape[0] - 1) // 2)  # added before truncation, which so becomes floor
    width, plane = grid.shape[2], grid.shape[1] * grid.shape[2]
    flat = grid.reshape(-1)
    a0, a1, a2 = matrix[0, 0] * padding, matrix[0, 1] * padding, matrix[0, 2] * padding
    b0, b1, b2 = matrix[1, 0] * padding, matrix[1, 1] * padding, matrix[1, 2] * padding
    for p in range(len(real)):
        x = a0 * kx[p] + b0 * ky[p]
        sign = np.float32(-1.0) if x < 0 else np.float32(1.0)
        use = inside[p] * sign
        x *= use
        y = (a1 * kx[p] + b1 * ky[p]) * use
        z = (a2 * kx[p] + b2 * ky[p]) * use
        x0, y0, z0 = np.int32(x), np.int32(y + middle), np.int32(z + middle)
        fx, fy, fz = x - np.float32(x0), y + middle - np.float32(y0), z + middle - np.float32(z0)
        base = 2 * (z0 * plane + y0 * width + x0)
        w00, w01, w10, w11 = (1 - fz) * (1 - fy), (1 - fz) * fy, fz * (1 - fy), fz * fy
        down, deep = 2 * width, 2 * plane
        r0 = w00 * flat[base] + w01 * flat[base + down] + w10 * flat[base + deep] + w11 * flat[base + deep + down]
        i0 = w00 * flat[base + 1] + w01 * flat[base + down + 1] + w10 * flat[base + deep + 1] + w11 * flat[base + deep + down + 1]
        r1 = w00 * flat[base + 2] + w01 * flat[base + down + 2] + w10 * flat[base + deep + 2] + w11 * flat[base + deep + down + 2]
        i1 = w00 * flat[base + 3] + w01 * flat[base + down + 3] + w10 * flat[base + deep + 3] + w11 * flat[base + deep + down + 3]
        real[p] = inside[p] * (r0 + fx * (r1 - r0))
        imag[p] = use * (i0 + fx * (i1 - i0))


@njit(**FAST)
def insert_slice(data, weight, matrix, kx, ky, inside, padding, real, imag, power):
    """Distribute a slice and its weights over the grids (Z, Y, X, 2) and (Z, Y, X): the transpose of `cut_slice`."""
    middle = np.float32((data.shape[0] - 1) // 2)
    width, plane = data.shape[2], data.shape[1] * data.shape[2]
    flat, flat_weight = data.reshape(-1), weight.reshape(-1)
    a0, a1, a2 = matrix[0, 0] * padding, matrix[0, 1] * padding, matrix[0, 2] * padding
    b0, b1, b2 = matrix[1, 0] * padding, matrix[1, 1] * padding, matrix[1, 2] * padding
    for p in range(len(real)):
        if inside[p] == 0:
            continue
        x = a0 * kx[p] + b0 * ky[p]
        sign = np.float32(-1.0) if x < 0 else np.float32(1.0)
        x *= sign
        y = (a1 * kx[p] + b1 * ky[p]) * sign
        z = (a2 * kx[p] + b2 * ky[p]) * sign
        x0, y0, z0 = np.int32(x), np.int32(y + middle), np.int32(z + middle)
        fx, fy, fz = x - np.float32(x0), y + middle - np.float32(y0), z + middle - np.float32(z0)
        base = z0 * plane + y0 * width + x0
        re, im, w = real[p], imag[p] * sign, power[p]
        for corner in range(4):
            wz = fz if corner & 2 else 1 - fz
            wy = fy if corner & 1 else 1 - fy
            at = base + (plane if corner & 2 else 0) + (width if corner & 1 else 0)
            w1 = wz * wy * fx
            w0 = wz * wy - w1
            flat[2 * at] += w0 * re
            flat[2 * at + 1] += w0 * im
            flat[2 * at + 2] += w1 * re
            flat[2 * at + 3] += w1 * im
            flat_weight[at] += w0 * w
            flat_weight[at + 1] += w1 * w


@njit(**FAST)
def cut_slices(grid, matrices, kx, ky, inside, padding, real, imag):
    """Cut many slices (n, P); see `cut_slice`."""
    for j in range(len(matrices)):
        cut_slice(grid, matrices[j], kx, ky, inside, padding, real[j], imag[j])


@njit(**FAST)
def fold(real, imag, first, second, axis, even_real, odd_real, even_imag, odd_imag):
    """Split rows (n, P) into parts that are even and odd under the mirror ``ky -> -ky``.

    Columns are first the pairs (`first`, `second`) of mirrored pixels, then the pixels `axis` of the ky = 0 line and the kx = 0
    line: on the former both parts are even, on the latter the mirror conjugates, so real parts are even and imaginary parts odd.
    `axis` lists ky = 0 pixels as p and kx = 0 pixels as -p - 1.
    """
    n_pairs = len(first)
    half = np.float32(math.sqrt(0.5))
    for i in range(len(real)):
        for j in range(n_pairs):
            p, q = first[j], second[j]
            even_real[i, j] = half * (real[i, p] + real[i, q])
            odd_real[i, j] = half * (real[i, p] - real[i, q])
            even_imag[i, j] = half * (imag[i, p] + imag[i, q])
            odd_imag[i, j] = half * (imag[i, p] - imag[i, q])
        for j in range(len(axis)):
            p = axis[j]
            behind = p < 0
            p = -p - 1 if behind else p
            even_real[i, n_pairs + j] = real[i, p]
            odd_real[i, n_pairs + j] = 0.0
            even_imag[i, n_pairs + j] = 0.0 if behind else imag[i, p]
            odd_imag[i, n_pairs + j] = imag[i, p] if behind else 0.0
