"""Frames made small for the alignment: pixels summed in blocks, then cropped in Fourier space."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace, fft_module

_KEPT = 0.15  # cycles per px of the corrected sum; beyond, the default B-factor leaves less than 0.2 %


@dataclass(frozen=True)
class CoarsePlan:
    """How small frames are made.

    `block` px are summed in y and x; the transform of `blocked` (ny, nx) is cropped to `shape` (ny, nx). `step` (y, x) is
    the size of a small pixel in px of the movie.
    """

    block: int
    blocked: tuple[int, int]
    shape: tuple[int, int]
    step: tuple[float, float]


def plan_coarse(shape: tuple[int, int], bin_factor: float) -> CoarsePlan:
    """Choose the sizes for frames of `shape` (ny, nx), of which the corrected sum is binned by `bin_factor`."""
    kept = _KEPT / bin_factor  # cycles per px of the movie
    block = max(1, int(0.5 / (1.6 * kept)))
    blocked = (shape[0] // block, shape[1] // block)
    small = [min(n - n % 2, max(32, 2 * int(np.ceil(n * block * kept)))) for n in blocked]
    step = (blocked[0] * block / small[0], blocked[1] * block / small[1])
    return CoarsePlan(block, blocked, (small[0], small[1]), step)


def block_sums(frame: Any, block: int) -> Any:
    """Sum squares of pixels; rows and columns that fill no square are left out."""
    ny, nx = (n - n % block for n in frame.shape)
    rows = frame[0:ny:block]
    for i in range(1, block):
        rows = rows + frame[i:ny:block]
    columns = rows[:, 0:nx:block]
    for i in range(1, block):
        columns = columns + rows[:, i:nx:block]
    return columns


def crop_rectangle(half: Any, shape: tuple[int, int]) -> Any:
    """Cut the low frequencies of `shape` (ny, nx), both even, out of a half transform; values are not scaled."""
    ny, nx = shape
    xp = array_namespace(half)
    if half.shape[0] == ny:
        return half[:, : nx // 2 + 1]
    return xp.concatenate([half[: ny // 2, : nx // 2 + 1], half[half.shape[0] - ny // 2 :, : nx // 2 + 1]])


def coarse_transform(frame: Any, plan: CoarsePlan, workers: int) -> Any:
    """Return the half transform of a frame made small, complex64 (ny, nx // 2 + 1)."""
    xp = array_namespace(frame)
    small = block_sums(frame, plan.block)
    small = small - small.mean()
    threads = {"workers": workers} if xp is np else {}
    return xp.ascontiguousarray(crop_rectangle(fft_module(xp).rfft2(small, **threads), plan.shape))
