"""Frames moved by a smooth field of shifts, by cubic convolution (Keys 1981, IEEE Trans. ASSP 29:1153, a = -1/2)."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace


def move_frame(frame: Any, field: np.ndarray, n_threads: int = 1) -> Any:
    """Return a frame whose every place is moved by the shift there.

    Parameters
    ----------
    frame : float32 (ny, nx)
        numpy or cupy.
    field : float64 (2, 6)
        Shifts in px (x first), as coefficients of (1, u, u^2, v, v^2, uv), see `LocalMotion`; they must change slowly, by much less
        than a px over 32 px.
    n_threads
        Processor cores.
    """
    return _on_processor(frame, field, n_threads) if array_namespace(frame) is np else move_by_arrays(frame, field)


def _on_processor(frame: np.ndarray, field: np.ndarray, n_threads: int) -> np.ndarray:
    from relion4plugin.preprocessing.motion.kernels import move_rows

    moved = np.empty_like(frame)
    along_x, along_y = np.ascontiguousarray(field[0]), np.ascontiguousarray(field[1])

    def work(rows: tuple[int, int]) -> None:
        move_rows(frame, along_x, along_y, rows[0], rows[1], moved)

    over_bands(work, len(frame), n_threads)
    return moved


def over_bands(work: Any, n_rows: int, n_threads: int) -> None:
    """Call `work` with (first, last) of bands of rows, side by side."""
    edges = np.linspace(0, n_rows, n_threads + 1).astype(int)
    bands = list(pairwise(edges))
    if n_threads == 1:
        work(bands[0])
        return
    with ThreadPoolExecutor(max_workers=n_threads) as pool:
        list(pool.map(work, bands))


def move_by_arrays(frame: Any, field: np.ndarray) -> Any:
    """Return the same as `move_frame` by operations on whole arrays of either library."""
    xp = array_namespace(frame)
    ny, nx = frame.shape
    u = xp.arange(nx, dtype=np.float32)[None] / np.float32(nx) - np.float32(0.5)
    v = xp.arange(ny, dtype=np.float32)[:, None] / np.float32(ny) - np.float32(0.5)
    shift_x, shift_y = ((a[0] + a[1] * u + a[2] * u * u) + (a[3] * v + a[4] * v * v) + a[5] * u * v for a in field.tolist())
    place_x, place_y = xp.arange(nx, dtype=np.float32)[None] - shift_x, xp.arange(ny, dtype=np.float32)[:, None] - shift_y
    column, row = xp.floor(place_x).astype(np.int32), xp.floor(place_y).astype(np.int32)
    weights_x, weights_y = _cubic_weights(place_x - column), _cubic_weights(place_y - row)
    moved = xp.zeros_like(frame)
    for j in range(4):
        rows = xp.clip(row + (j - 1), 0, ny - 1)
        for k in range(4):
            moved += weights_y[j] * weights_x[k] * frame[rows, xp.clip(column + (k - 1), 0, nx - 1)]
    return moved


def _cubic_weights(f: Any) -> tuple[Any, Any, Any, Any]:
    g = 1 - f
    return -0.5 * f * g * g, 1 + f * f * (1.5 * f - 2.5), 1 + g * g * (1.5 * g - 2.5), -0.5 * g * f * f
