"""The expectation step written out: loops over particles, classes, angles and shifts in float64.

Shares nothing with the package but the input arrays: pixel list, CTF, interpolation, priors and selection are its own.
"""

from types import SimpleNamespace

import numpy as np

from tests.refinement.simulated import PIXEL, slow_ctf


def half_pixels(box: int) -> list[tuple[int, int, int]]:
    """Independent pixels (ky, kx, shell) of a half transform up to shell N/2, by shell, then in FFT order."""
    found = []
    for ky in range(-box // 2, box // 2):
        for kx in range(box // 2 + 1):
            shell = int(np.floor(np.hypot(kx, ky) + 0.5))
            if shell <= box // 2 and not (kx == 0 and -box // 2 < ky < 0):
                found.append((ky, kx, shell))
    return sorted(found, key=lambda p: (p[2], p[0] % box, p[1]))


class Slicer:
    """Bilinear interpolation in a padded half grid, and its transpose."""

    def __init__(self, ky: np.ndarray, kx: np.ndarray, m: int, pad: int, size: int, reference_size: int) -> None:
        self.ky, self.kx, self.m, self.pad, self.limit = ky, kx, m, pad, size // 2
        self.radius = pad * reference_size // 2

    def terms(self, psi: float):
        """Yield (row, column, weight, conjugated) of the four neighbours of all pixels."""
        c, s = np.cos(np.deg2rad(psi)), np.sin(np.deg2rad(psi))
        x, y = self.pad * (c * self.kx - s * self.ky), self.pad * (s * self.kx + c * self.ky)
        mirrored = x < 0
        x, y = np.where(mirrored, -x, x), np.where(mirrored, -y, y)
        for ix in (np.floor(x), np.floor(x) + 1):
            for iy in (np.floor(y), np.floor(y) + 1):
                w = (1 - np.abs(x - ix)) * (1 - np.abs(y - iy))
                w = np.where((ix**2 + iy**2 <= self.radius**2) & (self.kx**2 + self.ky**2 <= self.limit**2), w, 0.0)
                yield (iy.astype(int) % self.m), np.minimum(ix.astype(int), self.m // 2), w, mirrored

    def cut(self, grid: np.ndarray, psi: float) -> np.ndarray:
        """Slice of a half grid (M, M//2+1)."""
        total = sum(grid[row, column] * w for row, column, w, _ in self.terms(psi))
        mirrored = next(self.terms(psi))[3]
        return np.where(mirrored, np.conj(total), total)

    def add(self, grid: np.ndarray, psi: float, values: np.ndarray) -> None:
        """Insert a slice into a half grid."""
        for row, column, w, mirrored in self.terms(psi):
            np.add.at(grid, (row, column), w * np.where(mirrored, np.conj(values), values))  # weights are real: unchanged


def particle_pixels(image: np.ndarray, shift: np.ndarray, factor: float, mask: np.ndarray, ky, kx) -> tuple[np.ndarray, np.ndarray]:
    """Masked and unmasked transforms of an image at the listed pixels."""
    n = len(image)
    moved = np.zeros((n, n))
    for y in range(n):
        for x in range(n):
            if 0 <= y - shift[1] < n and 0 <= x - shift[0] < n:
                moved[y, x] = factor * image[y - shift[1], x - shift[0]]
    background = float((moved * (1 - mask)).sum() / (1 - mask).sum())
    masked = moved * mask + background * (1 - mask)
    return tuple((np.fft.fft2(np.fft.ifftshift(v)) / n**2)[ky % n, kx % n] for v in (masked, moved))


def raised_cosine_disc(box: int, radius: float, edge: float = 5.0) -> np.ndarray:
    """1 inside `radius`, 0 beyond the edge."""
    axis = np.arange(box) - box // 2
    r = np.hypot(axis[:, None], axis[None])
    return np.where(r <= radius, 1.0, np.where(r >= radius + edge, 0.0, 0.5 - 0.5 * np.cos(np.pi * (radius + edge - r) / edge)))


def fewest_reaching(weights: np.ndarray, fraction: float, cap: int) -> np.ndarray:
    """Mark the largest weights whose sum reaches `fraction` of all, at most `cap` of them (ties stay)."""
    order = np.sort(weights)[::-1]
    kept = int(np.searchsorted(np.cumsum(order), fraction * order.sum())) + 1
    threshold = order[min(kept, cap if cap > 0 else kept, len(order)) - 1]
    return weights >= threshold


def slow_expectation(
    images, table, optics, modulation, model, poses, offset_prior, psi_prior, psi_sigma, half, grid, sizes, settings, transforms
):
    """Expect over all particles.

    Parameters
    ----------
    table : dict of CTF columns; optics : list of (group, voltage, premultiplied) by particle; modulation : (groups, pixels)
    grid : the sampling; sizes : (current, coarse, likelihood)
    """
    n, box = images.shape[:2]
    listed = np.array(half_pixels(box))
    ky, kx, shell = listed.T
    m, k_all = transforms.shape[1], len(transforms)
    current, coarse, likelihood = sizes
    p_all, p_coarse, p_fine = (int((shell <= s // 2).sum()) for s in (current, coarse, likelihood))
    slicer = Slicer(ky[:p_all], kx[:p_all], m, m // box, current, current)
    rough = Slicer(ky[:p_coarse], kx[:p_coarse], m, m // box, coarse, current)
    mask = raised_cosine_disc(box, settings.particle_diameter / 2 / PIXEL)
    halves = 2 if settings.algorithm.value == "vdam" else 1
    out = SimpleNamespace(
        psi=[], shift=[], label=[], pmax=[], n_significant=[], log_likelihood=[], weight=[], norm=[], offset=[], cross=[], power=[],
        margin=[], class_weight=np.zeros(k_all), noise=np.zeros(model.sigma2_noise.shape),
        data=np.zeros((halves, k_all, m, m // 2 + 1), complex), grid=np.zeros((halves, k_all, m, m // 2 + 1)),
    )  # fmt: skip
    cap = settings.max_significants
    children_r, children_t = len(grid.psi_fine) // len(grid.psi_coarse), len(grid.shifts.fine) // len(grid.shifts.coarse)
    for i in range(n):
        group, voltage, premultiplied = optics[i]
        s, factor = model.scale[table["scale_group"][i]], model.avg_norm / poses.norm[i]
        old = np.trunc(poses.offset[i] / PIXEL + np.copysign(0.5, poses.offset[i])).astype(int)
        masked, plain = (v * modulation[group] for v in particle_pixels(images[i].astype(float), old, factor, mask, ky, kx))
        c = slow_ctf(kx / (box * PIXEL), ky / (box * PIXEL), *(table[name][i] for name in ("u", "v", "angle")), voltage, 2.7, 0.1)
        model_ctf = s * c**2 if premultiplied else s * c
        insert, insert_norm = (s if premultiplied else s * c), (s * c) ** 2
        s2 = model.sigma2_noise[group][shell]
        centre = old * PIXEL - offset_prior[i]
        log_offset = -((centre + grid.shifts.coarse * PIXEL) ** 2).sum(axis=1) / (2 * model.sigma_offset**2)
        log_offset -= np.log(np.exp(log_offset).sum())
        turn = np.abs((grid.psi_coarse - psi_prior[i] + 180) % 360 - 180) if psi_sigma > 0 else np.zeros(len(grid.psi_coarse))
        log_psi = np.where(turn <= 3 * psi_sigma, -0.5 * (turn / psi_sigma) ** 2, -np.inf) if psi_sigma > 0 else turn

        def log_density(reference, shift, count, masked=masked, model_ctf=model_ctf, s2=s2):
            phase = np.exp(-2j * np.pi * (kx[:count] * shift[0] + ky[:count] * shift[1]) / box)
            residual = np.abs(masked[:count] * phase - model_ctf[:count] * reference[:count]) ** 2 / (2 * s2[:count])
            return -residual[1:].sum()

        scores, labels = [], []
        for k in np.flatnonzero(model.pdf_class > 0):
            for r, psi in enumerate(grid.psi_coarse):
                if not np.isfinite(log_psi[r]):
                    continue
                reference = rough.cut(transforms[k], psi)
                for t, shift in enumerate(grid.shifts.coarse):
                    scores.append(log_density(reference, shift, p_coarse) + np.log(model.pdf_class[k]) + log_psi[r] + log_offset[t])
                    labels.append((k, r, t))
        scores = np.array(scores)
        kept = fewest_reaching(np.exp(scores - scores.max()), settings.adaptive_fraction, cap)
        out.n_significant.append(int(kept.sum()))
        fine, samples = [], []
        for (k, r, t), keep in zip(labels, kept, strict=True):
            if not keep:
                continue
            for rf in range(r * children_r, (r + 1) * children_r):
                reference = slicer.cut(transforms[k], grid.psi_fine[rf])
                for tf in range(t * children_t, (t + 1) * children_t):
                    value = log_density(reference, grid.shifts.fine[tf], p_fine)
                    fine.append(value + np.log(model.pdf_class[k]) + log_psi[r] + log_offset[t])
                    samples.append((k, rf, tf))
        fine = np.array(fine)
        top, total = fine.max(), np.exp(fine - fine.max()).sum()
        weights = np.exp(fine - top) / total
        best = int(np.argmax(fine))
        out.label.append(samples[best][0]), out.psi.append(samples[best][1]), out.shift.append(samples[best][2])
        out.pmax.append(weights[best])
        constant = np.log(2 * np.pi * s2[1:p_fine]).sum()
        out.log_likelihood.append(top + np.log(total) - constant)
        used = fewest_reaching(weights, settings.adaptive_fraction, 0)
        residual, sums = np.zeros(p_all), np.zeros(4)
        for (k, rf, tf), w, use in zip(samples, weights, used, strict=True):
            if not use:
                continue
            reference = slicer.cut(transforms[k], grid.psi_fine[rf])
            shift = grid.shifts.fine[tf]
            phase = np.exp(-2j * np.pi * (kx[:p_all] * shift[0] + ky[:p_all] * shift[1]) / box)
            moved, predicted = masked[:p_all] * phase, model_ctf[:p_all] * reference
            residual += w * np.abs(moved - predicted) ** 2
            good = model.data_vs_prior[k] > 3
            resolved = shell[:p_all] < (np.argmin(good[1:]) + 1 if not good[1:].all() else len(good))
            sums += w * np.array(
                [
                    1.0,
                    ((centre + shift * PIXEL) ** 2).sum(),
                    (moved * predicted.conj()).real[resolved].sum(),
                    (np.abs(predicted) ** 2)[resolved].sum(),
                ]
            )
            out.class_weight[k] += w
            h = half[i] if halves == 2 else 0
            inverse = 1 / s2[:p_all]
            value = (insert * np.ones_like(c))[:p_all] * inverse * plain[:p_all] * phase
            weight = insert_norm[:p_all] * inverse
            if halves == 2:
                value = value - weight * reference
            slicer.add(out.data[h, k], grid.psi_fine[rf], w * value)
            slicer.add(out.grid[h, k], grid.psi_fine[rf], w * weight)
        per_shell = np.bincount(shell, np.abs(masked) ** 2, minlength=box // 2 + 1)
        per_shell[: current // 2 + 1] = np.bincount(shell[:p_all], residual, minlength=current // 2 + 1)
        out.noise[group] += per_shell
        out.norm.append(per_shell.sum())
        for name, value in zip(("weight", "offset", "cross", "power"), sums, strict=True):
            getattr(out, name).append(value)
    return out
