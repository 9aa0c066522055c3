"""Images and slices as lists of Fourier pixels: shift, mask, gather, weigh."""

import numpy as np
from numba import njit

from relion4plugin.refinement.kernels.options import FAST


@njit(**FAST)
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


@njit(**FAST)
def gather_pixels(transforms, flat, scale, real, imag):
    """Pick the listed pixels of half transforms (n, voxels), times `scale` (P,), into real and imaginary parts (n, P)."""
    for i in range(len(transforms)):
        for p in range(len(flat)):
            value = transforms[i, flat[p]]
            real[i, p] = value.real * scale[p]
            imag[i, p] = value.imag * scale[p]


@njit(**FAST)
def power_per_shell(real, imag, starts, out):
    """Sum |X|^2 over each shell: (n, P) to (n, shells)."""
    for i in range(len(real)):
        for s in range(len(starts) - 1):
            total = np.float32(0.0)
            for p in range(starts[s], starts[s + 1]):
                total += real[i, p] * real[i, p] + imag[i, p] * imag[i, p]
            out[i, s] = total


@njit(**FAST)
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


@njit(**FAST)
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
