"""Kernel of the symmetrisation of Fourier grids."""

import numpy as np
from numba import njit

from relion4plugin.refinement.kernels.options import FAST


@njit(**FAST)
def add_rotated(source, matrices, radius, first, last, data, weight):
    """Add rotated copies of a grid to the planes z = first..last-1 of its own half grid.

    Parameters
    ----------
    source : float32 (2R+3, 2R+3, R+2, 3)
        Real part, imaginary part and weight; frequency 0 at index R+1 along z and y, and 0 along x.
    matrices : float32 (m, 3, 3)
        Rotations other than the identity.
    radius : int
        R, padded pixels; voxels beyond stay as they are.
    data : float32 (M, M, M//2+1, 2); weight : float32 (M, M, M//2+1), in FFT order, added to
    """
    size, middle = len(data), np.float32(radius + 1)
    for z in range(first, last):
        for y in range(-radius, radius + 1):
            if (2 * y == size) or (2 * z == size):  # the same plane as -M/2
                continue
            rest = radius * radius - z * z - y * y
            if rest < 0:
                continue
            for x in range(min(int(np.sqrt(rest)), size // 2) + 1):
                real, imag, total = np.float32(0.0), np.float32(0.0), np.float32(0.0)
                for g in range(len(matrices)):
                    m = matrices[g]
                    px = m[0, 0] * x + m[0, 1] * y + m[0, 2] * z
                    sign = np.float32(-1.0) if px < 0 else np.float32(1.0)
                    px *= sign
                    py = (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z) * sign + middle
                    pz = (m[2, 0] * x + m[2, 1] * y + m[2, 2] * z) * sign + middle
                    x0, y0, z0 = int(px), int(py), int(pz)
                    fx, fy, fz = px - np.float32(x0), py - np.float32(y0), pz - np.float32(z0)
                    for corner in range(4):
                        dz, dy = corner >> 1, corner & 1
                        near = (fz if dz else 1 - fz) * (fy if dy else 1 - fy)
                        far = near * fx
                        near -= far
                        row = source[z0 + dz, y0 + dy]
                        real += near * row[x0, 0] + far * row[x0 + 1, 0]
                        imag += sign * (near * row[x0, 1] + far * row[x0 + 1, 1])
                        total += near * row[x0, 2] + far * row[x0 + 1, 2]
                data[z, y, x, 0] += real
                data[z, y, x, 1] += imag
                weight[z, y, x] += total
