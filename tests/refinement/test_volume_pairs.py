"""Children of significant samples against a loop, the order of slices, and posterior weights of fine samples."""

import numpy as np
import pytest

from relion4plugin.geometry.euler import angular_distance, euler_to_matrix, random_rotations
from relion4plugin.refinement.orientations import VARIANTS, angles_of, make_global_grid, make_local_lattice
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.sampling import make_shifts
from relion4plugin.refinement.volume_pairs import Samples, expand_children
from relion4plugin.refinement.volume_posterior import FineSamples, Posterior, orientation_children
from relion4plugin.refinement.volume_search import make_volume_plan


def random_samples(rng, n=4, n_classes=2, n_coarse=20, n_shifts=5, variants=4):
    """Sorted distinct samples of n particles, the second of which has only one."""
    rows = []
    for i in range(n):
        table = np.stack(
            [
                values.ravel()
                for values in np.meshgrid(range(n_classes), range(n_coarse), range(variants), range(n_shifts), indexing="ij")
            ],
            axis=1,
        )
        chosen = np.sort(rng.choice(len(table), 1 if i == 1 else rng.integers(5, 30), replace=False))
        rows.append(np.column_stack([np.full(len(chosen), i), table[chosen]]))
    values = np.concatenate(rows)
    start = np.searchsorted(values[:, 0], np.arange(n + 1))
    prior = (values[:, 1] * 100 + values[:, 2]).astype(np.float32)
    kinds = (np.int32, np.int32, np.int8, np.int32)
    return Samples(start, *(values[:, j + 1].astype(kind) for j, kind in enumerate(kinds)), prior)


@pytest.mark.parametrize(("children", "shift_children"), [(8, 4), (1, 1), (8, 1)])
def test_children_of_samples(rng, children, shift_children):
    samples = random_samples(rng)
    pairs = expand_children(samples, children, shift_children)
    found = []
    for j in range(len(pairs.child)):
        for s in range(pairs.sample_start[j], pairs.sample_start[j + 1]):
            found.append((pairs.particle[j], pairs.grid_class[j], pairs.child[j], pairs.variant[j], pairs.sample_shift[s], pairs.prior[j]))
    expected = []
    for i in range(len(samples.start) - 1):
        for s in range(samples.start[i], samples.start[i + 1]):
            for c in range(children):
                for d in range(shift_children):
                    expected.append(
                        (
                            i, samples.grid_class[s], samples.coarse[s] * children + c, samples.variant[s],
                            samples.shift[s] * shift_children + d, samples.prior[s],
                        )
                    )  # fmt: skip
    assert sorted(found) == sorted(expected)
    keys = list(zip(pairs.particle, pairs.grid_class, pairs.child, pairs.variant, strict=True))
    assert len(set(keys)) == len(keys)  # one pair for all shifts of a slice
    owner = np.repeat(pairs.particle, np.diff(pairs.sample_start))
    np.testing.assert_array_equal(pairs.particle_samples, np.searchsorted(owner, np.arange(len(samples.start))))


def test_samples_of_some_particles(rng):
    samples = random_samples(rng)
    part = samples.part(1, 3)
    np.testing.assert_array_equal(part.start, samples.start[1:4] - samples.start[1])
    rows = slice(samples.start[1], samples.start[3])
    for name in ("grid_class", "coarse", "variant", "shift", "prior"):
        np.testing.assert_array_equal(getattr(part, name), getattr(samples, name)[rows])


def make_plan(grid, lattice, correlate=False):
    return make_volume_plan(
        PixelList.of(16), 1, make_shifts(2.0, 2.0, 0.0, 1), grid, lattice, current_size=12, coarse_size=8, likelihood_size=12,
        fraction=0.9, max_significants=0, gradient=False, correlate=correlate,
    )  # fmt: skip


@pytest.fixture
def fine(rng):
    plan = make_plan(make_global_grid(0, "C1", 0.2), None)
    return FineSamples.of(plan, random_samples(rng, n_coarse=18), np.zeros((4, 3)))


def test_matrices_of_pairs_on_a_grid(fine):
    grid, pairs = fine.plan.grid, fine.pairs
    assert orientation_children(fine.plan) == 8
    found = fine.matrices_of(np.arange(len(pairs.child)))
    expected = [VARIANTS[v] @ grid.child_matrices(np.array([c]))[0] for v, c in zip(pairs.variant, pairs.child, strict=True)]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    unique = {}
    for key, matrix, k in zip(fine.slice_key, found, pairs.grid_class, strict=True):
        known = unique.setdefault(key, (matrix, k))
        assert known[1] == k
        np.testing.assert_array_equal(known[0], matrix)


def test_matrices_of_pairs_on_a_lattice_are_near_the_pose(rng):
    lattice = make_local_lattice(5.0, 2.0, 0.1)
    plan = make_plan(None, lattice)
    poses = random_rotations(4, rng)
    samples = random_samples(rng, n_coarse=len(lattice.vectors), variants=1)
    fine = FineSamples.of(plan, samples, angles_of(poses))
    turned = angular_distance(fine.matrices_of(np.arange(len(fine.pairs.child))), poses[fine.pairs.particle])
    np.testing.assert_allclose(turned, np.linalg.norm(lattice.child_vectors[fine.pairs.child], axis=1), atol=1e-6)
    owners = {key: set(fine.pairs.particle[fine.slice_key == key]) for key in fine.slice_key}
    assert all(len(owner) == 1 for owner in owners.values())  # each particle has its own lattice


def test_samples_of_pairs(fine, rng):
    chosen = rng.permutation(len(fine.pairs.child))[:17]
    samples, row = fine.samples_of(chosen)
    expected = [(s, r) for r, j in enumerate(chosen) for s in range(fine.pairs.sample_start[j], fine.pairs.sample_start[j + 1])]
    np.testing.assert_array_equal(np.column_stack([samples, row]), expected)


def test_posterior_keeps_the_fraction(fine, rng):
    scores = rng.normal(0, 2, len(fine.pairs.sample_shift)).astype(np.float32)
    posterior = Posterior.of(fine.plan, fine, scores, 2)
    for i in range(4):
        mine = slice(fine.pairs.particle_samples[i], fine.pairs.particle_samples[i + 1])
        values = np.exp(scores[mine].astype(float))
        full = values / values.sum()
        kept = posterior.weights[mine]
        assert posterior.log_sum[i] == pytest.approx(np.log(values.sum()), abs=1e-5)
        assert posterior.pmax[i] == pytest.approx(full.max(), rel=1e-5)
        np.testing.assert_allclose(kept[kept > 0], full[kept > 0], rtol=1e-4)
        assert 0.9 <= kept.sum() < 0.9 + full[kept > 0].min() + 1e-5  # no sample more than needed
        assert posterior.by_class[i].sum() == pytest.approx(kept.sum(), rel=1e-5)
    used = posterior.used()
    assert set(used) == set(np.flatnonzero(posterior.pair_weight > 0))
    assert (np.diff(fine.slice_key[used]) >= 0).all()


def test_by_correlation_one_sample_counts(rng):
    plan = make_plan(make_global_grid(0, "C1", 0.2), None, correlate=True)
    fine = FineSamples.of(plan, random_samples(rng, n_coarse=18), np.zeros((4, 3)))
    posterior = Posterior.of(plan, fine, rng.normal(0, 2, len(fine.pairs.sample_shift)).astype(np.float32), 2)
    np.testing.assert_array_equal(posterior.by_class.sum(axis=1), 1.0)
    np.testing.assert_array_equal(posterior.pmax, 1.0)


def test_weights_are_assigned_to_directions(fine, rng):
    scores = rng.normal(0, 2, len(fine.pairs.sample_shift)).astype(np.float32)
    posterior = Posterior.of(fine.plan, fine, scores, 2)
    classes, directions = np.zeros(2), np.zeros((2, fine.plan.n_directions))
    posterior.assign(classes, directions)
    np.testing.assert_allclose(directions.sum(axis=1), classes, rtol=1e-6)
    # the grid is turned by its perturbation: undo it, and each pair's direction is near its view
    views = euler_to_matrix(*fine.plan.grid.direction_angles().T, 0.0)[:, 2]
    found = fine.matrices_of(np.arange(len(fine.pairs.child))) @ fine.plan.grid.turn.T
    nearest = (found[:, 2] @ views.T).argmax(axis=1)
    expected = np.zeros_like(directions)
    np.add.at(expected, (fine.pairs.grid_class, nearest), posterior.pair_weight)
    np.testing.assert_allclose(directions, expected, atol=1e-9)
