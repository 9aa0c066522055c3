"""Maximisation by expectation-maximisation: a Wiener average with the reference's own power as prior."""

from collections.abc import Iterator

import numpy as np

from relion4plugin.refinement.references import PaddedGrid, gridding_correction, inverse, soften_corners
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.voxels import ShellMeans, VoxelBlock

MIN_PRIOR_SHELL = 5  # shells below are not regularised
FLOOR = 1000.0  # weights stay above the radial mean divided by this


def _with_prior(weight: np.ndarray, block: VoxelBlock, tau2: np.ndarray | None, grid: PaddedGrid, tau2_fudge: float) -> np.ndarray:
    """Add the prior to the weights of a block, float64 (V,)."""
    values = weight[block.flat].astype(np.float64)
    if tau2 is None:
        return values
    power = tau2[np.minimum(block.shell, grid.box // 2)]
    with np.errstate(divide="ignore"):
        prior = np.where(power > 0, 1.0 / (grid.padding**grid.dimension * tau2_fudge * power), 1.0 / (0.001 * values))
    return values + np.where((block.shell >= MIN_PRIOR_SHELL) & np.isfinite(prior), prior, 0.0)


def regularised_weights(
    weight: np.ndarray, tau2: np.ndarray | None, grid: PaddedGrid, current_size: int, tau2_fudge: float
) -> Iterator[tuple[VoxelBlock, np.ndarray]]:
    """Yield the weights of one class with the prior added and kept off zero, block by block.

    Parameters
    ----------
    weight : float32, of the grid's shape
    tau2 : float (N//2+1,) or None
        Power of the reference per component; None adds no prior.
    tau2_fudge : float
        Factor T on tau2.

    Yields
    ------
    block : VoxelBlock
    weights : float64 (V,)
    """
    flat = weight.reshape(-1)
    r_max = current_size // 2
    radial = ShellMeans(r_max)
    for block in grid.blocks(current_size):
        radial.add(block.ring, _with_prior(flat, block, tau2, grid, tau2_fudge))
    floor = radial.means()[0] / FLOOR
    for block in grid.blocks(current_size):
        yield block, np.maximum(_with_prior(flat, block, tau2, grid, tau2_fudge), floor[block.ring])


def _average(
    data: np.ndarray, weight: np.ndarray, tau2: np.ndarray | None, grid: PaddedGrid, current_size: int, tau2_fudge: float
) -> np.ndarray:
    """Divide the sums of one class by its regularised weights, complex64 of the grid's shape."""
    transform, flat = np.zeros(int(np.prod(grid.shape)), np.complex64), data.reshape(-1)
    for block, total in regularised_weights(weight, tau2, grid, current_size, tau2_fudge):
        values = flat[block.flat]
        transform[block.flat] = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    return transform.reshape(grid.shape)


def _to_maps(transforms: np.ndarray, grid: PaddedGrid, current_size: int, workers: int | None) -> np.ndarray:
    """Transform averages back, fade the corners and divide by the gridding correction."""
    maps = inverse(transforms, grid, current_size=current_size, workers=workers)
    correction = gridding_correction(grid.box, grid.padding, grid.dimension)
    if grid.dimension == 3:  # corners of unpadded volumes are divided by as little as 0.02: they fade last
        maps /= correction
        return soften_corners(maps)
    maps = soften_corners(maps)
    maps /= correction
    return maps


def reconstruct(
    data: np.ndarray,
    weight: np.ndarray,
    grid: PaddedGrid,
    current_size: int,
    tau2: np.ndarray | None = None,
    tau2_fudge: float = 1.0,
    workers: int | None = None,
) -> np.ndarray:
    """Reconstruct one class from its sums.

    Parameters
    ----------
    data, weight : complex64 and float32, of the grid's shape
        Hermitian (and symmetrised) sums over particles.
    grid : PaddedGrid
    current_size : int
        Image size in px; frequencies beyond its half are zero.
    tau2 : float (N//2+1,), optional
        Signal power per component for the Wiener prior; without it the average is not regularised.
    tau2_fudge : float
        Factor T on tau2.
    workers : int, optional
        Threads of the transforms of volumes.

    Returns
    -------
    float32 (N, N) or (N, N, N)
    """
    average = _average(data, weight, tau2, grid, current_size, tau2_fudge)
    return _to_maps(average[None], grid, current_size, workers)[0]


def update_references(
    model: Model,
    grid: PaddedGrid,
    data: np.ndarray,
    weight: np.ndarray,
    tau2_fudge: float,
    occupied: np.ndarray,
    workers: int | None = None,
) -> None:
    """Replace all references by their regularised averages, in place; classes without particles become zero.

    Parameters
    ----------
    data, weight : (1, K, *grid.shape), Hermitian sums over all particles
    occupied : bool (K,), classes with posterior weight in this iteration
    workers : int, optional
        Threads of the transforms of volumes.
    """
    model.references[~occupied] = 0.0
    size = model.current_size
    for group in grid.together(np.flatnonzero(occupied)):
        if len(group):
            transforms = np.stack([_average(data[0, k], weight[0, k], model.tau2[k], grid, size, tau2_fudge) for k in group])
            model.references[group] = _to_maps(transforms, grid, size, workers)
