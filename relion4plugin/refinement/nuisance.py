"""Noise, norm, scale, class and offset parameters: what is estimated besides the references."""

import numpy as np

from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.robust_noise import robust_power
from relion4plugin.refinement.search import Batch, Expectation
from relion4plugin.refinement.state import Model, Poses

SCALE_SPREAD = 5.0  # scales stay within this factor of their median
SCALE_MIN_SSNR = 3.0  # shells above enter the scale estimate
TINY = 1e-14


def scale_pixels(data_vs_prior: np.ndarray, pixels: PixelList, count: int) -> np.ndarray:
    """Return for each class how many leading pixels are resolved well enough to estimate scales, int64 (K,)."""
    good = data_vs_prior > SCALE_MIN_SSNR
    good[:, 0] = True
    last = np.where(good.all(axis=1), good.shape[1], good.argmin(axis=1))
    return np.minimum(pixels.starts[last], count)


def update(model: Model, poses: Poses, batch: Batch, result: Expectation, mu: float, *, optics: np.ndarray, groups: np.ndarray,
           pixels: PixelList, norm: bool, scale: bool) -> None:  # fmt: skip
    """Move all nuisance parameters towards the batch: ``mu`` old + ``(1 - mu)`` new, in place.

    Parameters
    ----------
    optics, groups : int (n,), optics and scale group of the batch's particles
    norm, scale : bool, whether the corrections are on
    """
    sums = result.particles
    total = float(sums.weight.sum())
    _update_noise(model, result, mu, np.bincount(optics, sums.weight, minlength=len(model.sigma2_noise)), pixels)
    if norm:
        _update_norm(model, poses, batch, sums.norm_power, mu)
    if scale:
        _update_scale(model, sums.scale_cross, sums.scale_power, groups, mu)
    if total <= 0:
        return
    pdf = mu * model.pdf_class + (1 - mu) * result.class_weight / total
    model.pdf_class = pdf / pdf.sum()
    if result.direction_weight.size:
        directions = mu * model.pdf_direction + (1 - mu) * result.direction_weight / total
        model.pdf_direction = directions / directions.sum()
    variance = mu * model.sigma_offset**2 + (1 - mu) * float(sums.offset_power.sum()) / (2 * total)
    model.sigma_offset = max(float(np.sqrt(variance)), 1e-3)


def _update_noise(model: Model, result: Expectation, mu: float, weights: np.ndarray, pixels: PixelList) -> None:
    components = 2 * pixels.per_shell
    typical = None
    if result.noise_counts.size:
        typical = robust_power(result.noise_counts, components * model.sigma2_noise, components) / components
    for group in np.flatnonzero(weights > 0):
        fresh = result.noise_power[group] / (weights[group] * components)
        if typical is not None:
            fresh = np.where(fresh < TINY, fresh, typical[group])
        for shell in np.flatnonzero(fresh < TINY):
            fresh[shell] = fresh[shell - 1] if shell else fresh[1]
        model.sigma2_noise[group] = mu * model.sigma2_noise[group] + (1 - mu) * fresh


def _update_norm(model: Model, poses: Poses, batch: Batch, norm_power: np.ndarray, mu: float) -> None:
    """Set each particle's norm from its residual power; the factor applied on reading is undone. The first batch sets the average."""
    fresh = np.sqrt(2 * norm_power) / batch.factor
    poses.norm[batch.rows] = fresh
    if not (poses.n_significant > 0).any():
        mu = 0.0
    model.avg_norm = mu * model.avg_norm + (1 - mu) * float(fresh.mean())


def _update_scale(model: Model, cross: np.ndarray, power: np.ndarray, groups: np.ndarray, mu: float) -> None:
    n_groups = len(model.scale)
    count = np.bincount(groups, minlength=n_groups)
    # the sums hold s in both factors: cross / power is the correction of the present scale
    numerator, denominator = np.bincount(groups, cross, minlength=n_groups), np.bincount(groups, power, minlength=n_groups)
    ratio = np.divide(numerator, denominator, out=np.ones(n_groups), where=denominator > 0)
    fresh = np.where((count > 0) & (denominator > 0), model.scale * ratio, np.where(count > 0, 1.0, model.scale))
    scale = np.where(count > 0, mu * model.scale + (1 - mu) * fresh, model.scale)
    median = float(np.median(scale))
    scale = np.clip(scale, median / SCALE_SPREAD, SCALE_SPREAD * median)
    mean = float(np.average(scale, weights=count)) if count.any() else 1.0
    if mean > 0:
        model.scale = scale / mean
