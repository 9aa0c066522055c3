"""Local motion: patches are aligned on their own sums, guided by one smooth model for all of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace, fft_module
from relion4plugin.preprocessing.motion.correlation import Frequencies, correlation_window, frequencies, peak_of_window, phases
from relion4plugin.preprocessing.motion.model import LocalMotion, fit_local_motion
from relion4plugin.preprocessing.motion.whole_frame import sum_of

_OVERLAP = 1.3  # side of a patch over the distance of patches
_ROUNDS = 4
_STILL = 0.05  # px of the movie
_FIRST_WINDOW = (8, 1.0)  # steps to either side and their length in small pixels
_NEXT_WINDOW = (6, 0.5)
_LEAST = 32  # small pixels of a patch


@dataclass(frozen=True)
class Patches:
    """What was measured: centres (patches, 2) in px of the movie, x first; shifts (patches, times, 2) beyond those of the frame."""

    centres: np.ndarray
    shifts: np.ndarray


@dataclass(frozen=True)
class Alignment:
    """Local motion of one movie, with the rms (px) of what the model leaves of the measurements."""

    model: LocalMotion
    patches: Patches
    rms: float


def align_patches(
    transforms: list[Any], grid: Frequencies, times: np.ndarray, n_patches: tuple[int, int], bfactor: float
) -> Alignment | None:
    """Return the local motion; None where patches would be too small to be aligned.

    The reference of a patch is the sum of its frames at the shifts of the model so far, so that each round sees a sharper
    image, and a patch without contrast is carried by the others.

    Parameters
    ----------
    transforms
        Half transforms of frames or sums of a few, made small, and aligned as a whole.
    grid
        Their frequencies.
    times : float (times,)
        Their middles in frames of the movie since the first one.
    n_patches : (rows, columns)
        Grid of patches.
    bfactor : float
        px^2 of the movie.
    """
    cuts = [_cuts(n, count) for n, count in zip(grid.shape, n_patches, strict=True)]
    if cuts[0][1] < _LEAST or cuts[1][1] < _LEAST:
        return None
    size = (cuts[0][1], cuts[1][1])
    small = frequencies(size, grid.step, bfactor, array_namespace(grid.fy))
    corners = [(y, x) for y in cuts[0][0] for x in cuts[1][0]]
    cut = _cut_patches(transforms, grid, corners, size)
    middle = np.array([[x + size[1] / 2, y + size[0] / 2] for y, x in corners])
    extent = np.array(grid.shape[::-1])
    u, v = (middle / extent - 0.5).T
    model = LocalMotion(np.zeros((2, 6, 3)))
    for round_ in range(_ROUNDS):
        window = _FIRST_WINDOW if round_ == 0 else _NEXT_WINDOW
        guess = model.shifts(u[:, None], v[:, None], times[None])
        measured = np.stack([_measure(patch, small, known, window) for patch, known in zip(cut, guess, strict=True)])
        before = guess
        model, residuals = fit_local_motion(u, v, times, measured)
        change = model.shifts(u[:, None], v[:, None], times[None]) - before
        if np.sqrt(np.mean(change**2)) < _STILL:
            break
    rms = float(np.sqrt(np.mean(np.sum(residuals**2, axis=-1))))
    return Alignment(model, Patches(middle * np.array(grid.step[::-1]), measured - measured[:, :1]), rms)


def _cuts(n: int, count: int) -> tuple[list[int], int]:
    """Return where patches begin along an axis of n small pixels, and their even side."""
    side = min(n, int(_OVERLAP * n / count))
    side -= side % 2
    begins = [round((i + 0.5) * n / count - side / 2) for i in range(count)]
    return [min(max(begin, 0), n - side) for begin in begins], side


def _cut_patches(transforms: list[Any], grid: Frequencies, corners: list[tuple[int, int]], size: tuple[int, int]) -> list[list[Any]]:
    """Return the transforms of all frames of each patch; edges are faded, as they stand still."""
    xp = array_namespace(grid.fy)
    fft = fft_module(xp)
    fade = xp.asarray(np.outer(_fade(size[0]), _fade(size[1])), dtype=np.float32)
    cut: list[list[Any]] = [[] for _ in corners]
    for half in transforms:
        image = fft.irfft2(half, s=grid.shape)
        for patch, (y, x) in zip(cut, corners, strict=True):
            part = image[y : y + size[0], x : x + size[1]]
            patch.append(fft.rfft2((part - part.mean()) * fade))
    return cut


def _fade(n: int) -> np.ndarray:
    """Return a window that rises over a sixth of its length at either end."""
    distance = np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5) / (n / 6)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(distance, 1.0)))


def _measure(patch: list[Any], grid: Frequencies, guess: np.ndarray, window: tuple[int, float]) -> np.ndarray:
    """Return the shift of each frame of a patch (frames, 2), looked for about `guess`."""
    total = sum_of(patch, grid, guess)
    measured = np.empty_like(guess)
    for i, half in enumerate(patch):
        moved = half * phases(grid, guess[i])
        product = (total - moved) * moved.conj() * grid.weights
        peak, _ = peak_of_window(correlation_window(product, grid, *window))
        measured[i] = guess[i] + peak * window[1] * np.array(grid.step[::-1])
    return measured
