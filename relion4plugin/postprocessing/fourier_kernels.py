"""Compiled loops over Fourier samples of a turned map (see `fourier_samples`)."""

import numpy as np
from numba import njit

_FAST = {"nogil": True, "fastmath": True, "cache": True}


@njit(inline="always", **_FAST)
def _at(grid, x, y, z):  # type: ignore[no-untyped-def]
    """Trilinear value at a point in units of the transform's frequency."""
    radius = grid.shape[2] - 1
    x, y, z = 2 * x, 2 * y, 2 * z
    mirrored = x < 0
    if mirrored:
        x, y, z = -x, -y, -z
    x0, y0, z0 = int(x), int(np.floor(y)), int(np.floor(z))
    fx, fy, fz = x - x0, y - y0, z - z0
    y0 += radius
    z0 += radius
    gx, gy, gz = 1 - fx, 1 - fy, 1 - fz
    near = (grid[z0, y0, x0] * gx + grid[z0, y0, x0 + 1] * fx) * gy + (grid[z0, y0 + 1, x0] * gx + grid[z0, y0 + 1, x0 + 1] * fx) * fy
    z0 += 1
    far = (grid[z0, y0, x0] * gx + grid[z0, y0, x0 + 1] * fx) * gy + (grid[z0, y0 + 1, x0] * gx + grid[z0, y0 + 1, x0 + 1] * fx) * fy
    value = near * gz + far * fz
    return np.conj(value) if mirrored else value


@njit(**_FAST)
def sample(grid, points, a, out):  # type: ignore[no-untyped-def]
    """Values at A^T k."""
    for p in range(len(points)):
        u, v, w = points[p, 0], points[p, 1], points[p, 2]
        out[p] = _at(
            grid,
            a[0, 0] * u + a[1, 0] * v + a[2, 0] * w,
            a[0, 1] * u + a[1, 1] * v + a[2, 1] * w,
            a[0, 2] * u + a[1, 2] * v + a[2, 2] * w,
        )


@njit(**_FAST)
def products(grid, points, matrices, reference, places, out):  # type: ignore[no-untyped-def]
    """Reference times the conjugate of the turned map, put at `places` of the half transforms `out` (m, Q); a map each."""
    for i in range(len(matrices)):
        a = matrices[i]
        for p in range(len(points)):
            u, v, w = points[p, 0], points[p, 1], points[p, 2]
            value = _at(
                grid,
                a[0, 0] * u + a[1, 0] * v + a[2, 0] * w,
                a[0, 1] * u + a[1, 1] * v + a[2, 1] * w,
                a[0, 2] * u + a[1, 2] * v + a[2, 2] * w,
            )
            out[i, places[p]] = reference[p] * np.conj(value)


@njit(**_FAST)
def overlap(grid, points, weights, reference, a, shift):  # type: ignore[no-untyped-def]
    """Weighted sums of Re(conj(reference) turned and moved map) and of the map's power; shift in boxes."""
    cross, power = 0.0, 0.0
    for p in range(len(points)):
        u, v, w = points[p, 0], points[p, 1], points[p, 2]
        value = _at(
            grid,
            a[0, 0] * u + a[1, 0] * v + a[2, 0] * w,
            a[0, 1] * u + a[1, 1] * v + a[2, 1] * w,
            a[0, 2] * u + a[1, 2] * v + a[2, 2] * w,
        )
        angle = np.float32(-2 * np.pi) * (u * shift[0] + v * shift[1] + w * shift[2])
        z = value * np.conj(reference[p])
        cross += weights[p] * (z.real * np.cos(angle) - z.imag * np.sin(angle))
        power += weights[p] * (value.real * value.real + value.imag * value.imag)
    return cross, power


@njit(**_FAST)
def symmetry_sums(grid, points, shells, operators, a, centre, together, apart):  # type: ignore[no-untyped-def]
    """Per shell |sum over operators|^2 and sum of |.|^2 of the map about `centre` (in boxes), turned by A and the operators."""
    m = np.empty((len(operators), 3, 3), np.float32)
    for g in range(len(operators)):
        m[g] = operators[g] @ a
    for p in range(len(points)):
        u, v, w = points[p, 0], points[p, 1], points[p, 2]
        real, imag, power = np.float32(0), np.float32(0), np.float32(0)
        for g in range(len(operators)):
            b = m[g]
            x = b[0, 0] * u + b[1, 0] * v + b[2, 0] * w
            y = b[0, 1] * u + b[1, 1] * v + b[2, 1] * w
            z = b[0, 2] * u + b[1, 2] * v + b[2, 2] * w
            value = _at(grid, x, y, z)
            angle = np.float32(2 * np.pi) * (x * centre[0] + y * centre[1] + z * centre[2])
            c, s = np.cos(angle), np.sin(angle)
            real += value.real * c - value.imag * s
            imag += value.real * s + value.imag * c
            power += value.real * value.real + value.imag * value.imag
        together[shells[p]] += real * real + imag * imag
        apart[shells[p]] += power
