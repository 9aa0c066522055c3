"""Sums in 3D Fourier space made consistent: Friedel pairs and point-group symmetry."""

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from relion4plugin.refinement.kernels.symmetry import add_rotated
from relion4plugin.refinement.references import PaddedGrid

SLABS = 4  # per thread, as planes at the poles have less to do


def make_hermitian(grids: np.ndarray) -> None:
    """Add Friedel pairs on the kx = 0 plane, in place, so that data and weight there are consistent.

    Parameters
    ----------
    grids : (..., M, M, M//2+1)
        Complex data or real weights.
    """
    mate = -np.arange(grids.shape[-2])  # negative indices count from the end: the frequency's mate
    plane = grids[..., 0]
    grids[..., 0] = plane + plane[..., mate[:, None], mate].conj()


def symmetrise(
    data: np.ndarray, weight: np.ndarray, grid: PaddedGrid, r_max: int, operators: np.ndarray, threads: int = 1
) -> None:
    """Replace data and weights by the sums over all their rotated copies, in place.

    Parameters
    ----------
    data, weight : complex64 and float32 (..., M, M, M//2+1), contiguous
        Hermitian on the kx = 0 plane (`make_hermitian`).
    grid : PaddedGrid
    r_max : int
        Pixels of the unpadded transform; voxels beyond stay as they are.
    operators : float (m, 3, 3)
        All elements of the point group, the identity among them; sums are not divided by m.
    threads : int
        The result does not depend on it.
    """
    others = operators[np.abs(operators - np.eye(3)).max(axis=(1, 2)) > 1e-6].astype(np.float32)
    if not len(others):
        return
    if not (data.flags.c_contiguous and weight.flags.c_contiguous):
        raise ValueError("symmetrise works in place on contiguous arrays")
    radius = grid.padding * r_max
    edges = np.linspace(-radius, radius + 1, SLABS * max(1, threads) + 1).astype(int)
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for values, weights in zip(data.reshape(-1, *grid.shape), weight.reshape(-1, *grid.shape), strict=True):
            source = _centred(values, weights, radius)
            parts = values.view(np.float32).reshape(*grid.shape, 2)
            jobs = [
                pool.submit(add_rotated, source, others, radius, first, last, parts, weights)
                for first, last in pairwise(edges)
                if last > first
            ]
            for job in jobs:
                job.result()


def _centred(values: np.ndarray, weights: np.ndarray, radius: int) -> np.ndarray:
    """Copy the frequencies up to `radius` to a centred grid with a margin, float32 (2R+3, 2R+3, R+2, 3)."""
    source = np.zeros((2 * radius + 3, 2 * radius + 3, radius + 2, 3), np.float32)
    rows = np.arange(-radius, radius + 1)
    columns = min(radius + 1, values.shape[2])
    for z in rows:
        plane = source[z + radius + 1, 1:-1, :columns]
        plane[..., 0], plane[..., 1] = values[z, rows, :columns].real, values[z, rows, :columns].imag
        plane[..., 2] = weights[z, rows, :columns]
    return source
