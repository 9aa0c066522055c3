"""Compiled loops over the pixels of a frame."""

from typing import Any

import numpy as np
from numba import njit

_FAST = {"nogil": True, "fastmath": True, "cache": True}
_BLOCK = 32  # px of a row over which the whole part of the shift is taken as constant


@njit(**_FAST)
def _cubic(f: Any) -> Any:
    """Weights of four neighbours at a fraction f of a step (Catmull-Rom)."""
    half, one = np.float32(0.5), np.float32(1.0)
    g = one - f
    return (
        -half * f * g * g,
        one + f * f * (np.float32(1.5) * f - np.float32(2.5)),
        one + g * g * (np.float32(1.5) * g - np.float32(2.5)),
        -half * g * f * f,
    )


@njit(**_FAST)
def move_rows(frame: Any, along_x: Any, along_y: Any, first: int, last: int, moved: Any) -> None:
    """Write rows first..last of a frame (ny, nx), moved by a smooth field of shifts, into `moved`.

    `along_x` and `along_y` (6,) are the shifts (px) as coefficients of (1, u, u^2, v, v^2, uv). Beyond the edges the outermost
    pixels are repeated.
    """
    ny, nx = frame.shape
    inv_x = np.float32(1.0 / nx)
    for y in range(first, last):
        v = np.float32(y) / np.float32(ny) - np.float32(0.5)
        x0 = np.float32(along_x[0] + along_x[3] * v + along_x[4] * v * v)
        x1, x2 = np.float32(along_x[1] + along_x[5] * v), np.float32(along_x[2])
        y0 = np.float32(along_y[0] + along_y[3] * v + along_y[4] * v * v)
        y1, y2 = np.float32(along_y[1] + along_y[5] * v), np.float32(along_y[2])
        for start in range(0, nx, _BLOCK):
            n = min(_BLOCK, nx - start)
            u = np.float32(start + n // 2) * inv_x - np.float32(0.5)
            column = int(np.floor(-(x0 + u * (x1 + u * x2))))
            row = int(np.floor(-(y0 + u * (y1 + u * y2))))
            target = moved[y, start : start + n]
            if start + column >= 1 and start + n + column + 2 <= nx and y + row >= 1 and y + row + 2 < ny:
                left = start + column - 1
                a = frame[y + row - 1, left : left + n + 3]
                b = frame[y + row, left : left + n + 3]
                c = frame[y + row + 1, left : left + n + 3]
                d = frame[y + row + 2, left : left + n + 3]
                for i in range(n):
                    u = np.float32(start + i) * inv_x - np.float32(0.5)
                    wx = _cubic(-(x0 + u * (x1 + u * x2)) - np.float32(column))
                    wy = _cubic(-(y0 + u * (y1 + u * y2)) - np.float32(row))
                    value = wy[0] * (wx[0] * a[i] + wx[1] * a[i + 1] + wx[2] * a[i + 2] + wx[3] * a[i + 3])
                    value += wy[1] * (wx[0] * b[i] + wx[1] * b[i + 1] + wx[2] * b[i + 2] + wx[3] * b[i + 3])
                    value += wy[2] * (wx[0] * c[i] + wx[1] * c[i + 1] + wx[2] * c[i + 2] + wx[3] * c[i + 3])
                    value += wy[3] * (wx[0] * d[i] + wx[1] * d[i + 1] + wx[2] * d[i + 2] + wx[3] * d[i + 3])
                    target[i] = value
            else:
                for i in range(n):
                    u = np.float32(start + i) * inv_x - np.float32(0.5)
                    wx = _cubic(-(x0 + u * (x1 + u * x2)) - np.float32(column))
                    wy = _cubic(-(y0 + u * (y1 + u * y2)) - np.float32(row))
                    value = np.float32(0.0)
                    for j in range(4):
                        yy = min(max(y + row - 1 + j, 0), ny - 1)
                        for k in range(4):
                            xx = min(max(start + i + column - 1 + k, 0), nx - 1)
                            value += wy[j] * wx[k] * frame[yy, xx]
                    target[i] = value


@njit(**_FAST)
def add_rows(
    half: Any,
    beyond: int,
    phase_y: Any,
    phase_x: Any,
    table: Any,
    weighted: Any,
    plain: Any,
    use_weighted: bool,
    use_plain: bool,
    first: int,
    last: int,
) -> None:
    """Add rows first..last of the transform of a frame, moved by phases, to sums; one is weighted by a table.

    Rows of negative frequency lie `beyond` rows later in `half` than in the sums. The table goes over the frequency in
    cycles per px of the sums, from 0 to the corner.
    """
    ny, width = len(phase_y), len(phase_x)
    steps = np.float32(len(table) - 1) / np.float32(np.sqrt(0.5))
    inv_x = np.float32(0.5 / max(width - 1, 1))
    for y in range(first, last):
        negative = y >= ny // 2
        fy = np.float32(y - ny if negative else y) / np.float32(ny)
        source = half[y + beyond if negative else y, :width]
        factor = phase_y[y]
        if use_plain:
            for x in range(width):
                plain[y, x] += source[x] * (factor * phase_x[x])
        if use_weighted:
            for x in range(width):
                fx = np.float32(x) * inv_x
                place = int(np.sqrt(fy * fy + fx * fx) * steps + np.float32(0.5))
                weighted[y, x] += source[x] * (factor * phase_x[x]) * table[place]
