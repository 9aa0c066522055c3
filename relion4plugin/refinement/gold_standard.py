"""Refinement of two independent halves: what they share, how far they agree, and what that says about signal and noise.

Scheres (2012) J. Struct. Biol. 180, 519-530; solvent correction after Chen et al. (2013) Ultramicroscopy 135, 24-35.
"""

from collections.abc import Iterator

import numpy as np

from relion4plugin.imaging.filters import fsc as map_fsc
from relion4plugin.imaging.filters import randomise_phases
from relion4plugin.imaging.fourier import round_half_away
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.resolution import MIN_SHELL
from relion4plugin.refinement.voxels import ShellMeans, axis_indices

FSC_RANGE = (0.001, 0.999)  # correlations are kept off 0 and 1 before they become a signal-to-noise ratio
JUMP = 3  # shells by which a second rise of the signal-to-noise ratio counts
HIGH_FSC = 0.2
RANDOMISE_BELOW = 0.8  # phases are made random from where the unmasked correlation first falls below
RANDOMISE_MARGIN = 2  # shells after it that are not corrected


def join_low_resolution(
    data_half1: np.ndarray, weight_half1: np.ndarray, data_half2: np.ndarray, weight_half2: np.ndarray, grid: PaddedGrid, shell: int
) -> None:
    """Replace data and weights of both halves by their averages up to a shell, in place.

    Parameters
    ----------
    data_half1, data_half2 : complex64, contiguous, of the grid's shape
    weight_half1, weight_half2 : float32, contiguous, of the grid's shape
    shell : int
        Pixels of the unpadded transform, inclusive.
    """
    for first, second in ((data_half1, data_half2), (weight_half1, weight_half2)):
        if not (first.flags.c_contiguous and second.flags.c_contiguous):
            raise ValueError("halves are joined in place in contiguous arrays")
        one, two = first.reshape(-1), second.reshape(-1)
        for block in grid.blocks(2 * shell, closed=True):
            v = block.flat
            one[v] = two[v] = (one[v] + two[v]) / 2


def _cells(index: np.ndarray, frequency: np.ndarray, padding: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where the cells of the unpadded transform begin along an axis, and their frequencies."""
    cell = round_half_away(frequency / padding)
    starts = np.flatnonzero(np.diff(cell, prepend=cell[0] - 1))
    return starts, cell[starts]


def _plane_averages(data: np.ndarray, weight: np.ndarray, grid: PaddedGrid, radius: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield (cz, B / F summed over the voxels of each cell (cy, cx), shells (cy, cx)) plane by plane of the unpadded grid."""
    index, frequency = axis_indices(grid.size, radius)
    columns = np.arange(min(radius, grid.size // 2) + 1)
    rows, row_cells = _cells(index, frequency, grid.padding)
    starts, column_cells = _cells(columns, columns, grid.padding)
    in_plane = frequency[:, None] ** 2 + columns**2
    cell_radius = row_cells[:, None] ** 2 + column_cells**2
    for cell, first, last in zip(row_cells, rows, [*rows[1:], len(index)], strict=True):
        sums = []
        for array in (data, weight):
            total = np.zeros(in_plane.shape, array.dtype)
            for position in range(first, last):
                inside = frequency[position] ** 2 + in_plane <= radius**2
                total += array[index[position]][index, : len(columns)] * inside
            sums.append(np.add.reduceat(np.add.reduceat(total, starts, axis=1), rows, axis=0))
        average = np.divide(sums[0], sums[1], out=np.zeros_like(sums[0]), where=sums[1] > 0)
        yield int(cell), average, round_half_away(np.sqrt(cell**2 + cell_radius))


def half_fsc(
    data1: np.ndarray, weight1: np.ndarray, data2: np.ndarray, weight2: np.ndarray, grid: PaddedGrid, current_size: int
) -> np.ndarray:
    """Fourier shell correlation of two halves from their sums, averaged to the unpadded grid.

    Parameters
    ----------
    data1, data2 : complex64 (M, M, M//2+1)
    weight1, weight2 : float32 (M, M, M//2+1)
    current_size : int
        Image size, px; 0 beyond its half.

    Returns
    -------
    float64 (N//2+1,)
        1 at shell 0.
    """
    radius, n_shells = grid.padding * (current_size // 2), grid.n_shells
    sums = np.zeros((3, n_shells))
    planes1, planes2 = _plane_averages(data1, weight1, grid, radius), _plane_averages(data2, weight2, grid, radius)
    for (_, one, shells), (_, two, _) in zip(planes1, planes2, strict=True):
        count = np.where(np.arange(one.shape[1]) == 0, 1.0, 2.0)  # columns beyond kx = 0 stand for their Friedel mates too
        index = shells.ravel()
        for row, values in enumerate(((one * two.conj()).real, np.abs(one) ** 2, np.abs(two) ** 2)):
            sums[row] += np.bincount(index, (values * count).ravel(), minlength=n_shells)[:n_shells]
    power = np.sqrt(sums[1] * sums[2])
    curve = np.divide(sums[0], power, out=np.zeros(n_shells), where=power > 0)
    curve[current_size // 2 + 1 :] = 0.0
    curve[0] = 1.0
    return curve


def spectra_from_fsc(
    fsc: np.ndarray, weight: np.ndarray, grid: PaddedGrid, current_size: int, tau2_fudge: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Power of the signal from the agreement of the halves and the weights of one of them.

    Parameters
    ----------
    fsc : float (N//2+1,)
    weight : float32 of the grid's shape
    tau2_fudge : float
        Factor T.

    Returns
    -------
    tau2, data_vs_prior, sigma2 : float64 (N//2+1,)
        ``tau2 = T ssnr sigma2`` and ``data_vs_prior = T ssnr`` with ``ssnr = FSC / (1 - FSC)``; sigma2 is the noise of the average.
    """
    weights, flat = ShellMeans(grid.n_shells), weight.reshape(-1)
    for block in grid.blocks(current_size):
        weights.add(block.shell, flat[block.flat])
    mean = weights.means()[0] * grid.padding**grid.dimension
    sigma2 = np.divide(1.0, mean, out=np.zeros(grid.n_shells), where=mean > 0)
    bounded = np.clip(fsc, *FSC_RANGE)
    data_vs_prior = tau2_fudge * bounded / (1.0 - bounded)
    return data_vs_prior * sigma2, data_vs_prior, sigma2


def joined_fsc(fsc: np.ndarray) -> np.ndarray:
    """Return the correlation of the average of both halves with the truth: sqrt(2 FSC / (FSC + 1)); 0 where FSC is negative."""
    positive = np.clip(fsc, 0.0, 1.0)
    return np.sqrt(2.0 * positive / (positive + 1.0))


def solvent_corrected_fsc(unfil_map1: np.ndarray, unfil_map2: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Correlation of two masked half maps with the share subtracted that the mask alone brings.

    Parameters
    ----------
    unfil_map1, unfil_map2 : float32 (N, N, N)
        Half maps without regularisation.
    mask : float32 (N, N, N)
        Values 0..1.
    rng : numpy.random.Generator
        Source of the random phases.

    Returns
    -------
    float64 (N//2+1,)
        The unmasked curve where that never falls below 0.8.
    """
    unmasked = map_fsc(unfil_map1, unfil_map2)
    low = np.flatnonzero(unmasked[1:] < RANDOMISE_BELOW)
    if not len(low):
        return unmasked
    start = int(low[0]) + 1
    total = map_fsc(unfil_map1 * mask, unfil_map2 * mask)
    noise = map_fsc(randomise_phases(unfil_map1, start, rng) * mask, randomise_phases(unfil_map2, start, rng) * mask)
    corrected = np.divide(total - noise, 1.0 - noise, out=np.zeros_like(total), where=(noise <= total) & (noise < 1.0))
    corrected[: start + RANDOMISE_MARGIN] = total[: start + RANDOMISE_MARGIN]
    return corrected


def resolved_shell(data_vs_prior: np.ndarray) -> int:
    """Return the last shell before data_vs_prior (N//2+1,) first falls below 1, or that of a clear second rise; at least 5."""
    below = np.flatnonzero(data_vs_prior[1:-1] < 1)
    shell = int(below[0]) if len(below) else len(data_vs_prior) - 2
    above = np.flatnonzero(data_vs_prior > 1)
    last = int(above[-1]) if len(above) else 0
    return max(MIN_SHELL, last if last > shell + JUMP else shell)


def high_fsc_at_limit(fsc: np.ndarray, current_size: int) -> bool:
    """Tell whether the halves still agree (FSC > 0.2) at the last shell but one of the images used."""
    return bool(fsc[current_size // 2 - 1] > HIGH_FSC)


def size_increment(fsc: np.ndarray, increment: int) -> int:
    """Return how many shells beyond the resolution images reach: more where the curve falls slowly from 0.5 to 0.143."""

    def first_below(threshold: float) -> int:
        below = np.flatnonzero(fsc < threshold)
        return int(below[0]) if len(below) else len(fsc) - 1

    return max(increment, first_below(0.143) - first_below(0.5) + 5)
