"""Kernels of the expectation step with 3D references: slices are cut where they are needed, once for all particles that look there.

Samples are kept particle by particle; work on slices goes through pairs (particle, class, orientation) in the order of their
slices. Four orientations share the voxels of one slice: itself, half a turn in plane (the complex conjugate), the view from
behind (mirrored in y), and both. They are the variants 0 to 3: bit 0 turns, bit 1 mirrors.
"""

import math

import numpy as np
from numba import njit

from relion4plugin.refinement.kernels.central_slices import cut_slice, insert_slice
from relion4plugin.refinement.kernels.options import FAST, NEGLIGIBLE, SAFE
from relion4plugin.refinement.kernels.scores import significance_threshold
from relion4plugin.refinement.kernels.sums import _add_image, _model_sums, mean_phases


@njit(**FAST)
def combine_variants(re, ro, ie, io, bias, offset_prior, first, scores, maxima):
    """Write the scores of all four variants of a tile of slices, and raise each particle's maximum.

    Parameters
    ----------
    re, ro, ie, io : float32 (n * T, F), products of real and imaginary, even and odd parts
    bias : (n, 2, all F), log prior minus norm term, as seen from the front and from behind
    offset_prior : (n, T)
    first : first slice of the tile
    scores : (n, T, 4, all F), written
    """
    n, n_shifts = offset_prior.shape
    for i in range(n):
        best = maxima[i]
        for t in range(n_shifts):
            row, prior = i * n_shifts + t, offset_prior[i, t]
            for j in range(re.shape[1]):
                front, back = bias[i, 0, first + j] + prior, bias[i, 1, first + j] + prior
                a, b, c, d = re[row, j], ro[row, j], ie[row, j], io[row, j]
                s0, s1 = a + b + c + d + front, a + b - c - d + front
                s2, s3 = a - b + c - d + back, a - b - c + d + back
                scores[i, t, 0, first + j] = s0
                scores[i, t, 1, first + j] = s1
                scores[i, t, 2, first + j] = s2
                scores[i, t, 3, first + j] = s3
                best = max(best, max(max(s0, s1), max(s2, s3)))
        maxima[i] = best


@njit(**FAST)
def combine_correlations(re, ro, ie, io, norm, offset_prior, first, scores, maxima):
    """As `combine_variants`, but scores are products divided by the root of the norm term (first iteration by correlation)."""
    n, n_shifts = offset_prior.shape
    for i in range(n):
        best = maxima[i]
        for t in range(n_shifts):
            row = i * n_shifts + t
            for j in range(re.shape[1]):
                front, back = norm[i, 0, first + j], norm[i, 1, first + j]
                a, b, c, d = re[row, j], ro[row, j], ie[row, j], io[row, j]
                s0, s1 = (a + b + c + d) * front, (a + b - c - d) * front
                s2, s3 = (a - b + c - d) * back, (a - b - c + d) * back
                scores[i, t, 0, first + j] = s0
                scores[i, t, 1, first + j] = s1
                scores[i, t, 2, first + j] = s2
                scores[i, t, 3, first + j] = s3
                best = max(best, max(max(s0, s1), max(s2, s3)))
        maxima[i] = best


@njit(**SAFE)
def keep_significant(scores, maxima, fraction, cap, room):
    """List for each particle the samples that make up `fraction` of its weight, at most `cap` (<= 0: all).

    Parameters
    ----------
    scores : float32 (n, S); maxima : float32 (n,)
    room : float32 (S,), overwritten

    Returns
    -------
    start : int64 (n + 1,)
    index : int64, ascending for each particle
    """
    n, width = scores.shape
    start = np.zeros(n + 1, np.int64)
    thresholds = np.empty(n, np.float32)
    for i in range(n):
        floor, count = maxima[i] - np.float32(NEGLIGIBLE), 0
        for value in scores[i]:
            if value > floor:
                room[count] = value
                count += 1
        thresholds[i] = significance_threshold(room[:count], maxima[i], fraction, cap)
        kept = 0
        for value in room[:count]:
            kept += value >= thresholds[i]
        start[i + 1] = start[i] + kept
    index = np.empty(start[n], np.int64)
    position = 0
    for i in range(n):
        for j in range(width):
            if scores[i, j] >= thresholds[i]:
                index[position] = j
                position += 1
    return start, index


@njit(**SAFE)
def retain(start, scores, fraction, weights, pmax, log_sum):
    """Turn scores of fine samples (particle by particle) into posterior weights; zero for those beyond `fraction` of the weight."""
    for i in range(len(start) - 1):
        mine, out = scores[start[i] : start[i + 1]], weights[start[i] : start[i + 1]]
        best = np.float32(-np.inf)
        for value in mine:
            best = max(best, value)
        near = np.empty(len(mine), np.float32)
        total, used = 0.0, 0
        for value in mine:
            if value > best - NEGLIGIBLE:
                total += math.exp(value - best)
                near[used] = value
                used += 1
        threshold = significance_threshold(near[:used], best, fraction, 0)
        log_sum[i] = best + math.log(total)
        pmax[i] = 1.0 / total
        for j in range(len(mine)):
            out[j] = math.exp(mine[j] - log_sum[i]) if mine[j] >= threshold else 0.0


@njit(**FAST)
def _orient(base_real, base_imag, variant, mirror, conjugate, real, imag):
    """Write the slice of a variant, from that of its base."""
    turn = np.float32(-1.0) if variant & 1 else np.float32(1.0)
    if variant & 2:
        for p in range(len(real)):
            q = mirror[p]
            real[p] = base_real[q]
            imag[p] = base_imag[q] * conjugate[p] * turn
    else:
        for p in range(len(real)):
            real[p] = base_real[p]
            imag[p] = base_imag[p] * turn


@njit(**FAST)
def _score_pair(real, imag, weight, norm_weight, t_real, t_imag, z_real, z_imag):
    """Write weight * X * conj(T) and return the norm term; the mean (pixel 0) takes no part."""
    total = np.float32(0.0)
    for p in range(1, len(z_real)):
        a, b = real[p] * weight[p], imag[p] * weight[p]
        z_real[p] = a * t_real[p] + b * t_imag[p]
        z_imag[p] = b * t_real[p] - a * t_imag[p]
        total += norm_weight[p] * (t_real[p] * t_real[p] + t_imag[p] * t_imag[p])
    return np.float32(0.5) * total


@njit(**FAST)
def _shifted_sum(z_real, z_imag, phase_real, phase_imag):
    total = np.float32(0.0)
    for p in range(1, len(z_real)):
        total += z_real[p] * phase_real[p] - z_imag[p] * phase_imag[p]
    return total


@njit(**FAST)
def score_pairs(
    order, particle, grid_class, base, variant, prior, sample_start, sample_shift, matrices, grids, kx, ky, inside, padding,
    mirror, conjugate, real, imag, data_weight, norm_weight, phase_real, phase_imag, offset_prior, shift_children, correlate, scores,
):  # fmt: skip
    """Score the samples of pairs, slice by slice.

    Parameters
    ----------
    order : int64, pairs sorted by class, base and variant
    particle, grid_class, base, variant : int32 (pairs,); base indexes `matrices` (n, 3, 3)
    prior : float32 (pairs,), log prior of class and orientation
    sample_start : int64 (pairs + 1,); sample_shift : int32 (samples,), fine shifts
    grids : float32 (K, Z, Y, X, 2)
    mirror, conjugate : (P,), index and sign of the pixel that the view from behind shows
    real, imag, data_weight, norm_weight : float32 (n, P)
    offset_prior : (n, T), log prior of coarse shifts, `shift_children` fine ones each
    correlate : bool, divide by the root of the norm term instead of subtracting it, without priors
    scores : float32 (samples,), written
    """
    count = len(kx)
    base_real, base_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    t_real, t_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    z_real, z_imag = np.zeros(count, np.float32), np.zeros(count, np.float32)
    last_class, last_base, last_variant = -1, -1, -1
    for j in order:
        if grid_class[j] != last_class or base[j] != last_base:
            last_class, last_base, last_variant = grid_class[j], base[j], -1
            cut_slice(grids[last_class], matrices[last_base], kx, ky, inside, padding, base_real, base_imag)
        if variant[j] != last_variant:
            last_variant = variant[j]
            _orient(base_real, base_imag, last_variant, mirror, conjugate, t_real, t_imag)
        i = particle[j]
        norm = _score_pair(real[i], imag[i], data_weight[i], norm_weight[i], t_real, t_imag, z_real, z_imag)
        for s in range(sample_start[j], sample_start[j + 1]):
            t = sample_shift[s]
            value = _shifted_sum(z_real, z_imag, phase_real[t], phase_imag[t])
            if correlate:
                scores[s] = value / math.sqrt(max(norm, np.float32(1e-30)))
            else:
                scores[s] = value - norm + prior[j] + offset_prior[i, t // shift_children]


@njit(**FAST)
def _return(variant, mirror, conjugate, v_real, v_imag, v_weight, b_real, b_imag, b_weight):
    """Add what was collected for a variant to the slice of its base, and clear it: the inverse of `_orient`."""
    turn = np.float32(-1.0) if variant & 1 else np.float32(1.0)
    if variant & 2:
        for p in range(len(v_real)):
            q = mirror[p]
            b_real[q] += v_real[p]
            b_imag[q] += v_imag[p] * conjugate[p] * turn
            b_weight[q] += v_weight[p]
    else:
        for p in range(len(v_real)):
            b_real[p] += v_real[p]
            b_imag[p] += v_imag[p] * turn
            b_weight[p] += v_weight[p]
    v_real[:] = 0.0
    v_imag[:] = 0.0
    v_weight[:] = 0.0


@njit(**FAST)
def sum_pairs(
    order, particle, grid_class, base, variant, sample_start, sample_shift, weights, matrices, grids, kx, ky, inside, padding,
    mirror, conjugate, real, imag, model_ctf, insert_real, insert_imag, insert_weight, phase_real, phase_imag, scale_count, half,
    subtract, residual, scale_cross, scale_power, total, data, data_weight,
):  # fmt: skip
    """Sum the retained samples: residual power for noise and norm, scale sums, and the back-projection of unmasked images.

    Parameters
    ----------
    order, particle, grid_class, base, variant, sample_start, sample_shift, matrices, grids, mirror, conjugate
        As for `score_pairs`; pairs in `order` have retained weight.
    weights : float32 (samples,), retained posterior weights
    model_ctf : float32 (n, P), s C; insert_real, insert_imag : (n, P), unmasked images times s C / s2; insert_weight : (n, P)
    scale_count : int64 (K,), pixels of each class that enter the scale estimate
    half : int8 (n,), accumulator of each particle
    subtract : bool, insert the residual B - W T (VDAM) instead of B (EM)
    residual : float32 (n, P), added to: sum of w (|s C T|^2 - 2 Re(X_t conj(s C T)))
    scale_cross, scale_power, total : float64 (n,), added to
    data : float32 (halves, K, Z, Y, X, 2); data_weight : float32 (halves, K, Z, Y, X), added to
    """
    count, halves = len(kx), len(data)
    base_real, base_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    t_real, t_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    q_real, q_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    v = np.zeros((halves, 3, count), np.float32)
    b = np.zeros((halves, 3, count), np.float32)
    touched = np.zeros(halves, np.bool_)
    last_class, last_base, last_variant = -1, -1, -1
    for position in range(len(order) + 1):
        j = order[position] if position < len(order) else -1
        new_slice = j < 0 or grid_class[j] != last_class or base[j] != last_base
        if last_base >= 0 and (new_slice or variant[j] != last_variant):
            for h in range(halves):
                if touched[h]:
                    _return(last_variant, mirror, conjugate, v[h, 0], v[h, 1], v[h, 2], b[h, 0], b[h, 1], b[h, 2])
        if last_base >= 0 and new_slice:
            for h in range(halves):
                if not touched[h]:
                    continue
                if subtract:
                    for p in range(count):
                        b[h, 0, p] -= b[h, 2, p] * base_real[p]
                        b[h, 1, p] -= b[h, 2, p] * base_imag[p]
                insert_slice(
                    data[h, last_class], data_weight[h, last_class], matrices[last_base], kx, ky, inside, padding,
                    b[h, 0], b[h, 1], b[h, 2],
                )  # fmt: skip
                b[h] = 0.0
                touched[h] = False
        if j < 0:
            break
        if new_slice:
            last_class, last_base, last_variant = grid_class[j], base[j], -1
            cut_slice(grids[last_class], matrices[last_base], kx, ky, inside, padding, base_real, base_imag)
        if variant[j] != last_variant:
            last_variant = variant[j]
            _orient(base_real, base_imag, last_variant, mirror, conjugate, t_real, t_imag)
        i = particle[j]
        w = mean_phases(sample_start[j], sample_start[j + 1], sample_shift, weights, phase_real, phase_imag, q_real, q_imag)
        cross, power = _model_sums(real[i], imag[i], model_ctf[i], t_real, t_imag, q_real, q_imag, w, scale_count[last_class], residual[i])
        scale_cross[i] += cross
        scale_power[i] += power
        total[i] += w
        h = half[i]
        touched[h] = True
        _add_image(insert_real[i], insert_imag[i], insert_weight[i], q_real, q_imag, w, v[h, 0], v[h, 1], v[h, 2])


@njit(**SAFE)
def best_samples(particle, grid_class, best_class, sample_start, sample_shift, weights, pair, shift):
    """Find each particle's heaviest sample in its class `best_class`: write its pair and fine shift (n,)."""
    height = np.full(len(best_class), np.float32(-1.0))
    for j in range(len(particle)):
        i = particle[j]
        if grid_class[j] != best_class[i]:
            continue
        for s in range(sample_start[j], sample_start[j + 1]):
            if weights[s] > height[i]:
                height[i], pair[i], shift[i] = weights[s], j, sample_shift[s]
