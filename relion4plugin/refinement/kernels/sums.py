"""Sums over the samples that count: noise, norm and scale, and the back-projection."""

import numpy as np
from numba import njit

from relion4plugin.refinement.kernels.options import FAST, SAFE


@njit(**FAST)
def mean_phases(first, last, kept_shift, kept_weight, phase_real, phase_imag, q_real, q_imag):
    """Sum weight * phase over the kept shifts first:last; return the sum of weights."""
    count = len(q_real)
    total = np.float32(0.0)
    for p in range(count):
        q_real[p] = 0.0
        q_imag[p] = 0.0
    for j in range(first, last):
        w, t = kept_weight[j], kept_shift[j]
        total += w
        for p in range(count):
            q_real[p] += w * phase_real[t, p]
            q_imag[p] += w * phase_imag[t, p]
    return total


@njit(**FAST)
def _model_sums(real, imag, model_ctf, t_real, t_imag, q_real, q_imag, total, scale_count, residual):
    """Add w (|s C T|^2 - 2 Re(X_t conj(s C T))) per pixel; return the two scale sums over the first `scale_count` pixels."""
    cross_sum, power_sum = np.float32(0.0), np.float32(0.0)
    for p in range(len(q_real)):
        z_real = real[p] * t_real[p] + imag[p] * t_imag[p]
        z_imag = imag[p] * t_real[p] - real[p] * t_imag[p]
        cross = model_ctf[p] * (z_real * q_real[p] - z_imag * q_imag[p])
        power = model_ctf[p] * model_ctf[p] * total * (t_real[p] * t_real[p] + t_imag[p] * t_imag[p])
        residual[p] += power - 2 * cross
        if p < scale_count:
            cross_sum += cross
            power_sum += power
    return cross_sum, power_sum


@njit(**FAST)
def nuisance_sums(
    kept_start, kept_template, kept_shift, kept_weight, real, imag, model_ctf, t_real, t_imag, phase_real, phase_imag,
    templates_per_class, scale_count, starts, residual_shells, scale_cross, scale_power, weights, class_weights,
):  # fmt: skip
    """Accumulate what the noise, norm, scale and class updates need, for each particle.

    Parameters
    ----------
    scale_count : int64 (K,), pixels of each class that enter the scale estimate
    residual_shells : float64 (n, shells), sum of w |X_t - s C T|^2 per shell up to the current size, written
    scale_cross, scale_power, weights : float64 (n,), written
    class_weights : float64 (n, K), written
    """
    count = t_real.shape[1]
    q_real, q_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    residual = np.empty(count, np.float32)
    for i in range(len(kept_start) - 1):
        residual[:] = 0.0
        first = kept_start[i]
        while first < kept_start[i + 1]:
            last = first
            while last < kept_start[i + 1] and kept_template[last] == kept_template[first]:
                last += 1
            f = kept_template[first]
            k = f // templates_per_class
            total = mean_phases(first, last, kept_shift, kept_weight, phase_real, phase_imag, q_real, q_imag)
            cross, power = _model_sums(
                real[i], imag[i], model_ctf[i], t_real[f], t_imag[f], q_real, q_imag, total, scale_count[k], residual
            )
            scale_cross[i] += cross
            scale_power[i] += power
            class_weights[i, k] += total
            weights[i] += total
            first = last
        for s in range(len(starts) - 1):
            shell = np.float32(0.0)
            for p in range(starts[s], starts[s + 1]):
                shell += residual[p] + weights[i] * (real[i, p] * real[i, p] + imag[i, p] * imag[i, p])
            residual_shells[i, s] = shell


@njit(**SAFE)
def sort_by_template(kept_start, kept_template, kept_shift, kept_weight, n_templates):
    """Counting sort of the kept samples by template; particles stay in order.

    Returns
    -------
    start : int64 (n_templates + 1,)
    particle, shift : int32; weight : float32, in the new order
    """
    start = np.zeros(n_templates + 1, np.int64)
    for f in kept_template:
        start[f + 1] += 1
    for f in range(n_templates):
        start[f + 1] += start[f]
    free = start[:-1].copy()
    size = len(kept_template)
    particle, shift, weight = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.float32)
    for i in range(len(kept_start) - 1):
        for j in range(kept_start[i], kept_start[i + 1]):
            position = free[kept_template[j]]
            particle[position], shift[position], weight[position] = i, kept_shift[j], kept_weight[j]
            free[kept_template[j]] += 1
    return start, particle, shift, weight


@njit(**FAST)
def _add_image(real, imag, weight, q_real, q_imag, total, b_real, b_imag, b_weight):
    """Add one particle's image, shifted by the mean phases, and its weight to a slice."""
    for p in range(len(b_real)):
        b_real[p] += real[p] * q_real[p] - imag[p] * q_imag[p]
        b_imag[p] += real[p] * q_imag[p] + imag[p] * q_real[p]
        b_weight[p] += total * weight[p]


@njit(**FAST)
def _insert_slice(b_real, b_imag, b_weight, corners, corner_weights, sign, data, weight):
    """Distribute one slice over the grid: the transpose of the bilinear gather."""
    for p in range(len(b_real)):
        imag = b_imag[p] * sign[p]
        for c in range(4):
            w = corner_weights[p, c]
            if w > 0:
                data[corners[p, c]] += complex(b_real[p] * w, imag * w)
                weight[corners[p, c]] += b_weight[p] * w


@njit(**FAST)
def back_project_class(
    first_template, start, particle, shift, sample_weight, half, phase_real, phase_imag, real, imag, weight,
    t_real, t_imag, subtract, corners, corner_weights, sign, data, grid_weight,
):  # fmt: skip
    """Sum all kept samples of one class into slices, and each slice into the class's grids.

    Parameters
    ----------
    start, particle, shift, sample_weight : from `sort_by_template`
    half : int8 (n,), pseudo half-set of each particle
    real, imag : float32 (n, P), unmasked images times s C / s2; weight : (n, P), (s C)^2 / s2
    subtract : bool, insert the residual B - W T (VDAM) instead of B (EM)
    data : complex64 (halves, voxels); grid_weight : float32 (halves, voxels), added to
    """
    n_angles, count = sign.shape
    halves = len(data)
    b_real, b_imag = np.zeros((halves, count), np.float32), np.zeros((halves, count), np.float32)
    b_weight = np.zeros((halves, count), np.float32)
    q_real, q_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    touched = np.zeros(halves, np.bool_)
    for angle in range(n_angles):
        f = first_template + angle
        first = start[f]
        while first < start[f + 1]:
            last, i = first, particle[first]
            while last < start[f + 1] and particle[last] == i:
                last += 1
            h = half[i]
            touched[h] = True
            total = mean_phases(first, last, shift, sample_weight, phase_real, phase_imag, q_real, q_imag)
            _add_image(real[i], imag[i], weight[i], q_real, q_imag, total, b_real[h], b_imag[h], b_weight[h])
            first = last
        for h in range(halves):
            if not touched[h]:
                continue
            if subtract:
                for p in range(count):
                    b_real[h, p] -= b_weight[h, p] * t_real[f, p]
                    b_imag[h, p] -= b_weight[h, p] * t_imag[f, p]
            _insert_slice(b_real[h], b_imag[h], b_weight[h], corners[angle], corner_weights[angle], sign[angle], data[h], grid_weight[h])
            b_real[h, :] = 0.0
            b_imag[h, :] = 0.0
            b_weight[h, :] = 0.0
            touched[h] = False
