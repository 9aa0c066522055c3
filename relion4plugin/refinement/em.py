"""Maximisation by expectation-maximisation: a Wiener average with the reference's own power as prior."""

import numpy as np

from relion4plugin.refinement.references import PaddedGrid, gridding_correction, inverse, shell_means, soften_corners
from relion4plugin.refinement.state import Model

MIN_PRIOR_SHELL = 5  # shells below are not regularised
FLOOR = 1000.0  # weights stay above the radial mean divided by this


def regularised_weight(weight: np.ndarray, tau2: np.ndarray, grid: PaddedGrid, current_size: int, tau2_fudge: float) -> np.ndarray:
    """Add the prior to the weights of one class and keep them off zero.

    Parameters
    ----------
    weight : float32 (M, M//2+1)
    tau2 : float (N//2+1,)

    Returns
    -------
    float64 (M, M//2+1)
    """
    shells = np.minimum(grid.shells(), grid.box // 2)
    tau2 = tau2[shells]
    with np.errstate(divide="ignore"):
        prior = np.where(tau2 > 0, 1.0 / (grid.padding**2 * tau2_fudge * tau2), 1.0 / (0.001 * weight.astype(np.float64)))
    total = weight.astype(np.float64) + np.where((shells >= MIN_PRIOR_SHELL) & np.isfinite(prior), prior, 0.0)
    r_max = current_size // 2
    rings = np.minimum(np.floor(np.sqrt(grid.radius_squared()) / grid.padding).astype(np.int64), r_max - 1)
    inside = grid.inside(current_size)
    means = shell_means(total.ravel()[None, inside], rings.ravel()[inside], r_max)[0]
    return np.maximum(total, means[rings] / FLOOR)


def update_references(
    model: Model, grid: PaddedGrid, data: np.ndarray, weight: np.ndarray, tau2_fudge: float, occupied: np.ndarray
) -> None:
    """Replace all references by their regularised averages, in place; classes without particles become zero.

    Parameters
    ----------
    data, weight : (1, K, M, M//2+1), Hermitian sums over all particles
    occupied : bool (K,), classes with posterior weight in this iteration
    """
    model.references[~occupied] = 0.0
    chosen = np.flatnonzero(occupied)
    if not len(chosen):
        return
    inside = grid.inside(model.current_size)
    transforms = np.zeros((len(chosen), grid.size * (grid.size // 2 + 1)), np.complex64)
    for row, k in enumerate(chosen):
        total = regularised_weight(weight[0, k], model.tau2[k], grid, model.current_size, tau2_fudge).ravel()[inside]
        values = data[0, k].ravel()[inside]
        transforms[row, inside] = np.divide(values, total, out=np.zeros_like(values), where=total > 0)
    maps = soften_corners(inverse(transforms.reshape(-1, grid.size, grid.size // 2 + 1), grid))
    model.references[chosen] = maps / gridding_correction(grid.box, grid.padding)
