"""The expectation step with 3D references written out: loops over particles, classes and orientations in float64.

Shares nothing with the package but the input arrays and the HEALPix directions: orientations and their children, pixel list, CTF,
interpolation, priors and selection are its own.
"""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from scipy.spatial.transform import Rotation

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.geometry.healpix import directions
from relion4plugin.geometry.symmetry import rotation_about
from tests.refinement.simulated import PIXEL, slow_ctf
from tests.refinement.slow_expectation import fewest_reaching, half_pixels, particle_pixels, raised_cosine_disc

UPSIDE_DOWN = rotation_about([1, 0, 0], 180)


@dataclass
class Place:
    """A coarse orientation: its children, and where its priors are found."""

    matrix: np.ndarray
    children: list[np.ndarray]
    direction: int = -1
    log_prior: float = 0.0


def global_places(order: int, pixels: np.ndarray, perturbation: float, oversampling: int) -> list[Place]:
    """All orientations of a grid whose base directions are the HEALPix pixels given."""
    step = 60 / 2**order
    count = round(180 / step)
    moved = euler_to_matrix(*[perturbation * step] * 3)
    rot, tilt = directions(order)
    views = euler_to_matrix(rot, tilt, 0.0)[:, 2]
    places = []
    for pixel in pixels:
        opposite = int((views @ views[pixel]).argmin())
        fine = [(rot[pixel], tilt[pixel])]
        if oversampling:
            fine = list(zip(*(angle[4 * pixel : 4 * pixel + 4] for angle in directions(order + 1)), strict=True))
        turns = (-step / 4, step / 4) if oversampling else (0.0,)
        for psi in np.arange(count) * step:
            for behind in (0, 1):
                for half in (0, 180):

                    def view(rot, tilt, psi, behind=behind, half=half):
                        matrix = euler_to_matrix(rot, tilt, psi) @ moved
                        matrix = UPSIDE_DOWN @ matrix if behind else matrix
                        return euler_to_matrix(0, 0, half) @ matrix

                    children = [view(r, t, psi + turn) for r, t in fine for turn in turns]
                    places.append(Place(view(rot[pixel], tilt[pixel], psi), children, opposite if behind else int(pixel)))
    return places


def local_places(angles: np.ndarray, vectors: np.ndarray, step: float, sigma: float, oversampling: int) -> list[Place]:
    """Rotations about a pose."""
    pose = euler_to_matrix(*angles)

    def turned(vector):
        return Rotation.from_rotvec(vector, degrees=True).as_matrix() @ pose

    signs = (-0.25, 0.25) if oversampling and sigma > 0 else (0.0,)
    corners = [step * np.array([x, y, z]) for x in signs for y in signs for z in signs]
    spread = sigma if sigma > 0 else np.inf
    return [Place(turned(v), [turned(v + c) for c in corners], -1, -float(v @ v) / (2 * spread**2)) for v in vectors]


class Slicer:
    """Trilinear interpolation in a padded half grid (M, M, M//2+1), and its transpose."""

    def __init__(self, ky: np.ndarray, kx: np.ndarray, size: int, padding: int, limit: int, radius: int) -> None:
        self.plane = np.stack([kx, ky, np.zeros(len(kx))], axis=1).astype(float) * padding
        self.size, self.radius = size, padding * radius
        self.outside = kx**2 + ky**2 > limit**2

    def terms(self, matrix: np.ndarray):
        """Index, weight and mirroring of the eight neighbours of all pixels."""
        x, y, z = (self.plane @ matrix).T  # rows: A^T (kx, ky, 0)
        mirrored = x < 0
        x, y, z = (np.where(mirrored, -v, v) for v in (x, y, z))
        for ix in (np.floor(x), np.floor(x) + 1):
            for iy in (np.floor(y), np.floor(y) + 1):
                for iz in (np.floor(z), np.floor(z) + 1):
                    w = (1 - np.abs(x - ix)) * (1 - np.abs(y - iy)) * (1 - np.abs(z - iz))
                    w = np.where((ix**2 + iy**2 + iz**2 > self.radius**2) | self.outside, 0.0, w)
                    column = np.minimum(ix.astype(int), self.size // 2)
                    yield (iz.astype(int) % self.size, iy.astype(int) % self.size, column), w, mirrored

    def cut(self, grid: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Slice of orientation `matrix`."""
        terms = list(self.terms(matrix))
        total = sum(grid[index] * w for index, w, _ in terms)
        return np.where(terms[0][2], np.conj(total), total)

    def add(self, grid: np.ndarray, matrix: np.ndarray, values: np.ndarray) -> None:
        """Insert a slice."""
        for index, w, mirrored in self.terms(matrix):
            np.add.at(grid, index, w * np.where(mirrored, np.conj(values), values))


def slow_volume_expectation(case) -> SimpleNamespace:
    """Expect over all particles of a case (see `test_expectation_volume.Case`)."""
    plan, model, settings = case.plan, case.model, case.settings
    n, box = case.images.shape[:2]
    listed = np.array(half_pixels(box))
    ky, kx, shell = listed.T
    transforms = case.transforms.astype(complex)
    m, n_classes = transforms.shape[1], len(transforms)
    current, coarse, likelihood = case.sizes
    p_all, p_coarse, p_fine = (int((shell <= s // 2).sum()) for s in (current, coarse, likelihood))
    fine_slicer = Slicer(ky[:p_all], kx[:p_all], m, m // box, current // 2, current // 2)
    rough_slicer = Slicer(ky[:p_coarse], kx[:p_coarse], m, m // box, coarse // 2, current // 2)
    mask = raised_cosine_disc(box, settings.particle_diameter / 2 / PIXEL)
    halves = 2 if case.gradient else 1
    n_directions = 12 * 4**case.order if case.pixels is not None else 0
    grid_shape = (halves, n_classes, m, m, m // 2 + 1)
    out = SimpleNamespace(
        best_class=[], matrix=[], best_shift=[], pmax=[], n_significant=[], log_likelihood=[], weight=[], norm_power=[], offset_power=[],
        scale_cross=[], scale_power=[], class_weight=np.zeros(n_classes), direction_weight=np.zeros((n_classes, n_directions)),
        noise_power=np.zeros(model.sigma2_noise.shape), data=np.zeros(grid_shape, complex), grid=np.zeros(grid_shape),
    )  # fmt: skip
    places = None if case.pixels is None else global_places(case.order, case.pixels, case.perturbation, case.oversampling)
    searched = 1.0 if places is None else model.pdf_direction[:, sorted({place.direction for place in places})].sum()
    shift_children = len(plan.shifts.fine) // len(plan.shifts.coarse)

    def phases(shifts):
        return np.exp(-2j * np.pi * (np.outer(shifts[:, 0], kx) + np.outer(shifts[:, 1], ky)) / box)

    coarse_phases, fine_phases = phases(plan.shifts.coarse), phases(plan.shifts.fine)

    for i in range(n):
        if case.pixels is None:
            places = local_places(case.poses.angles[i], plan.lattice.vectors, plan.lattice.step, plan.lattice.sigma, case.oversampling)
        group, voltage, premultiplied = case.optics[i]
        s, factor = model.scale[case.scale_group[i]], model.avg_norm / case.poses.norm[i]
        offset = case.poses.offset[i] / PIXEL
        old = np.trunc(offset + np.copysign(0.5, offset)).astype(int)
        masked, plain = particle_pixels(case.images[i].astype(float), old, factor, mask, ky, kx)
        if case.keep_shifts:
            rest = phases((offset - old)[None])[0]
            masked, plain = masked * rest, plain * rest
        ctf = slow_ctf(kx / (box * PIXEL), ky / (box * PIXEL), *case.defocus[i], voltage, 2.7, 0.1)
        model_ctf = s * ctf**2 if premultiplied else s * ctf
        s2 = model.sigma2_noise[group][shell]
        insert, insert_norm = (s if premultiplied else s * ctf) / s2, (s * ctf) ** 2 / s2
        centre = old * PIXEL - case.offset_prior[i]
        log_offset = -((centre + plan.shifts.coarse * PIXEL) ** 2).sum(axis=1) / (2 * model.sigma_offset**2)
        log_offset -= np.log(np.exp(log_offset).sum())

        def score(reference, phase, count, masked=masked, model_ctf=model_ctf, s2=s2):
            predicted = (model_ctf[:count] * reference[:count])[1:]
            moved = (masked[:count] * phase[:, :count])[:, 1:]
            if case.correlate:
                return (moved * predicted.conj()).real.sum(axis=1) / np.sqrt(0.5 * (np.abs(predicted) ** 2).sum())
            return -(np.abs(moved - predicted) ** 2 / (2 * s2[1:count])).sum(axis=1)

        def log_prior(k, place):
            if case.correlate:
                return 0.0
            with np.errstate(divide="ignore"):
                if place.direction >= 0:
                    return np.log(model.pdf_direction[k, place.direction] / searched)
                return np.log(model.pdf_class[k]) + place.log_prior

        labels, scores = [], []
        for k in range(n_classes):
            for place in places:
                if log_prior(k, place) == -np.inf:
                    continue
                values = score(rough_slicer.cut(transforms[k], place.matrix), coarse_phases, p_coarse) + log_prior(k, place)
                scores.extend(values if case.correlate else values + log_offset)
                labels.extend((k, place, t) for t in range(len(values)))
        scores = np.array(scores)
        weights = np.exp(scores - scores.max())
        kept = scores == scores.max() if case.correlate else fewest_reaching(weights, settings.adaptive_fraction, case.cap)
        out.n_significant.append(int(kept.sum()))

        samples, fine, slices, sums_of_slice = [], [], {}, {}
        for keep, (k, place, t) in zip(kept, labels, strict=True):
            if not keep:
                continue
            mine = slice(t * shift_children, (t + 1) * shift_children)
            for matrix in place.children:
                key = (k, id(matrix))
                if key not in slices:
                    slices[key] = fine_slicer.cut(transforms[k], matrix)
                    sums_of_slice[key] = [matrix, 0.0, 0.0]
                values = score(slices[key], fine_phases[mine], p_fine) + log_prior(k, place)
                fine.extend(values if case.correlate else values + log_offset[t])
                samples.extend((k, place.direction, matrix, f, key) for f in range(mine.start, mine.stop))
        fine = np.array(fine)
        log_sum = fine.max() + np.log(np.exp(fine - fine.max()).sum())
        weights = np.exp(fine - log_sum)
        if case.correlate:
            weights = (fine == fine.max()).astype(float)
        out.pmax.append(weights.max())
        out.log_likelihood.append(log_sum - np.log(2 * np.pi * s2[1:p_fine]).sum())
        weights = np.where(fewest_reaching(weights, settings.adaptive_fraction, 0), weights, 0)

        by_class = np.bincount([sample[0] for sample in samples], weights, minlength=n_classes)
        best = int(by_class.argmax())
        top = max((j for j in range(len(samples)) if samples[j][0] == best), key=lambda j: weights[j])
        out.best_class.append(best), out.matrix.append(samples[top][2]), out.best_shift.append(samples[top][3])

        residual, sums = np.zeros(p_all), np.zeros(4)
        for w, (k, direction, _, f, key) in zip(weights, samples, strict=True):
            if w == 0:
                continue
            shift, phase, reference = plan.shifts.fine[f], fine_phases[f, :p_all], slices[key]
            moved, predicted = masked[:p_all] * phase, model_ctf[:p_all] * reference
            residual += w * np.abs(moved - predicted) ** 2
            good = model.data_vs_prior[k] > 3
            resolved = shell[:p_all] < (np.argmin(good[1:]) + 1 if not good[1:].all() else len(good))
            cross = (moved * predicted.conj()).real[resolved].sum()
            sums += w * np.array([1.0, ((centre + shift * PIXEL) ** 2).sum(), cross, (np.abs(predicted) ** 2)[resolved].sum()])
            out.class_weight[k] += w
            if direction >= 0:
                out.direction_weight[k, direction] += w
            value = (insert * plain)[:p_all] * phase
            if case.gradient:
                value = value - insert_norm[:p_all] * reference
            sums_of_slice[key][1] += w * value
            sums_of_slice[key][2] += w * insert_norm[:p_all]
        h = i % 2 if halves == 2 else 0
        for (k, _), (matrix, value, weight) in sums_of_slice.items():
            if not np.isscalar(weight):
                fine_slicer.add(out.data[h, k], matrix, value)
                fine_slicer.add(out.grid[h, k], matrix, weight)
        per_shell = np.bincount(shell, np.abs(masked) ** 2, minlength=box // 2 + 1)
        per_shell[: current // 2 + 1] = np.bincount(shell[:p_all], residual, minlength=current // 2 + 1)
        out.noise_power[group] += per_shell
        out.norm_power.append(per_shell.sum())
        for name, value in zip(("weight", "offset_power", "scale_cross", "scale_power"), sums, strict=True):
            getattr(out, name).append(value)
    return out
