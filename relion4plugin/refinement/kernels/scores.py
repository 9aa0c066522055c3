"""Scores of the coarse and the fine pass, and which samples count."""

import math

import numpy as np
from numba import njit

from relion4plugin.refinement.kernels.options import FAST, NEGLIGIBLE, SAFE


@njit(**SAFE)
def combine_half_turns(even, odd, bias, offset_prior):
    """Turn the two real products into scores of both half turns, in place, and return each particle's maximum.

    even, odd : float32 (n * T, K * R/2), products of real and of imaginary parts
    bias : (n, K * R/2), log prior of the class minus the norm term; offset_prior : (n, T)
    """
    n, n_shifts = offset_prior.shape
    maxima = np.empty(n, np.float32)
    for i in range(n):
        best = np.float32(-np.inf)
        for t in range(n_shifts):
            row, prior = i * n_shifts + t, offset_prior[i, t]
            for j in range(even.shape[1]):
                a, b, c = even[row, j], odd[row, j], bias[i, j] + prior
                even[row, j] = a + b + c
                odd[row, j] = a - b + c
                best = max(best, even[row, j], odd[row, j])
        maxima[i] = best
    return maxima


@njit(**SAFE)
def add_angle_prior(even, odd, psi_prior, n_shifts):
    """Add log priors (n, R) of the in-plane angle to coarse scores, in place, and return each particle's maximum."""
    n, n_angles = psi_prior.shape
    half = n_angles // 2
    maxima = np.empty(n, np.float32)
    for i in range(n):
        best = np.float32(-np.inf)
        for row in range(i * n_shifts, (i + 1) * n_shifts):
            for j in range(even.shape[1]):
                even[row, j] += psi_prior[i, j % half]
                odd[row, j] += psi_prior[i, half + j % half]
                best = max(best, even[row, j], odd[row, j])
        maxima[i] = best
    return maxima


@njit(**SAFE)
def significance_threshold(scores, best, fraction, cap):
    """Return the score of the last sample to keep: the fewest that reach `fraction` of the weight, at most `cap` (<= 0: all).

    Scores lie within `NEGLIGIBLE` below `best`. They are counted in bins first, so that only the bin in which the limit
    falls has to be sorted.
    """
    bins = 2048
    step = np.float32(bins / NEGLIGIBLE)
    weight, count = np.zeros(bins + 1), np.zeros(bins + 1, np.int64)
    total = 0.0
    for value in scores:
        b = min(int((best - value) * step), bins)
        w = math.exp(value - best)
        weight[b] += w
        count[b] += 1
        total += w
    wanted, limit = fraction * total, cap if cap > 0 else len(scores)
    reached, taken, last = 0.0, 0, 0
    while last < bins and reached + weight[last] < wanted and taken + count[last] < limit:
        reached += weight[last]
        taken += count[last]
        last += 1
    inside = np.empty(count[last], np.float32)
    position = 0
    for value in scores:
        if min(int((best - value) * step), bins) == last:
            inside[position] = value
            position += 1
    inside.sort()
    for j in range(len(inside) - 1, -1, -1):
        reached += math.exp(inside[j] - best)
        taken += 1
        if reached >= wanted or taken >= limit:
            return inside[j]
    return inside[0]


@njit(**SAFE)
def select_significant(even, odd, maxima, n_shifts, half_angles, fraction, cap, room):
    """Select the coarse samples to refine; `room` holds the scores of one particle while they are compared.

    Returns
    -------
    start : int64 (n + 1,), samples of particle i are start[i]:start[i+1]
    template : int32, class * R + angle, ascending inside a particle
    shift : int32
    """
    n, width = len(maxima), even.shape[1]
    start = np.zeros(n + 1, np.int64)
    thresholds = np.empty(n, np.float32)
    for i in range(n):
        floor, count = maxima[i] - np.float32(NEGLIGIBLE), 0
        for row in range(i * n_shifts, (i + 1) * n_shifts):
            for j in range(width):
                if even[row, j] > floor:
                    room[count] = even[row, j]
                    count += 1
                if odd[row, j] > floor:
                    room[count] = odd[row, j]
                    count += 1
        thresholds[i] = significance_threshold(room[:count], maxima[i], fraction, cap)
        kept = 0
        for j in range(count):
            kept += room[j] >= thresholds[i]
        start[i + 1] = start[i] + kept
    template, shift = np.empty(start[n], np.int32), np.empty(start[n], np.int32)
    for i in range(n):
        position = start[i]
        for t in range(n_shifts):
            row = i * n_shifts + t
            for j in range(width):
                angle = j // half_angles * 2 * half_angles + j % half_angles
                if even[row, j] >= thresholds[i]:
                    template[position], shift[position] = angle, t
                    position += 1
                if odd[row, j] >= thresholds[i]:
                    template[position], shift[position] = angle + half_angles, t
                    position += 1
        order = np.argsort(template[start[i] : position], kind="mergesort")
        template[start[i] : position] = template[start[i] : position][order]
        shift[start[i] : position] = shift[start[i] : position][order]
    return start, template, shift


@njit(**FAST)
def _rotated_product(real, imag, weight, t_real, t_imag, count, z_real, z_imag):
    """Write weight * X * conj(T) for one particle and template."""
    for p in range(1, count):
        a, b = real[p] * weight[p], imag[p] * weight[p]
        z_real[p] = a * t_real[p] + b * t_imag[p]
        z_imag[p] = b * t_real[p] - a * t_imag[p]


@njit(**FAST)
def _norm_term(weight, t_real, t_imag, count):
    total = np.float32(0.0)
    for p in range(1, count):
        total += weight[p] * (t_real[p] * t_real[p] + t_imag[p] * t_imag[p])
    return np.float32(0.5) * total


@njit(**FAST)
def _shifted_sum(z_real, z_imag, phase_real, phase_imag, count):
    total = np.float32(0.0)
    for p in range(1, count):
        total += z_real[p] * phase_real[p] - z_imag[p] * phase_imag[p]
    return total


@njit(**FAST)
def score_children(
    start, template, shift, real, imag, data_weight, norm_weight, t_real, t_imag, phase_real, phase_imag, sampling, count,
    log_class, offset_prior, psi_prior,
):  # fmt: skip
    """Score the fine children of the selected coarse samples.

    Parameters
    ----------
    real, imag, data_weight, norm_weight : float32 (n, P), images, s C / s2 and (s C)^2 / s2
    t_real, t_imag : float32 (K * R * psi_children, P), fine templates; phase_* : (fine shifts, P)
    sampling : (R, psi_children, shift_children)
    count : pixels in the likelihood
    psi_prior : (n, R), or (0, 0) for a flat prior

    Returns
    -------
    scores : float32, for each coarse sample psi_children * shift_children values, angle slowest
    """
    n_angles, psi_children, shift_children = sampling
    children = psi_children * shift_children
    scores = np.empty(len(template) * children, np.float32)
    z_real, z_imag = np.empty(count, np.float32), np.empty(count, np.float32)
    for i in range(len(start) - 1):
        first = start[i]
        while first < start[i + 1]:
            last = first
            while last < start[i + 1] and template[last] == template[first]:
                last += 1
            k, r = template[first] // n_angles, template[first] % n_angles
            prior = log_class[k]
            if psi_prior.shape[0] > 0:
                prior += psi_prior[i, r]
            for c in range(psi_children):
                f = template[first] * psi_children + c
                _rotated_product(real[i], imag[i], data_weight[i], t_real[f], t_imag[f], count, z_real, z_imag)
                base = prior - _norm_term(norm_weight[i], t_real[f], t_imag[f], count)
                for j in range(first, last):
                    for d in range(shift_children):
                        t = shift[j] * shift_children + d
                        value = _shifted_sum(z_real, z_imag, phase_real[t], phase_imag[t], count)
                        scores[j * children + c * shift_children + d] = base + value + offset_prior[i, shift[j]]
            first = last
    return scores


@njit(**SAFE)
def retain_children(start, template, shift, scores, sampling, fraction, max_value, log_sum, best_template, best_shift, shift_weight):
    """Keep the fine samples that make up `fraction` of a particle's weight.

    Weights are divided by the sum of all fine weights. Writes the largest weight, the log of the sum of all weights, the
    best sample of each particle, and its retained weight at each fine shift (n, T_fine).

    Returns
    -------
    kept_start : int64 (n + 1,)
    kept_template, kept_shift : int32, fine indices, templates ascending inside a particle
    kept_weight : float32
    """
    psi_children, shift_children = sampling[1], sampling[2]
    children = psi_children * shift_children
    n = len(start) - 1
    kept_start = np.zeros(n + 1, np.int64)
    threshold = np.empty(n, np.float32)
    for i in range(n):
        mine = scores[start[i] * children : start[i + 1] * children]
        top = np.argmax(mine)
        best = mine[top]
        total, used = 0.0, 0
        near = np.empty(len(mine), np.float32)
        for value in mine:
            total += math.exp(value - best)
            if value > best - NEGLIGIBLE:
                near[used] = value
                used += 1
        threshold[i] = significance_threshold(near[:used], best, fraction, 0)
        kept = 0
        for value in near[:used]:
            kept += value >= threshold[i]
        kept_start[i + 1] = kept_start[i] + kept
        sample = start[i] + top // children
        best_template[i] = template[sample] * psi_children + top % children // shift_children
        best_shift[i] = shift[sample] * shift_children + top % shift_children
        max_value[i] = 1.0 / total
        log_sum[i] = best + math.log(total)
    kept_template, kept_shift = np.empty(kept_start[n], np.int32), np.empty(kept_start[n], np.int32)
    kept_weight = np.empty(kept_start[n], np.float32)
    for i in range(n):
        position, first = kept_start[i], start[i]
        while first < start[i + 1]:
            last = first
            while last < start[i + 1] and template[last] == template[first]:
                last += 1
            for c in range(psi_children):
                for j in range(first, last):
                    for d in range(shift_children):
                        value = scores[j * children + c * shift_children + d]
                        if value >= threshold[i]:
                            kept_template[position] = template[first] * psi_children + c
                            kept_shift[position] = shift[j] * shift_children + d
                            kept_weight[position] = math.exp(value - log_sum[i])
                            shift_weight[i, kept_shift[position]] += kept_weight[position]
                            position += 1
            first = last
    return kept_start, kept_template, kept_shift, kept_weight
