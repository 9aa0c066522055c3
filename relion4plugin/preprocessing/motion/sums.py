"""Sums of moved frames: plain, weighted by dose, and of the spectra of groups of frames."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from relion4plugin.arrays import array_namespace, fft_module, to_numpy
from relion4plugin.preprocessing.motion.coarse import crop_rectangle
from relion4plugin.preprocessing.motion.dose import table_index
from relion4plugin.preprocessing.motion.interpolation import over_bands


@dataclass(frozen=True)
class SumsPlan:
    """What is summed.

    Parameters
    ----------
    shape : (ny, nx)
        Of the sums, even, at most that of the frames: larger frames are cropped in Fourier space.
    tables : float32 (frames, N_TABLE) or None
        Dose weights over the frequency in px of the sums; None for no weighted sum.
    group : int
        Frames of one spectrum; 0 for none.
    plain : bool
        Whether the unweighted sum is wanted.
    """

    shape: tuple[int, int]
    tables: np.ndarray | None
    group: int
    plain: bool


class FrameSums:
    """Takes the transforms of frames one after the other, in order."""

    def __init__(self, plan: SumsPlan, n_threads: int, xp: Any = np) -> None:
        self._plan, self._threads, self._xp = plan, n_threads, xp
        half = (plan.shape[0], plan.shape[1] // 2 + 1)
        self._grouped = plan.plain or plan.group > 0
        self._group = xp.zeros(half if self._grouped else (0, 0), dtype=np.complex64)
        self._total = xp.zeros(half, dtype=np.complex64) if plan.plain and plan.group else self._group
        self._spectrum = xp.zeros(half, dtype=np.float32) if plan.group else None
        self._weighted = xp.zeros(half if plan.tables is not None else (0, 0), dtype=np.complex64)
        self._count, self._pixels = 0, 1

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx) of the sums."""
        return self._plan.shape

    def add(self, half: Any, shape: tuple[int, int], shift: np.ndarray) -> None:
        """Add the half transform of the next frame, of `shape` (ny, nx), after moving it by `shift` px (x first)."""
        ny, nx = shape
        self._pixels = ny * nx
        fy = np.fft.fftfreq(self._plan.shape[0], d=1 / self._plan.shape[0]) / ny
        fx = np.arange(self._plan.shape[1] // 2 + 1) / nx
        phase_y = np.exp(-2j * np.pi * shift[1] * fy).astype(np.complex64)
        phase_x = np.exp(-2j * np.pi * shift[0] * fx).astype(np.complex64)
        if self._xp is np:
            self._add_compiled(half, phase_y, phase_x)
        else:
            self._add_arrays(half, phase_y, phase_x)
        self._count += 1
        if self._plan.group and self._count % self._plan.group == 0:
            self._close_group()

    def _add_compiled(self, half: np.ndarray, phase_y: np.ndarray, phase_x: np.ndarray) -> None:
        from relion4plugin.preprocessing.motion.kernels import add_rows

        tables = self._plan.tables
        weights = np.zeros(1, dtype=np.float32) if tables is None else tables[self._count]
        beyond = len(half) - len(phase_y)

        def work(rows: tuple[int, int]) -> None:
            add_rows(half, beyond, phase_y, phase_x, weights, self._weighted, self._group, tables is not None, self._grouped, *rows)

        over_bands(work, len(phase_y), self._threads)

    def _add_arrays(self, half: Any, phase_y: np.ndarray, phase_x: np.ndarray) -> None:
        xp = self._xp
        moved = crop_rectangle(half, self._plan.shape) * xp.asarray(phase_y)[:, None] * xp.asarray(phase_x)
        if self._grouped:
            self._group += moved
        if self._plan.tables is not None:
            self._weighted += moved * xp.asarray(self._plan.tables[self._count])[self._index]

    @cached_property
    def _index(self) -> Any:
        return self._xp.asarray(table_index(*self._plan.shape))

    def _close_group(self) -> None:
        self._spectrum += abs(self._group)
        if self._plan.plain:
            self._total += self._group
        self._group[...] = 0

    def plain(self) -> np.ndarray:
        """Return the unweighted sum, float32; a binned pixel holds the mean, not the sum, of those it covers."""
        open_group = self._plan.group and self._count % self._plan.group
        return self._image(self._total + self._group if open_group else self._total)

    def weighted(self) -> np.ndarray:
        """Return the sum weighted by dose, float32 `shape`."""
        return self._image(self._weighted)

    def spectrum(self) -> np.ndarray:
        """Return the sum of |F| of all groups, the last of which may be smaller, float32 (ny, nx // 2 + 1).

        F is the transform divided by the number of pixels of a frame.
        """
        open_group = self._count % self._plan.group
        return to_numpy(self._spectrum + abs(self._group) if open_group else self._spectrum) / np.float32(self._pixels)

    def _image(self, half: Any) -> np.ndarray:
        xp = array_namespace(half)
        threads = {"workers": self._threads} if xp is np else {}
        scale = np.float32(self._plan.shape[0] * self._plan.shape[1] / self._pixels)
        image = to_numpy(fft_module(xp).irfft2(half, s=self._plan.shape, **threads))
        return np.asarray(image * scale, dtype=np.float32)
