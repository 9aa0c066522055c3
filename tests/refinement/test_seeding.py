"""Classes that start from one map: each particle is dealt to one of them."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import read_star
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.expectation_volume_cpu import VolumeCpuExpectation
from relion4plugin.refinement.images import ImageSource
from relion4plugin.refinement.particles import make_batch
from relion4plugin.refinement.search import ParticleSums
from relion4plugin.refinement.seeding import choose_classes, expect_seeds, expect_together, seeding_iteration, single_class
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from tests.refinement.projections import DIAMETER, molecule, project
from tests.refinement.simulated import PIXEL
from tests.refinement.test_expectation_volume import CLASSES, Case

DEALT = np.random.default_rng(4).permutation(12) % CLASSES
FROM_MAP = RefinementSettings(dimension=3, n_classes=3, n_iterations=25, algorithm=Algorithm.EM, reference="map.mrc")


def test_particles_are_dealt_when_their_poses_are_settled():
    assert seeding_iteration(FROM_MAP) == 4
    assert seeding_iteration(replace(FROM_MAP, firstiter_cc=True)) == 4
    assert seeding_iteration(replace(FROM_MAP, n_iterations=2)) == 2


@pytest.mark.parametrize("changes", [{"skip_align": True}, {"sigma_angles": 5.0}, {"algorithm": Algorithm.VDAM}])
def test_known_poses_and_mini_batches_do_not_wait(changes):
    assert seeding_iteration(replace(FROM_MAP, **changes)) == 1
    assert seeding_iteration(replace(FROM_MAP, firstiter_cc=True, **changes)) == 2


@pytest.mark.parametrize("changes", [{"dimension": 2}, {"n_classes": 1}, {"reference": ""}])
def test_nothing_is_dealt_where_classes_differ_already(changes):
    assert seeding_iteration(replace(FROM_MAP, **changes)) == 0


def test_maps_of_their_own_are_no_seeds(tmp_path):
    star = tmp_path / "maps.star"
    star.write_text("data_references\n\nloop_\n_rlnReferenceImage\na.mrc\nb.mrc\nc.mrc\n\n")
    assert seeding_iteration(replace(FROM_MAP, reference=str(star))) == 0
    star.write_text("data_references\n\nloop_\n_rlnReferenceImage\na.mrc\n\n")
    assert seeding_iteration(replace(FROM_MAP, reference=str(star))) == 4


def expect(case: Case, model, dealt=None):
    """Run the step over all particles, dealt to classes or plainly."""
    batch = make_batch(np.arange(len(case.images)), case.particles, model, case.poses, case.plan, case.settings)
    step = VolumeCpuExpectation(ImageSource(case.particles.table, 1.0), case.model_images, case.settings)
    done = []
    try:
        if dealt is None:
            return step.run(batch, case.transforms, case.plan, model, done.append), done
        return expect_seeds(step, batch, case.transforms, case.plan, model, done.append, dealt), done
    finally:
        step.close()


def only(model, k):
    """A model in which the other classes have no prior; what is left of the priors sums to 1."""
    directions = np.where(np.arange(CLASSES)[:, None] == k, model.pdf_direction, 0.0)
    return replace(model, pdf_class=np.eye(CLASSES)[k], pdf_direction=directions / directions.sum())


@pytest.fixture(scope="module", params=[{}, {"lattice": (8.0, 4.0), "noise": 3.0}], ids=["global", "local"])
def case(request, tmp_path_factory):
    return Case(tmp_path_factory.mktemp("case"), n=12, n_optics=1, gradient=False, cap=0, **request.param)


def test_sums_are_those_of_plain_steps_in_which_other_classes_have_no_prior(case):
    dealt, done = expect(case, case.model, DEALT[: len(case.images)])
    assert sum(done) == len(case.images)
    mine = dealt.particles.best_class
    assert np.array_equal(np.bincount(mine), [6, 6])
    for k in range(CLASSES):
        plain, _ = expect(case, only(case.model, k) if case.pixels is not None else replace(case.model, pdf_class=np.eye(CLASSES)[k]))
        rows = mine == k
        for name in vars(ParticleSums.empty(1)):
            found, expected = getattr(dealt.particles, name)[rows], getattr(plain.particles, name)[rows]
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=name)


def test_grids_of_each_class_hold_its_own_particles(case):
    dealt, _ = expect(case, case.model, DEALT[: len(case.images)])
    batch = make_batch(np.arange(len(case.images)), case.particles, case.model, case.poses, case.plan, case.settings)
    step = VolumeCpuExpectation(ImageSource(case.particles.table, 1.0), case.model_images, case.settings)
    power = 0.0
    try:
        for k in range(CLASSES):
            part = batch.part(np.flatnonzero(dealt.particles.best_class == k))
            alone = step.run(part, case.transforms[k : k + 1], case.plan, single_class(case.model, k), lambda count: None)
            assert np.array_equal(dealt.data[:, k], alone.data[:, 0])
            assert np.array_equal(dealt.weight[:, k], alone.weight[:, 0])
            assert np.array_equal(dealt.direction_weight[k], alone.direction_weight[0])
            assert dealt.class_weight[k] == alone.class_weight[0]
            power = power + alone.noise_power
    finally:
        step.close()
    assert np.allclose(dealt.noise_power, power)


def test_a_class_without_particles_stays_empty(tmp_path):
    case = Case(tmp_path, n=1, n_optics=1)
    dealt, _ = expect(case, case.model, DEALT[: len(case.images)])
    empty = 1 - dealt.particles.best_class[0]
    assert dealt.class_weight[empty] == 0
    assert not dealt.data[:, empty].any() and not dealt.weight[:, empty].any()


def test_before_they_are_dealt_all_classes_get_the_sums_of_the_first(case):
    batch = make_batch(np.arange(len(case.images)), case.particles, case.model, case.poses, case.plan, case.settings)
    step = VolumeCpuExpectation(ImageSource(case.particles.table, 1.0), case.model_images, case.settings)
    try:
        alone = step.run(batch, case.transforms[:1], case.plan, single_class(case.model, 0), lambda count: None)
        shared = expect_together(step, batch, case.transforms, case.plan, case.model, lambda count: None)
    finally:
        step.close()
    for k in range(CLASSES):
        assert np.array_equal(shared.data[:, k], alone.data[:, 0]) and np.array_equal(shared.weight[:, k], alone.weight[:, 0])
    assert np.allclose(shared.class_weight, alone.class_weight[0] / CLASSES)
    assert np.isclose(shared.direction_weight.sum(), alone.direction_weight.sum())


def test_mini_batches_are_dealt_by_the_seed(case):
    batch = make_batch(np.arange(len(case.images)), case.particles, case.model, case.poses, case.plan, case.settings)

    def chosen(seed):
        inputs = SimpleNamespace(settings=replace(case.settings, algorithm=Algorithm.VDAM, seed=seed))
        return choose_classes(None, batch, case.transforms, case.plan, case.model, inputs)

    assert np.array_equal(np.bincount(chosen(4)), [6, 6])
    assert np.array_equal(chosen(4), chosen(4))
    assert not np.array_equal(chosen(4), chosen(5))


def test_whole_and_broken_particles_come_apart_from_one_map(tmp_path):
    truth = project(tmp_path, 160, structures=[molecule(5), molecule(5)[:8]], noise=0.5, signal=2.0)
    write_volume(tmp_path / "start.mrc", truth.volume, PIXEL)
    settings = RefinementSettings(
        dimension=3, algorithm=Algorithm.EM, n_classes=2, n_iterations=10, particle_diameter=DIAMETER, padding=1, healpix_order=1,
        reference=str(tmp_path / "start.mrc"), initial_lowpass=30.0, offset_range=3.0, offset_step=2.0, threads=2, seed=3,
        max_significants=200,
    )  # fmt: skip
    refine(settings, truth.particles, tmp_path / "run")
    first = read_star(tmp_path / "run" / "run_it004_data.star")["particles"]["rlnClassNumber"].to_numpy()
    last = read_star(tmp_path / "run" / "run_it010_data.star")["particles"]["rlnClassNumber"].to_numpy()
    assert np.array_equal(np.bincount(first)[1:], [80, 80])
    agreement = np.mean(last - 1 == truth.classes)
    assert max(agreement, 1 - agreement) > 0.9
