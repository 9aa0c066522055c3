"""Variable-metric gradient descent with adaptive moments (RELION-4.0 paper, section 3.1).

Two pseudo half-sets give two gradients. Their running means are the first moments; the relative difference of the two,
averaged, is the second moment; their difference also tells the noise, and so how far to trust each shell.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from relion4plugin.refinement.references import PaddedGrid, forward, inverse, shell_means, soften_corners
from relion4plugin.refinement.state import Model

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
    shape = (model.n_classes, grid.size, grid.size // 2 + 1)
    if model.moment1 is None:
        model.moment1 = np.zeros((2, *shape), np.complex64)
    if model.moment2 is None:
        model.moment2 = np.ones(shape, np.float32)


def update_moments(moment1: Any, moment2: Any, data: Any, weight: Any) -> tuple[Any, Any]:
    """Move the moments of one class by one mini-batch.

    Parameters
    ----------
    moment1 : complex64 (2, V), of the two pseudo half-sets
    moment2 : float32 (V,)
    data : complex64 (2, V), residual sums; weight : float32 (2, V)

    Returns
    -------
    moment1, moment2
    """
    gradient = data / np.maximum(1.0, weight).astype(np.float32)
    fresh = np.array([not m.any() for m in moment1])[:, None]
    moment1 = np.where(fresh, gradient, np.float32(FIRST_MOMENT) * moment1 + np.float32(1 - FIRST_MOMENT) * gradient)
    mean = np.abs((gradient[0] + gradient[1]) / 2) ** 2
    ratio = np.abs(gradient[1] - gradient[0]) ** 2 / (mean + np.float32(EPSILON))
    moment2 = np.float32(SECOND_MOMENT) * moment2 + np.float32(1 - SECOND_MOMENT) * ratio
    return moment1.astype(np.complex64), moment2.astype(np.float32)


def direction(moment1: Any, moment2: Any) -> Any:
    """Return the preconditioned step: mean first moment over the root of the second."""
    return (moment1[..., 0, :] + moment1[..., 1, :]) / 2 / (np.sqrt(moment2) + np.float32(EPSILON))


def signal_fraction(reference: np.ndarray, moment1: np.ndarray, tau2_fudge: float, shells: np.ndarray, n_shells: int) -> np.ndarray:
    """Return how much of each shell is signal, 0..1 (n_shells,): amplitude of the reference against the gradients' noise."""
    signal = shell_means(np.abs(reference)[None], shells, n_shells)[0]
    noise = shell_means(np.abs(moment1[0] - moment1[1])[None], shells, n_shells)[0]
    snr = np.divide(2.0 * tau2_fudge * signal, noise, out=np.zeros(n_shells), where=noise > 0)
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


def update_references(
    model: Model,
    grid: PaddedGrid,
    data: np.ndarray,
    weight: np.ndarray,
    *,
    step_size: float,
    tau2_fudge: float,
    threshold: float,
) -> Replacement | None:
    """Move all references along their gradients, in place.

    Parameters
    ----------
    data, weight : (2, K, M, M//2+1)
        Accumulated residuals and weights of the two pseudo half-sets, Hermitian.
    threshold : float
        Class inactivity threshold; 0 where no class may be replaced in this iteration.

    Returns
    -------
    Replacement or None
    """
    ensure_moments(model, grid)
    assert model.moment1 is not None and model.moment2 is not None
    n_classes, n_shells = model.n_classes, grid.box // 2 + 1
    voxels = grid.inside(model.current_size)
    shells = grid.shells().ravel()[voxels]
    flat_data, flat_weight = data.reshape(2, n_classes, -1)[:, :, voxels], weight.reshape(2, n_classes, -1)[:, :, voxels]
    moment1, moment2 = model.moment1.reshape(2, n_classes, -1), model.moment2.reshape(n_classes, -1)
    active = (flat_weight[0].sum(axis=1) > 1e-10) & (model.pdf_class > 0)
    directions = {}
    for k in np.flatnonzero(active):
        first, second = update_moments(moment1[:, k, voxels], moment2[k, voxels], flat_data[:, k], flat_weight[:, k])
        moment1[:, k, voxels], moment2[k, voxels] = first, second
        directions[k] = direction(first, second)
    change = choose_replacement(active, model.pdf_class, threshold)
    if change is not None:
        _restart(model, change)
    updated = [k for k in directions if change is None or k != change.dropped]
    if updated:
        eta = class_step(step_size, model.pdf_class, n_classes)
        transforms = forward(model.references[updated], grid, corrected=False).reshape(len(updated), -1)
        moved = np.zeros_like(transforms)
        for row, k in enumerate(updated):
            reference = transforms[row, voxels]
            fraction = signal_fraction(reference, moment1[:, k, voxels], tau2_fudge, shells, n_shells)[shells].astype(np.float32)
            moved[row, voxels] = reference + np.float32(eta[k]) * (fraction * directions[k] - (1 - fraction) * reference)
        model.references[updated] = soften_corners(inverse(moved.reshape(-1, grid.size, grid.size // 2 + 1), grid))
    return change


def shift_moments(model: Model, grid: PaddedGrid, k: int, shift: tuple[int, int] | np.ndarray) -> None:
    """Shift both first moments of class `k` by (x, y) px, as its reference was."""
    if model.moment1 is None:
        return
    m = grid.size
    ky = np.fft.fftfreq(m)[:, None]
    kx = np.arange(m // 2 + 1)[None] / m
    model.moment1[:, k] *= np.exp(-2j * np.pi * (kx * shift[0] + ky * shift[1])).astype(np.complex64)
