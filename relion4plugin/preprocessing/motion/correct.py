"""Motion correction of one movie: alignment of frames and patches, and the corrected sums."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from relion4plugin.arrays import device_namespace, fft_module
from relion4plugin.errors import UserError
from relion4plugin.preprocessing.motion.coarse import coarse_transform, plan_coarse
from relion4plugin.preprocessing.motion.correlation import frequencies
from relion4plugin.preprocessing.motion.dose import dose_tables
from relion4plugin.preprocessing.motion.frames import MovieFrames, MovieSource
from relion4plugin.preprocessing.motion.interpolation import move_frame
from relion4plugin.preprocessing.motion.local import Alignment, align_patches
from relion4plugin.preprocessing.motion.power_spectrum import finish_power_spectrum
from relion4plugin.preprocessing.motion.sums import FrameSums, SumsPlan
from relion4plugin.preprocessing.motion.whole_frame import align_frames, sum_of

_LEAST_FRAMES = 2
_REACH = 0.2  # of the shorter side: no frame is looked for farther away


@dataclass(frozen=True)
class MotionSettings:
    """How movies are corrected.

    Parameters
    ----------
    pixel_size, voltage
        A per px of the movie, kV.
    bfactor
        px^2 of the corrected sum; damps fine detail in the alignment.
    patches : (columns, rows)
        (1, 1) for whole frames only.
    group
        Frames averaged before patches are aligned.
    bin_factor
        Px of the movie per px of the sum.
    exposure, before
        e/A^2 of a frame, and before the first frame of the movie.
    weighted, plain
        Whether the sums with and without dose weighting are wanted.
    spectrum_group
        Frames of one power spectrum; 0 for no spectra.
    gpu
        Number of a graphics card; None for the processor.
    """

    pixel_size: float
    voltage: float
    bfactor: float = 150.0
    patches: tuple[int, int] = (1, 1)
    group: int = 1
    bin_factor: float = 1.0
    exposure: float = 1.0
    before: float = 0.0
    weighted: bool = True
    plain: bool = False
    spectrum_group: int = 0
    gpu: int | None = None


@dataclass(frozen=True)
class CorrectedMovie:
    """What came out.

    Shifts move a frame onto the first one; px of the movie, x first. Images are float32 (ny, nx), with `pixel_size` in A.

    Parameters
    ----------
    shape
        (ny, nx) of the frames.
    shifts : float64 (frames, 2)
        Of whole frames.
    local
        Local motion, None where there is none; its shifts are those of groups at `times` (frames since the first one).
    hot : bool (ny, nx)
        Pixels that were found to be hot or dead.
    """

    shape: tuple[int, int]
    shifts: np.ndarray
    local: Alignment | None
    times: np.ndarray
    hot: np.ndarray
    pixel_size: float
    plain: np.ndarray | None
    weighted: np.ndarray | None
    spectrum: np.ndarray | None
    spectrum_pixel_size: float


def correct_movie(source: MovieSource, settings: MotionSettings, n_threads: int = 1) -> CorrectedMovie:
    """Correct one movie.

    Raises
    ------
    UserError
        If the movie is damaged, has no pixels to go by, or has fewer than two groups of frames.
    """
    times = group_times(source.last - source.first, settings.group)
    if len(times) < _LEAST_FRAMES:
        raise UserError(
            f"{source.path}: {source.last - source.first} frames make {len(times)} group(s) to align, expected at least {_LEAST_FRAMES}: "
            "set group_frames lower, or leave this movie out"
        )
    xp = device_namespace(settings.gpu)
    frames = MovieFrames(source, n_threads)
    shifts, local = _align(frames, settings, times, n_threads, xp)
    sums = _sum(frames, settings, source.first, shifts, local, n_threads, xp)
    size = settings.pixel_size * settings.bin_factor
    spectrum, spectrum_size = finish_power_spectrum(sums.spectrum(), sums.shape[1], size) if settings.spectrum_group else (None, 0.0)
    return CorrectedMovie(
        shape=frames.shape,
        shifts=shifts,
        local=local,
        times=times,
        hot=frames.hot,
        pixel_size=size,
        plain=sums.plain() if settings.plain or not settings.weighted else None,
        weighted=sums.weighted() if settings.weighted else None,
        spectrum=spectrum,
        spectrum_pixel_size=spectrum_size,
    )


def group_times(n_frames: int, group: int) -> np.ndarray:
    """Return the middle of each group in frames since the first one; frames left over belong to the last group."""
    count = max(1, n_frames // group)
    begins = np.arange(count) * group
    ends = np.append(begins[1:], n_frames)
    return np.asarray((begins + ends - 1) / 2.0)


def _align(
    frames: MovieFrames, settings: MotionSettings, times: np.ndarray, n_threads: int, xp: Any
) -> tuple[np.ndarray, Alignment | None]:
    plan = plan_coarse(frames.shape, settings.bin_factor)
    transforms = [coarse_transform(xp.asarray(frames.read(number)), plan, n_threads) for number in range(len(frames))]
    bfactor = settings.bfactor * settings.bin_factor**2
    grid = frequencies(plan.shape, plan.step, bfactor, xp)
    shifts = align_frames(transforms, grid, _REACH * min(frames.shape))
    if settings.patches == (1, 1):
        return shifts, None
    begins = [*range(0, settings.group * len(times), settings.group), len(frames)]
    groups = [sum_of(transforms[a:b], grid, shifts[a:b]) for a, b in pairwise(begins)]
    return shifts, align_patches(groups, grid, times, settings.patches[::-1], bfactor)


def _sum(
    frames: MovieFrames, settings: MotionSettings, first: int, shifts: np.ndarray, local: Alignment | None, n_threads: int, xp: Any
) -> FrameSums:
    tables = None
    if settings.weighted:
        ends = settings.before + settings.exposure * (first + 1 + np.arange(len(frames)))
        tables = dose_tables(ends, settings.pixel_size * settings.bin_factor, settings.voltage)
    plain = settings.plain or not settings.weighted
    plan = SumsPlan(binned_shape(frames.shape, settings.bin_factor), tables, settings.spectrum_group, plain)
    sums = FrameSums(plan, n_threads, xp)
    fft = fft_module(xp)
    threads = {"workers": n_threads} if xp is np else {}
    for number, shift in enumerate(shifts):
        frame = xp.asarray(frames.read(number))
        if local is None:
            sums.add(fft.rfft2(frame, **threads), frames.shape, shift)
            continue
        field = local.model.at_frame(float(number))
        field[:, 0] += shift
        sums.add(fft.rfft2(move_frame(frame, field, n_threads), **threads), frames.shape, np.zeros(2))
    return sums


def binned_shape(shape: tuple[int, int], bin_factor: float) -> tuple[int, int]:
    """Return the even size (ny, nx) of the corrected sum."""
    ny, nx = (int(n / bin_factor) for n in shape)
    return ny - ny % 2, nx - nx % 2
