"""Local resolution: half-map correlations in overlapping soft spheres, and a map filtered by them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.fft
import scipy.ndimage

from relion4plugin.errors import UserError
from relion4plugin.imaging.filters import fsc, randomise_phases
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.postprocessing.fsc_curves import THRESHOLD, correct_for_mask
from relion4plugin.postprocessing.maps import HalfMaps
from relion4plugin.postprocessing.postprocess import fsc_weights, lowpass_weights, mtf_values
from relion4plugin.postprocessing.shells import radii
from relion4plugin.progress import Progress, Silent

_ARRAYS_PER_WINDOW = 12  # float32 arrays of a window's size that one position needs while its curves are computed


@dataclass(frozen=True)
class LocalResolutionSettings:
    """Lengths in A, B-factor in A^2.

    Spheres lie `sampling` apart; their `radius` and `edge` not positive: half the sampling, and the sampling. Phases are random
    beyond `randomise_at`. Resolutions are where a curve falls below `threshold`, at worst `worst`. `mtf_pixel_size` not positive:
    that of the maps. `memory` in GiB bounds the windows held at a time.
    """

    sampling: float = 25.0
    radius: float = -1.0
    edge: float = -1.0
    randomise_at: float = 25.0
    worst: float = 50.0
    threshold: float = THRESHOLD
    bfactor: float = 0.0
    mtf_pixel_size: float = -1.0
    seed: int = 0
    memory: float = 0.5


@dataclass(frozen=True)
class LocalResolution:
    """Maps float32 (N, N, N): resolution in A (0 where no sphere reaches) and the filtered density (0 there too).

    `positions` (n, 3) are the centres in voxels from the box centre, `values` (n,) their resolutions in A.
    """

    resolution: np.ndarray
    filtered: np.ndarray
    positions: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class _Window:
    """The soft sphere in its box of `size` voxels, and the centres (n, 3) that it is put on."""

    weight: np.ndarray
    centres: np.ndarray

    @property
    def size(self) -> int:
        return int(self.weight.shape[0])


def local_resolution(
    halves: HalfMaps,
    mask: np.ndarray | None,
    settings: LocalResolutionSettings,
    mtf: np.ndarray | None = None,
    progress: Progress | None = None,
) -> LocalResolution:
    """Estimate the resolution in every part of a map and filter each part accordingly.

    At each position the halves are multiplied by a soft sphere, and their correlation is corrected by that of the same maps with
    random phases (Chen et al. 2013). Only the box around the sphere is transformed. Frequencies 1/d of overlapping spheres are
    averaged with the spheres as weights. Spheres of about the same resolution share one filter made of their mean curve, so the
    cost of the filtered map does not grow with the number of spheres.

    Parameters
    ----------
    halves : HalfMaps
        Unfiltered half maps.
    mask : float32 (N, N, N) or None
        Only spheres that touch it (above 0.5) are looked at.
    settings : LocalResolutionSettings
        How.
    mtf : float64 (m, 2) or None
        Detector curve by which the filtered map is divided.
    progress : Progress, optional
        Told how many spheres are done.

    Returns
    -------
    LocalResolution

    Raises
    ------
    UserError
        If the spheres do not fit into the box or none touches the mask.
    """
    progress = progress or Silent()
    window = _window(halves, mask, settings)
    curves = _local_curves(halves, window, settings, progress)
    shells = crossing(curves, settings.threshold)
    extent = window.size * halves.pixel_size
    shells = np.maximum(shells, extent / settings.worst)
    total, frequency = np.zeros_like(halves.first), np.zeros_like(halves.first)
    _add_windows(total, window, window.centres, np.ones(len(shells)))
    _add_windows(frequency, window, window.centres, shells / extent)
    reached = total > 1e-3
    resolution = np.where(reached, total / np.where(reached, frequency, 1), 0).astype(np.float32)
    filtered = _filtered(halves, window, curves, shells, settings, mtf)
    filtered = np.where(reached, filtered / np.where(reached, total, 1), 0).astype(np.float32)
    progress.finish()
    return LocalResolution(resolution, filtered, window.centres - halves.box // 2, extent / shells)


def crossing(curves: np.ndarray, threshold: float) -> np.ndarray:
    """Where curves first fall below a threshold, linear between shells.

    Parameters
    ----------
    curves : float (n, S)
        Correlations per shell; shell 0 is not judged.
    threshold : float
        For example 0.143.

    Returns
    -------
    float64 (n,)
        Shells, from 0 to S - 1 (a curve that never falls below).
    """
    below = curves < threshold
    below[:, 0] = False
    last = curves.shape[1] - 1
    first = np.where(below.any(axis=1), below.argmax(axis=1), last)
    rows = np.arange(len(curves))
    before, at = curves[rows, first - 1], curves[rows, first]
    drop = np.where(before > at, before - at, 1.0)
    inner = first - 1 + np.clip((before - threshold) / drop, 0, 1)
    return np.where(below.any(axis=1), np.where(first == 1, 1.0, inner), last).astype(np.float64)


def _window(halves: HalfMaps, mask: np.ndarray | None, settings: LocalResolutionSettings) -> _Window:
    radius = settings.radius if settings.radius > 0 else 0.5 * settings.sampling
    edge = settings.edge if settings.edge > 0 else settings.sampling
    radius_px, edge_px = max(1.0, radius / halves.pixel_size), max(1.0, edge / halves.pixel_size)
    step = max(1, round(settings.sampling / halves.pixel_size))
    n = halves.box
    reach = n / 2 - radius_px
    if reach < step:
        raise UserError(
            f"the box of {n * halves.pixel_size:.0f} A is too small for spheres {settings.sampling:g} A apart: lower --locres_sampling"
        )
    size = 2 * scipy.fft.next_fast_len(int(np.ceil(radius_px + edge_px)) + 1, real=True)
    line = np.arange(-(int(reach) // step), int(reach) // step + 1) * step
    centres = np.stack(np.meshgrid(line, line, line, indexing="ij"), axis=-1).reshape(-1, 3)
    centres = centres[(centres**2).sum(axis=1) <= reach**2] + n // 2
    if mask is not None:
        near = scipy.ndimage.distance_transform_edt(mask <= 0.5) <= radius_px
        centres = centres[near[tuple(centres.T)]]
    if len(centres) == 0:
        raise UserError("no sphere of the local resolution touches the mask: give a mask of this map, or lower --locres_sampling")
    return _Window(soft_sphere(size, radius_px, edge_px), centres)


def _local_curves(halves: HalfMaps, window: _Window, settings: LocalResolutionSettings, progress: Progress) -> np.ndarray:
    """Corrected correlations of all windows, float64 (n, size//2+1)."""
    size, rng = window.size, np.random.default_rng(settings.seed)
    extent = halves.box * halves.pixel_size
    from_shell = max(1, round(extent / settings.randomise_at))
    maps = [halves.first, halves.second]
    maps += [randomise_phases(half, from_shell, rng) for half in maps]
    views = [np.lib.stride_tricks.sliding_window_view(np.pad(one, size // 2), window.weight.shape) for one in maps]
    chunk = max(1, int(settings.memory * 2**30 / (4 * _ARRAYS_PER_WINDOW * size**3)))
    random_from = int(np.ceil(size * halves.pixel_size / settings.randomise_at))
    progress.start("Local resolution", len(window.centres))
    curves = np.empty((len(window.centres), size // 2 + 1))
    for start in range(0, len(window.centres), chunk):
        # The padding makes a centre the first voxel of its window.
        corners = tuple(window.centres[start : start + chunk].T)
        masked = fsc(views[0][corners] * window.weight, views[1][corners] * window.weight)
        random = fsc(views[2][corners] * window.weight, views[3][corners] * window.weight)
        curves[start : start + chunk] = correct_for_mask(masked, random, random_from)
        progress.advance(len(masked))
    return curves


def _clipped(centres: np.ndarray, size: int, n: int) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Slices of the box and of the window that lie on each other, for each centre."""
    for centre in centres:
        low = centre - size // 2
        box = tuple(slice(max(0, int(a)), min(n, int(a) + size)) for a in low)
        yield box, tuple(slice(s.start - int(a), s.stop - int(a)) for s, a in zip(box, low, strict=True))


def _add_windows(target: np.ndarray, window: _Window, centres: np.ndarray, factors: np.ndarray) -> None:
    """Add the window times a factor at each centre, in place."""
    for (box, part), factor in zip(_clipped(centres, window.size, target.shape[0]), factors, strict=True):
        target[box] += np.float32(factor) * window.weight[part]


def _filtered(
    halves: HalfMaps,
    window: _Window,
    curves: np.ndarray,
    shells: np.ndarray,
    settings: LocalResolutionSettings,
    mtf: np.ndarray | None,
) -> np.ndarray:
    """Sum of the filtered maps, each times the windows that share its filter."""
    n, ratio = halves.box, window.size / halves.box
    r = radii(n)
    transform = scipy.fft.rfftn(halves.average())
    if mtf is not None:
        transform /= mtf_values(n, halves.pixel_size, mtf, settings.mtf_pixel_size)
    transform *= np.exp(np.float32(-settings.bfactor / 4) * np.minimum(r, n / 2) ** 2 / np.float32((n * halves.pixel_size) ** 2))
    total = np.zeros_like(halves.first)
    bins = np.rint(shells).astype(int)
    for one in np.unique(bins):
        chosen = bins == one
        weights = np.interp(r * np.float32(ratio), np.arange(curves.shape[1]), fsc_weights(curves[chosen].mean(axis=0)), right=0)
        weights *= lowpass_weights(n, float(shells[chosen].mean()) / ratio, 2.0)
        share = np.zeros_like(total)
        _add_windows(share, window, window.centres[chosen], np.ones(int(chosen.sum())))
        total += share * scipy.fft.irfftn(transform * weights.astype(np.float32), s=total.shape)
    return total
