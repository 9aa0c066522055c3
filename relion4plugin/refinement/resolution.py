"""How well each class is resolved, and which image size the next iteration uses."""

import numpy as np

from relion4plugin.imaging.fourier import round_half_away
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.voxels import ShellMeans

MIN_SHELL = 5
SIZE_INCREMENT = 10  # shells beyond the resolution
SMALL_INCREMENT, INCREMENT_SHARE = 4, 0.07  # of an initial model: ten shells of a small box are most of it, and fill with noise
GAIN = 0.0001  # 1/A
CERTAIN = 0.1  # average maximum of the posterior


def update_spectra(
    model: Model, grid: PaddedGrid, weight: np.ndarray, tau2_fudge: float, classes: np.ndarray, other_half: np.ndarray | None = None
) -> None:
    """Recompute data_vs_prior, the references' noise and the Fourier coverage of some classes, in place.

    Parameters
    ----------
    weight : float32 (K, *grid.shape)
        Accumulated weights; for VDAM those of the first pseudo half-set.
    other_half : float32 (K, *grid.shape), optional
        Weights of the second pseudo half-set, to judge the whole mini-batch.
    """
    scale = float(grid.padding**grid.dimension)
    for k in classes:
        spectra = ShellMeans(grid.n_shells, 3)
        for block in grid.blocks(model.current_size):
            values = weight[k].reshape(-1)[block.flat].astype(np.float64)
            if other_half is not None:
                values += other_half[k].reshape(-1)[block.flat]
            tau2 = model.tau2[k][block.shell]
            ratio = np.where(tau2 > 0, values * scale * tau2_fudge * tau2, 0.001 * values**2)
            spectra.add(block.shell, ratio, values * scale, (ratio >= 1).astype(np.float32))
        model.data_vs_prior[k], mean, model.coverage[k] = spectra.means()
        model.sigma2_class[k] = np.divide(1.0, mean, out=np.zeros(grid.n_shells), where=mean > 0)


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


def update_resolution(model: Model, pixel_size: float, early: bool, resolved: int | None = None) -> None:
    """Set the resolution of the run and count iterations without a gain, in place.

    Parameters
    ----------
    pixel_size : float
        A.
    early : bool
        No iteration counts as one without a gain yet.
    resolved : int, optional
        Last resolved shell, where half maps tell it; without it that of the best class.
    """
    if resolved is None:
        resolved = int((first_unresolved(model.data_vs_prior) - 1).max())
    shell = max(MIN_SHELL, resolved)
    gained = shell / (model.box * pixel_size) > model.resolution_shell / (model.box * pixel_size) + GAIN
    model.iterations_without_gain = 0 if gained or early else model.iterations_without_gain + 1
    model.resolution_shell = shell
    model.best_resolution_shell = max(model.best_resolution_shell, shell)


def size_increment(settings: RefinementSettings, box: int) -> int:
    """Return how many shells beyond the resolution images reach."""
    if settings.size_increment > 0:
        return settings.size_increment
    if not settings.de_novo:
        return SIZE_INCREMENT
    return min(SIZE_INCREMENT, max(SMALL_INCREMENT, int(round_half_away(INCREMENT_SHARE * box))))


def next_image_size(model: Model, increment: int = SIZE_INCREMENT, *, high_fsc_at_limit: bool = False) -> int:
    """Return the image size (px, even) of the next iteration.

    Parameters
    ----------
    increment : int
        Shells beyond the resolution.
    high_fsc_at_limit : bool
        The half maps still agree at the last shell used: when poses are certain too, a quarter of all shells is added instead.
    """
    if high_fsc_at_limit and model.ave_pmax > CERTAIN:
        increment = round_half_away(0.25 * model.box / 2)
    return min(2 * (model.resolution_shell + increment), model.box)


def resolution_of_shell(shell: int, box: int, pixel_size: float) -> float:
    """Resolution of a shell in A; shell 0 gives 999 as in RELION's files."""
    return box * pixel_size / shell if shell > 0 else 999.0
