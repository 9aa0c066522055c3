"""Fused CPU kernels of the expectation step (numba), one particle at a time, free of the interpreter lock.

Each has a plain counterpart in `expectation_arrays`; the tests compare the two. Complex arrays are split into real and
imaginary parts so that the inner loops vectorise. All loops over pixels run over a prefix of the shell-sorted list;
pixel 0 (the mean) never enters a likelihood.
"""

import math

import numpy as np
from numba import njit

_FAST = {"nogil": True, "fastmath": True, "cache": True}
_SAFE = {"nogil": True, "cache": True}  # infinities of the priors must stay infinities
NEGLIGIBLE = 20.0  # nats below the maximum: together less than 1e-4 of the weight, far under the discarded 1e-3


@njit(**_FAST)
def gather_slices(transform, corners, weights, sign, real, imag):
    """Cut slices out of one padded transform (voxels,): real and imaginary parts (R, P), see `slices.extract_slices`."""
    for r in range(len(corners)):
        for p in range(corners.shape[1]):
            a, b = np.float32(0.0), np.float32(0.0)
            for c in range(4):
                value = transform[corners[r, p, c]]
                a += value.real * weights[r, p, c]
                b += value.imag * weights[r, p, c]
            real[r, p] = a
            imag[r, p] = b * sign[r, p]


@njit(**_FAST)
def shift_and_mask(images, factors, shifts, mask, background, masked, unmasked):
    """Scale images (n, N, N), shift them by whole pixels (n, 2) with zero fill, and write both versions.

    `background` is (1 - mask) divided by its sum; the masked version is filled outside with its mean background.
    """
    n, box, _ = images.shape
    for i in range(n):
        sx, sy = shifts[i, 0], shifts[i, 1]
        mean = np.float32(0.0)
        for y in range(box):
            inside_y = 0 <= y - sy < box
            for x in range(box):
                value = np.float32(0.0)
                if inside_y and 0 <= x - sx < box:
                    value = images[i, y - sy, x - sx] * factors[i]
                unmasked[i, y, x] = value
                mean += value * background[y, x]
        for y in range(box):
            for x in range(box):
                masked[i, y, x] = unmasked[i, y, x] * mask[y, x] + mean * (1 - mask[y, x])


@njit(**_FAST)
def gather_pixels(transforms, flat, scale, real, imag):
    """Pick the listed pixels of half transforms (n, voxels), times `scale` (P,), into real and imaginary parts (n, P)."""
    for i in range(len(transforms)):
        for p in range(len(flat)):
            value = transforms[i, flat[p]]
            real[i, p] = value.real * scale[p]
            imag[i, p] = value.imag * scale[p]


@njit(**_FAST)
def power_per_shell(real, imag, starts, out):
    """Sum |X|^2 over each shell: (n, P) to (n, shells)."""
    for i in range(len(real)):
        for s in range(len(starts) - 1):
            total = np.float32(0.0)
            for p in range(starts[s], starts[s + 1]):
                total += real[i, p] * real[i, p] + imag[i, p] * imag[i, p]
            out[i, s] = total


@njit(**_FAST)
def shifted_rows(real, imag, weight, phase_real, phase_imag, out_real, out_imag):
    """Write weighted images at every coarse shift, (n * T, Pc): the left-hand side of the coarse products."""
    n_shifts, count = phase_real.shape
    for i in range(len(real)):
        for t in range(n_shifts):
            row = i * n_shifts + t
            for p in range(count):
                a, b = real[i, p] * weight[i, p], imag[i, p] * weight[i, p]
                out_real[row, p] = a * phase_real[t, p] - b * phase_imag[t, p]
                out_imag[row, p] = a * phase_imag[t, p] + b * phase_real[t, p]


@njit(**_SAFE)
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


@njit(**_SAFE)
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


@njit(**_SAFE)
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


@njit(**_SAFE)
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


@njit(**_FAST)
def _rotated_product(real, imag, weight, t_real, t_imag, count, z_real, z_imag):
    """Write weight * X * conj(T) for one particle and template."""
    for p in range(1, count):
        a, b = real[p] * weight[p], imag[p] * weight[p]
        z_real[p] = a * t_real[p] + b * t_imag[p]
        z_imag[p] = b * t_real[p] - a * t_imag[p]


@njit(**_FAST)
def _norm_term(weight, t_real, t_imag, count):
    total = np.float32(0.0)
    for p in range(1, count):
        total += weight[p] * (t_real[p] * t_real[p] + t_imag[p] * t_imag[p])
    return np.float32(0.5) * total


@njit(**_FAST)
def _shifted_sum(z_real, z_imag, phase_real, phase_imag, count):
    total = np.float32(0.0)
    for p in range(1, count):
        total += z_real[p] * phase_real[p] - z_imag[p] * phase_imag[p]
    return total


@njit(**_FAST)
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


@njit(**_SAFE)
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


@njit(**_FAST)
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


@njit(**_FAST)
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


@njit(**_FAST)
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


@njit(**_SAFE)
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


@njit(**_FAST)
def _add_image(real, imag, weight, q_real, q_imag, total, b_real, b_imag, b_weight):
    """Add one particle's image, shifted by the mean phases, and its weight to a slice."""
    for p in range(len(b_real)):
        b_real[p] += real[p] * q_real[p] - imag[p] * q_imag[p]
        b_imag[p] += real[p] * q_imag[p] + imag[p] * q_real[p]
        b_weight[p] += total * weight[p]


@njit(**_FAST)
def _insert_slice(b_real, b_imag, b_weight, corners, corner_weights, sign, data, weight):
    """Distribute one slice over the grid: the transpose of the bilinear gather."""
    for p in range(len(b_real)):
        imag = b_imag[p] * sign[p]
        for c in range(4):
            w = corner_weights[p, c]
            if w > 0:
                data[corners[p, c]] += complex(b_real[p] * w, imag * w)
                weight[corners[p, c]] += b_weight[p] * w


@njit(**_FAST)
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
