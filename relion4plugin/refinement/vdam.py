"""Variable-metric gradient descent with adaptive moments (RELION-4.0 paper, section 3.1).

Two pseudo half-sets give two gradients. Their running means are the first moments; the relative difference of the two,
averaged, is the second moment; their difference also tells the noise, and so how far to trust each shell.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.refinement.references import PaddedGrid, forward, inverse, soften_corners
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.voxels import ShellMeans

FIRST_MOMENT = 0.9
SECOND_MOMENT = 0.999
EPSILON = 1e-12


@dataclass(frozen=True)
class Replacement:
    """An inactive class that restarts from a copy of an active one, 0-based."""

    dropped: int
    source: int


def ensure_moments(model: Model, grid: PaddedGrid) -> None:
    """Allocate moments on first use: zero first moments, a second moment of 1."""
    shape = (model.n_classes, *grid.shape)
    if model.moment1 is None:
        model.moment1 = np.zeros((2, *shape), np.complex64)
    if model.moment2 is None:
        model.moment2 = np.ones(shape, np.float32)


def update_moments(moment1: Any, moment2: Any, data: Any, weight: Any, fresh: np.ndarray | None = None) -> tuple[Any, Any]:
    """Move the moments of one class by one mini-batch.

    Parameters
    ----------
    moment1 : complex64 (2, V), of the two pseudo half-sets
    moment2 : float32 (V,)
    data : complex64 (2, V), residual sums; weight : float32 (2, V)
    fresh : bool (2,), optional
        Half-sets whose first moment starts with this gradient; without it those that are zero at all voxels given.

    Returns
    -------
    moment1, moment2
    """
    gradient = data / np.maximum(1.0, weight).astype(np.float32)
    if fresh is None:
        fresh = np.array([not m.any() for m in moment1])
    moment1 = np.where(fresh[:, None], gradient, np.float32(FIRST_MOMENT) * moment1 + np.float32(1 - FIRST_MOMENT) * gradient)
    mean = np.abs((gradient[0] + gradient[1]) / 2) ** 2
    ratio = np.abs(gradient[1] - gradient[0]) ** 2 / (mean + np.float32(EPSILON))
    moment2 = np.float32(SECOND_MOMENT) * moment2 + np.float32(1 - SECOND_MOMENT) * ratio
    return moment1.astype(np.complex64), moment2.astype(np.float32)


def direction(moment1: Any, moment2: Any) -> Any:
    """Return the preconditioned step: mean first moment over the root of the second."""
    return (moment1[..., 0, :] + moment1[..., 1, :]) / 2 / (np.sqrt(moment2) + np.float32(EPSILON))


def signal_fraction(signal: np.ndarray, noise: np.ndarray, tau2_fudge: float) -> np.ndarray:
    """Return how much of each shell is signal, 0..1, from mean amplitudes (shells,) of the reference and of the gradients' difference."""
    snr = np.divide(2.0 * tau2_fudge * signal, noise, out=np.zeros(len(signal)), where=noise > 0)
    return snr / (1.0 + snr)


def class_step(step_size: float, pdf_class: np.ndarray, n_classes: int) -> np.ndarray:
    """Shorten the step of classes with few particles: eta (1 - exp(-(3K + 10) P(k)))."""
    return step_size * (1.0 - np.exp(-(3 * n_classes + 10) * pdf_class))


def choose_replacement(active: np.ndarray, pdf_class: np.ndarray, threshold: float) -> Replacement | None:
    """Find a class so rarely used that it restarts from a copy of the most populated class.

    The paper copies the class with the largest preconditioned gradient. A rare image of high contrast, such as a carbon
    edge, has by far the largest, and in a few dozen replacements takes all free classes; see docs/benchmarks.md.

    Parameters
    ----------
    active : bool (K,), classes updated in this iteration
    threshold : float, fraction of an even share below which a class is inactive
    """
    alive = pdf_class > 0
    dropped = int(np.argmin(pdf_class))
    if threshold <= 0 or not active.any() or pdf_class[dropped] >= threshold / max(alive.sum(), 1):
        return None
    source = int(np.argmax(np.where(active, pdf_class, -1.0)))
    return None if source == dropped else Replacement(dropped, source)


def _restart(model: Model, change: Replacement) -> None:
    """Copy the state of the source class; the copy's first moments are damped."""
    k, source = change.dropped, change.source
    assert model.moment1 is not None and model.moment2 is not None
    model.references[k] = model.references[source]
    model.moment1[:, k] = model.moment1[:, source] * np.float32(FIRST_MOMENT)
    model.moment2[k] = model.moment2[source]
    model.pdf_class[k] = model.pdf_class[source]
    for spectrum in (model.tau2, model.data_vs_prior, model.sigma2_class, model.coverage):
        spectrum[k] = spectrum[source]


def _move_moments(model: Model, grid: PaddedGrid, k: int, data: np.ndarray, weight: np.ndarray) -> None:
    """Move the moments of class `k` by its sums (2, voxels), in place."""
    assert model.moment1 is not None and model.moment2 is not None
    moment1, moment2 = model.moment1.reshape(2, model.n_classes, -1), model.moment2.reshape(model.n_classes, -1)
    fresh = np.array([not any(half[k, block.flat].any() for block in grid.blocks(model.current_size)) for half in moment1])
    for block in grid.blocks(model.current_size):
        v = block.flat
        moment1[:, k, v], moment2[k, v] = update_moments(moment1[:, k, v], moment2[k, v], data[:, v], weight[:, v], fresh)


def _step(model: Model, grid: PaddedGrid, k: int, transform: np.ndarray, eta: float, tau2_fudge: float) -> np.ndarray:
    """Return the transform (voxels,) of class `k` moved along its gradient, zero beyond the current size."""
    assert model.moment1 is not None and model.moment2 is not None
    moment1, moment2 = model.moment1.reshape(2, model.n_classes, -1)[:, k], model.moment2[k].reshape(-1)
    amplitudes = ShellMeans(grid.n_shells, 2)
    for block in grid.blocks(model.current_size):
        v = block.flat
        amplitudes.add(block.shell, np.abs(transform[v]), np.abs(moment1[0, v] - moment1[1, v]))
    signal, noise = amplitudes.means()
    fractions = signal_fraction(signal, noise, tau2_fudge).astype(np.float32)
    moved = np.zeros_like(transform)
    for block in grid.blocks(model.current_size):
        v = block.flat
        gradient = direction(moment1[:, v], moment2[v])
        reference, fraction = transform[v], fractions[block.shell]
        moved[v] = reference + np.float32(eta) * (fraction * gradient - (1 - fraction) * reference)
    return moved


def update_references(
    model: Model,
    grid: PaddedGrid,
    data: np.ndarray,
    weight: np.ndarray,
    *,
    step_size: float,
    tau2_fudge: float,
    threshold: float,
    workers: int | None = None,
) -> Replacement | None:
    """Move all references along their gradients, in place.

    Parameters
    ----------
    data, weight : (2, K, *grid.shape)
        Accumulated residuals and weights of the two pseudo half-sets, Hermitian (and symmetrised).
    threshold : float
        Class inactivity threshold; 0 where no class may be replaced in this iteration.
    workers : int, optional
        Threads of the transforms of volumes.

    Returns
    -------
    Replacement or None
    """
    ensure_moments(model, grid)
    size, n_classes = model.current_size, model.n_classes
    flat_data, flat_weight = data.reshape(2, n_classes, -1), weight.reshape(2, n_classes, -1)
    total = np.array([sum(float(row[block.flat].sum()) for block in grid.blocks(size)) for row in flat_weight[0]])
    active = (total > 1e-10) & (model.pdf_class > 0)
    for k in np.flatnonzero(active):
        _move_moments(model, grid, k, flat_data[:, k], flat_weight[:, k])
    change = choose_replacement(active, model.pdf_class, threshold)
    if change is not None:
        _restart(model, change)
        active[change.dropped] = False
    eta = class_step(step_size, model.pdf_class, n_classes)
    for group in grid.together(np.flatnonzero(active)):
        if len(group):
            transforms = forward(model.references[group], grid, corrected=False, current_size=size, workers=workers)
            for row, k in enumerate(group):
                transforms[row] = _step(model, grid, k, transforms[row].reshape(-1), eta[k], tau2_fudge).reshape(grid.shape)
            model.references[group] = soften_corners(inverse(transforms, grid, current_size=size, workers=workers))
    return change


def shift_moments(model: Model, grid: PaddedGrid, k: int, shift: np.ndarray) -> None:
    """Shift both first moments of class `k` by (x, y) or (x, y, z) px, as its reference was."""
    if model.moment1 is None:
        return
    m = grid.size
    axes = [np.arange(m // 2 + 1) / m] + [np.fft.fftfreq(m)] * (grid.dimension - 1)  # x, y, z
    for d, (frequency, length) in enumerate(zip(axes, shift, strict=True)):
        phase = np.exp(-2j * np.pi * frequency * length).astype(np.complex64)
        model.moment1[:, k] *= phase.reshape(-1, *(1,) * d)
