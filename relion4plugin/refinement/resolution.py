"""How well each class is resolved, and which image size the next iteration uses."""

import numpy as np

from relion4plugin.refinement.references import PaddedGrid, shell_means
from relion4plugin.refinement.state import Model

MIN_SHELL = 5
SIZE_INCREMENT = 10  # shells beyond the resolution
GAIN = 0.0001  # 1/A


def update_spectra(model: Model, grid: PaddedGrid, weight: np.ndarray, tau2_fudge: float, classes: np.ndarray) -> None:
    """Recompute data_vs_prior, the references' noise and the Fourier coverage of some classes, in place.

    Parameters
    ----------
    weight : float32 (K, M, M//2+1)
        Accumulated weights; for VDAM those of the first pseudo half-set.
    """
    n_shells = grid.box // 2 + 1
    voxels = grid.inside(model.current_size)
    shells = grid.shells().ravel()[voxels]
    scale = float(grid.padding**2)
    for k in classes:
        values = weight[k].ravel()[voxels].astype(np.float64)
        tau2 = model.tau2[k][shells]
        ratio = np.where(tau2 > 0, values * scale * tau2_fudge * tau2, 0.001 * values**2)
        mean = shell_means(values[None] * scale, shells, n_shells)[0]
        model.data_vs_prior[k] = shell_means(ratio[None], shells, n_shells)[0]
        model.sigma2_class[k] = np.divide(1.0, mean, out=np.zeros(n_shells), where=mean > 0)
        model.coverage[k] = shell_means((ratio >= 1)[None].astype(float), shells, n_shells)[0]


def first_unresolved(data_vs_prior: np.ndarray) -> np.ndarray:
    """Return for each class the first shell >= 1 whose data do not outweigh the prior, int (K,)."""
    n_shells = data_vs_prior.shape[1]
    below = data_vs_prior[:, 1 : n_shells - 1] < 1
    return np.where(below.any(axis=1), below.argmax(axis=1) + 1, n_shells - 1)


def class_resolutions(model: Model, pixel_size: float) -> np.ndarray:
    """Estimated resolution of each class in A (last shell before data_vs_prior drops below 1); inf where there is none."""
    shell = first_unresolved(model.data_vs_prior) - 1
    with np.errstate(divide="ignore"):
        return np.where(shell > 0, model.box * pixel_size / np.maximum(shell, 0), np.inf)


def update_resolution(model: Model, pixel_size: float, early: bool) -> None:
    """Set the resolution of the run from its best class and count iterations without a gain, in place."""
    shell = max(MIN_SHELL, int((first_unresolved(model.data_vs_prior) - 1).max()))
    gained = shell / (model.box * pixel_size) > model.resolution_shell / (model.box * pixel_size) + GAIN
    model.iterations_without_gain = 0 if gained or early else model.iterations_without_gain + 1
    model.resolution_shell = shell
    model.best_resolution_shell = max(model.best_resolution_shell, shell)


def next_image_size(model: Model) -> int:
    """Return the image size (px, even) that reaches ten shells beyond the resolution."""
    return min(2 * (model.resolution_shell + SIZE_INCREMENT), model.box)


def resolution_of_shell(shell: int, box: int, pixel_size: float) -> float:
    """Resolution of a shell in A; shell 0 gives 999 as in RELION's files."""
    return box * pixel_size / shell if shell > 0 else 999.0
