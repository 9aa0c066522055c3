"""A field seen through a smooth displacement: cubic B-spline interpolation by a compiled kernel."""

from functools import cache
from typing import Any

import numpy as np

STEP = 32  # px between nodes, between which displacement is linear


def spline_gain(frequencies_y: np.ndarray, frequencies_x: np.ndarray) -> np.ndarray:
    """Filter that turns the transform of an image into that of its cubic B-spline coefficients.

    Parameters
    ----------
    frequencies_y, frequencies_x : numpy.ndarray
        float (H,) and (W//2+1,), cycles per px.

    Returns
    -------
    numpy.ndarray
        float32 (H, W//2+1).
    """
    y, x = (3.0 / (2.0 + np.cos(2 * np.pi * f)) for f in (frequencies_y, frequencies_x))
    return (y[:, None] * x).astype(np.float32)


def node_points(height: int, width: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Places (m, 2) x, y of the nodes that cover a frame, every STEP px, and how they lie (rows, columns)."""
    y, x = (np.arange(-(-n // STEP) + 1) * float(STEP) for n in (height, width))
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    return grid.reshape(-1, 2), (len(y), len(x))


def warp(coefficients: np.ndarray, origins: np.ndarray, height: int, width: int) -> np.ndarray:
    """Sample a field at displaced places.

    Parameters
    ----------
    coefficients : numpy.ndarray
        float32 (H, W): B-spline coefficients of the field.
    origins : numpy.ndarray
        float (rows, columns, 2): for each node of the frame the place x, y in the field that is seen there.
    height, width : int
        Of the frame.

    Returns
    -------
    numpy.ndarray
        float32 (height, width).

    Raises
    ------
    ValueError
        If a place has less than two px of field about it.
    """
    limit = np.array(coefficients.shape[::-1]) - 3
    seen = origins[: (height - 1) // STEP + 2, : (width - 1) // STEP + 2]
    inside = seen - np.clip(seen, 1, limit)
    if np.abs(inside).max() > STEP:  # nodes beyond the last pixel may lie outside
        raise ValueError("the field is too small for its displacement")
    out = np.empty((height, width), np.float32)
    _kernel()(np.ascontiguousarray(coefficients), np.ascontiguousarray(origins, dtype=np.float32), out, np.float32(STEP))
    return out


@cache
def _kernel() -> Any:
    """Compile the interpolation; numba is imported only when something is simulated."""
    import numba

    @numba.njit(cache=False, nogil=True, fastmath=True)
    def sample(field, origins, out, step):  # type: ignore[no-untyped-def]
        height, width = out.shape
        columns = origins.shape[1]
        cell = int(step)
        top, left = field.shape[0] - 3, field.shape[1] - 3
        row = np.empty((columns, 2), np.float32)
        sixth = np.float32(1.0 / 6.0)
        one, two, three, four = np.float32(1.0), np.float32(2.0), np.float32(3.0), np.float32(4.0)
        for y in range(height):
            j = y // cell
            fy = np.float32(y - j * cell) / step
            for i in range(columns):
                row[i, 0] = origins[j, i, 0] * (one - fy) + origins[j + 1, i, 0] * fy
                row[i, 1] = origins[j, i, 1] * (one - fy) + origins[j + 1, i, 1] * fy
            for i in range(columns - 1):
                dx, dy = (row[i + 1, 0] - row[i, 0]) / step, (row[i + 1, 1] - row[i, 1]) / step
                for x in range(i * cell, min((i + 1) * cell, width)):
                    along = np.float32(x - i * cell)
                    sx, sy = row[i, 0] + dx * along, row[i, 1] + dy * along
                    x0, y0 = min(max(int(np.floor(sx)), 1), left), min(max(int(np.floor(sy)), 1), top)
                    t, s = sx - np.float32(x0), sy - np.float32(y0)
                    ax, bx = one - t, t
                    wx0, wx3 = ax * ax * ax, bx * bx * bx
                    wx1 = four - three * bx * bx * (two - bx)
                    wx2 = four - three * ax * ax * (two - ax)
                    ay, by = one - s, s
                    wy0, wy3 = ay * ay * ay * sixth, by * by * by * sixth
                    wy1 = (four - three * by * by * (two - by)) * sixth
                    wy2 = (four - three * ay * ay * (two - ay)) * sixth
                    a = field[y0 - 1, x0 - 1] * wx0 + field[y0 - 1, x0] * wx1 + field[y0 - 1, x0 + 1] * wx2 + field[y0 - 1, x0 + 2] * wx3
                    b = field[y0, x0 - 1] * wx0 + field[y0, x0] * wx1 + field[y0, x0 + 1] * wx2 + field[y0, x0 + 2] * wx3
                    c = field[y0 + 1, x0 - 1] * wx0 + field[y0 + 1, x0] * wx1 + field[y0 + 1, x0 + 1] * wx2 + field[y0 + 1, x0 + 2] * wx3
                    d = field[y0 + 2, x0 - 1] * wx0 + field[y0 + 2, x0] * wx1 + field[y0 + 2, x0 + 1] * wx2 + field[y0 + 2, x0 + 2] * wx3
                    out[y, x] = (a * wy0 + b * wy1 + c * wy2 + d * wy3) * sixth

    return sample
