"""The coarse pass: significant samples against explicit scores, and the two forms against each other."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from relion4plugin.arrays import to_numpy
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.refinement.coarse_samples import LOWEST, log_prior, significance_thresholds
from relion4plugin.refinement.orientations import VARIANTS, rotation_vectors_to_matrices
from relion4plugin.refinement.particles import make_batch
from relion4plugin.refinement.volume_coarse import CoarseSearch
from relion4plugin.refinement.volume_coarse_arrays import ArrayCoarseSearch
from relion4plugin.refinement.volume_search import crop_transforms
from relion4plugin.refinement.volume_slices import central_slices
from relion4plugin.refinement.volume_slices_arrays import SliceArrays
from tests.refinement.test_expectation_volume import Case

CASES = {
    "grid": {},
    "symmetry": {"symmetry": "C2", "order": 1},
    "to Nyquist": {"current": 20, "coarse": 20},
    "hard cap": {"cap": 3},
    "correlation": {"correlate": True},
    "lattice": {"lattice": (8.0, 4.0)},
    "correlation, lattice": {"lattice": (8.0, 4.0), "correlate": True},
}


class Inputs:
    """Random images and weights of a few particles, and the plan that they are searched with."""

    def __init__(self, folder, rng, options):
        self.case = Case(folder, noise=3.0, **options)
        plan, n = self.case.plan, len(self.case.images)
        self.plan, shape = plan, (n, plan.count)
        self.images = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
        scale = 3.0 / np.abs(self.case.transforms).max()
        self.data_weight = (scale * rng.uniform(0.5, 1.5, shape)).astype(np.float32)
        self.norm_weight = (scale**2 * rng.uniform(0.5, 1.5, shape)).astype(np.float32)
        self.batch = make_batch(np.arange(n), self.case.particles, self.case.model, self.case.poses, plan, self.case.settings)
        self.cropped = crop_transforms(self.case.transforms, plan.crop, plan.padding * plan.radius)

    def kernels(self, memory_limit=1.0):
        with ThreadPoolExecutor(2) as pool:
            search = CoarseSearch(self.plan, self.cropped, self.case.model, memory_limit, pool)
            parts = (np.ascontiguousarray(part) for part in (self.images.real, self.images.imag))
            return search.run(self.batch, *parts, self.data_weight, self.norm_weight)

    def arrays(self, xp, room=2**28):
        plan = self.plan
        slices = SliceArrays.of(xp, self.cropped.shape[1:4], plan.padding, plan.pixels, plan.count_coarse, plan.coarse_size // 2)
        grids = xp.asarray(self.cropped).view(xp.complex64).ravel()
        search = ArrayCoarseSearch(xp, plan, grids, slices, self.case.model, room)
        return search.run(self.batch, *(xp.asarray(values) for values in (self.images, self.data_weight, self.norm_weight)))

    def explicit(self):
        """Significant samples of each particle as sets of (class, orientation, variant, shift), in float64."""
        plan, model, count = self.plan, self.case.model, self.plan.count_coarse
        found = []
        kx, ky = plan.pixels.kx[:count], plan.pixels.ky[:count]
        inside = kx**2 + ky**2 <= (plan.coarse_size // 2) ** 2
        for i in range(len(self.images)):
            if plan.grid is not None:
                matrices = VARIANTS[None] @ plan.grid.slice_matrices()[:, None]  # (F, 4, 3, 3)
            else:
                turns = rotation_vectors_to_matrices(plan.lattice.vectors)
                matrices = (turns @ euler_to_matrix(*self.batch.angles[i]))[:, None]
            scores = {}
            rows = (self.images[i] * self.data_weight[i])[:count] * plan.phases_coarse.astype(complex)
            for k in range(model.n_classes):
                flat = matrices.reshape(-1, 3, 3)
                cut = central_slices(self.case.transforms[k], flat, kx, ky, plan.padding, plan.radius) * inside
                product = (rows[:, 1:] @ cut[:, 1:].conj().T.astype(complex)).real
                norm = 0.5 * (np.abs(cut[:, 1:].astype(complex)) ** 2 @ self.norm_weight[i, 1:count].astype(float))
                for j in range(len(flat)):
                    f, v = divmod(j, matrices.shape[1])
                    for t in range(len(rows)):
                        if plan.correlate:
                            scores[k, f, v, t] = product[t, j] / np.sqrt(norm[j])
                            continue
                        if plan.grid is not None:
                            with np.errstate(divide="ignore"):
                                searched = model.pdf_direction[:, plan.grid.listed]
                                prior = np.log(model.pdf_direction[k, plan.grid.direction_of(f, v)] / searched.sum())
                        else:
                            prior = model.log_class[k] - (plan.lattice.vectors[f] ** 2).sum() / (2 * plan.lattice.sigma**2)
                        scores[k, f, v, t] = product[t, j] - norm[j] + prior + self.batch.offset_prior[i, t]
            names = sorted(scores, key=lambda name: -scores[name])
            values = np.exp([scores[name] - scores[names[0]] for name in names])
            kept = int(np.searchsorted(np.cumsum(values), plan.fraction * values.sum())) + 1
            kept = 1 if plan.correlate else min(kept, plan.max_significants) if plan.max_significants > 0 else kept
            found.append(set(names[:kept]))
        return found


def as_sets(samples):
    table = list(zip(samples.grid_class, samples.coarse, samples.variant, samples.shift, strict=True))
    return [{tuple(int(v) for v in row) for row in table[a:b]} for a, b in zip(samples.start[:-1], samples.start[1:], strict=True)]


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_significant_samples_equal_explicit_scores(tmp_path, rng, options):
    inputs = Inputs(tmp_path, rng, options)
    expected = inputs.explicit()
    if not inputs.plan.correlate:
        assert max(len(mine) for mine in expected) > 1
    assert as_sets(inputs.kernels()) == expected
    assert as_sets(inputs.arrays(np)) == expected


@pytest.mark.parametrize("options", [{}, {"lattice": (8.0, 4.0)}], ids=["grid", "lattice"])
def test_little_memory_changes_nothing(tmp_path, rng, xp, options):
    inputs = Inputs(tmp_path, rng, options)
    for one, other in ((inputs.kernels(), inputs.kernels(1e-6)), (inputs.arrays(xp), inputs.arrays(xp, 2**16))):
        for name, values in vars(one).items():
            np.testing.assert_allclose(values, getattr(other, name), rtol=1e-5, err_msg=name)


def test_samples_are_sorted_and_carry_their_prior(tmp_path, rng, xp):
    inputs = Inputs(tmp_path, rng, {})
    prior = log_prior(inputs.plan, inputs.case.model)
    for samples in (inputs.kernels(), inputs.arrays(xp)):
        particle = np.repeat(np.arange(len(samples.start) - 1), np.diff(samples.start))
        keys = list(zip(particle, samples.grid_class, samples.coarse, samples.variant, samples.shift, strict=True))
        assert keys == sorted(keys)
        np.testing.assert_allclose(samples.prior, prior[samples.grid_class, samples.variant >> 1, samples.coarse], rtol=1e-6)


def test_priors_of_a_grid(tmp_path):
    case = Case(tmp_path, symmetry="C2", order=1)
    grid, prior = case.plan.grid, log_prior(case.plan, case.model)
    assert prior.shape == (2, 2, grid.n_slices)
    searched = case.model.pdf_direction[:, grid.listed].sum()
    for k, behind, f in ((0, 0, 5), (1, 1, 17), (1, 0, 0)):
        direction = grid.direction_of(np.array([f]), np.array([2 * behind]))[0]
        assert prior[k, behind, f] == pytest.approx(np.log(case.model.pdf_direction[k, direction] / searched), rel=1e-6)
    assert (prior[0, 0, grid.half_turn : 2 * grid.half_turn] == LOWEST).all()  # direction 1 has no weight


def test_priors_of_a_lattice(tmp_path):
    case = Case(tmp_path, lattice=(8.0, 4.0))
    expected = case.model.log_class[:, None] + case.plan.lattice.log_prior()
    np.testing.assert_allclose(log_prior(case.plan, case.model), expected[:, None])


@pytest.mark.parametrize("cap", [0, 4, 1000])
def test_thresholds(rng, xp, cap):
    scores = rng.normal(0, 3, (6, 50)).astype(np.float32)
    found = to_numpy(significance_thresholds(xp, xp.asarray(scores), 0.95, cap))
    for row, threshold in zip(scores.astype(float), found, strict=True):
        ordered = np.sort(row)[::-1]
        weights = np.exp(ordered)
        kept = int(np.searchsorted(np.cumsum(weights), 0.95 * weights.sum())) + 1
        assert threshold == pytest.approx(ordered[min(kept, cap or 50) - 1])
