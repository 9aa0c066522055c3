"""Step size, T and mini-batches against tabulated values."""

import numpy as np
import pytest

from relion4plugin.refinement import schedules
from relion4plugin.refinement.settings import Algorithm, RefinementSettings

VDAM = RefinementSettings(n_classes=50, n_iterations=200, tau2_fudge=2.0)
EM = RefinementSettings(algorithm=Algorithm.EM, n_classes=50, n_iterations=25, tau2_fudge=2.0)
N = 100_000

TABLE = [  # iteration, eta, T, mini-batch of 100 000 particles
    (1, 0.9000, 1.0000, 500),
    (50, 0.8991, 1.0003, 500),
    (60, 0.8941, 1.0099, 500),
    (66, 0.8824, 1.0836, 770),
    (72, 0.8499, 1.4541, 1040),
    (80, 0.7292, 1.9406, 1400),
    (85, 0.6000, 1.9901, 1625),
    (100, 0.3356, 2.0000, 2300),
    (110, 0.3059, 2.0000, 2750),
    (120, 0.3009, 2.0000, 3200),
    (150, 0.3000, 2.0000, 4550),
    (160, 0.3000, 2.0000, 5000),
    (199, 0.3000, 2.0000, 5000),
    (200, 0.3000, 2.0000, N),
]


@pytest.mark.parametrize(("iteration", "eta", "fudge", "size"), TABLE)
def test_tabulated_values_of_200_iterations(iteration, eta, fudge, size):
    assert schedules.step_size(VDAM, iteration) == pytest.approx(eta, abs=5.1e-5)
    assert schedules.tau2_fudge(VDAM, iteration) == pytest.approx(fudge, abs=5.1e-5)
    assert schedules.subset_size(VDAM, iteration, N) == size


def test_phases_are_truncated_and_add_up():
    assert schedules.Phases.of(VDAM) == schedules.Phases(60, 100, 40)
    odd = schedules.Phases.of(RefinementSettings(n_iterations=33))
    assert (odd.initial, odd.between, odd.final) == (9, 18, 6)


def test_fractions_above_nine_tenths_are_scaled_down():
    phases = schedules.Phases.of(RefinementSettings(n_iterations=100, ini_fraction=0.7, fin_fraction=0.5))
    assert (phases.initial, phases.final) == (int(100 * 0.7 / 1.3), int(100 * 0.5 / 1.3))
    assert phases.initial + phases.between + phases.final == 100


@pytest.mark.parametrize("iterations", [1, 2, 3, 5, 8])
def test_very_short_runs_have_finite_schedules(iterations):
    settings = RefinementSettings(n_iterations=iterations, n_classes=2)
    for i in range(1, iterations + 1):
        assert 0.3 <= schedules.step_size(settings, i) <= 0.9
        assert 1.0 <= schedules.tau2_fudge(settings, i) <= 2.0
        assert 1 <= schedules.subset_size(settings, i, 5000) <= 5000


def test_custom_step_size_is_inflated_at_first():
    settings = RefinementSettings(step_size=0.2)
    assert schedules.step_size(settings, 1) == pytest.approx(0.6, abs=1e-4)
    assert schedules.step_size(settings, 200) == pytest.approx(0.2, abs=1e-4)


@pytest.mark.parametrize(
    ("n", "first", "last"), [(1000, 200, 1000), (5000, 200, 1000), (1_000_000, 5000, 50_000), (10_000_000, 10_000, 100_000)]
)
def test_mini_batches_have_floors_and_ceilings(n, first, last):
    assert schedules.subset_size(VDAM, 1, n) == first
    assert schedules.subset_size(VDAM, 199, n) == last


def test_requested_subset_sizes_and_few_particles():
    settings = RefinementSettings(ini_subset=30, fin_subset=80)
    assert [schedules.subset_size(settings, i, 60) for i in (1, 110, 199, 200)] == [30, 55, 60, 60]


def test_em_is_constant():
    for i in (1, 13, 25):
        assert schedules.tau2_fudge(EM, i) == 2.0
        assert schedules.subset_size(EM, i, N) == N
        assert not schedules.is_gradient(EM, i)


def test_fast_subsets():
    settings = RefinementSettings(algorithm=Algorithm.EM, n_classes=20, fast_subsets=True)
    sizes = [schedules.subset_size(settings, i, N) for i in (1, 5, 6, 10, 11, 15, 16)]
    assert sizes == [2000, 2000, 6000, 6000, 30_000, 30_000, N]
    assert schedules.subset_size(settings, 11, 10_000) == 6000
    assert schedules.subset_size(settings, 1, 500) == 500


def test_final_em_iterations_are_not_gradient_iterations():
    settings = RefinementSettings(n_iterations=20, em_iterations=3)
    assert [schedules.is_gradient(settings, i) for i in (17, 18, 20)] == [True, False, False]


def test_mini_batches_are_reproducible_and_without_duplicates():
    draw = schedules.select_subset(7, 3, 1000, 200)
    assert np.array_equal(draw, schedules.select_subset(7, 3, 1000, 200))
    assert len(np.unique(draw)) == 200
    assert np.all(np.diff(draw) > 0)
    assert draw.min() >= 0
    assert draw.max() < 1000
    assert not np.array_equal(draw, schedules.select_subset(7, 4, 1000, 200))
    assert not np.array_equal(draw, schedules.select_subset(8, 3, 1000, 200))
    assert np.array_equal(schedules.select_subset(7, 3, 50, 50), np.arange(50))


def test_mini_batches_visit_all_particles_equally_often():
    visits = np.zeros(400)
    for i in range(400):
        visits[schedules.select_subset(1, i, 400, 100)] += 1
    assert abs(visits.mean() - 100) < 1e-9
    assert 50 < visits.min() < visits.max() < 150


@pytest.mark.parametrize("n_classes", [1, 2, 50])
def test_the_last_iteration_visits_all_particles(n_classes):
    settings = RefinementSettings(n_classes=n_classes, n_iterations=20)
    assert schedules.subset_size(settings, 19, 100_000) < 100_000
    assert schedules.subset_size(settings, 20, 100_000) == 100_000


INITIAL = RefinementSettings(dimension=3, n_classes=3, n_iterations=200, tau2_fudge=4.0)
CLASSES_3D = RefinementSettings(dimension=3, n_classes=3, n_iterations=200, tau2_fudge=4.0, reference="map.mrc")

TABLE_INITIAL = [  # iteration, eta, T, mini-batch of 100 000 particles
    (1, 0.9000, 1.0000, 500),
    (50, 0.8994, 1.0008, 500),
    (60, 0.8960, 1.0297, 500),
    (66, 0.8883, 1.2507, 1070),
    (72, 0.8666, 2.3622, 1640),
    (80, 0.7861, 3.8219, 2400),
    (85, 0.7000, 3.9703, 2875),
    (100, 0.5237, 3.9999, 4300),
    (110, 0.5040, 4.0000, 5250),
    (120, 0.5006, 4.0000, 6200),
    (150, 0.5000, 4.0000, 9050),
    (160, 0.5000, 4.0000, 10_000),
    (199, 0.5000, 4.0000, 10_000),
    (200, 0.5000, 4.0000, N),
]


@pytest.mark.parametrize(("iteration", "eta", "fudge", "size"), TABLE_INITIAL)
def test_tabulated_values_of_an_initial_model(iteration, eta, fudge, size):
    assert schedules.step_size(INITIAL, iteration) == pytest.approx(eta, abs=5.1e-5)
    assert schedules.tau2_fudge(INITIAL, iteration) == pytest.approx(fudge, abs=5.1e-5)
    assert schedules.subset_size(INITIAL, iteration, N) == size


@pytest.mark.parametrize(("n", "first", "last"), [(3000, 200, 1000), (2_000_000, 5000, 50_000), (400_000, 2000, 40_000)])
def test_mini_batches_of_an_initial_model_have_floors_and_ceilings(n, first, last):
    assert schedules.subset_size(INITIAL, 1, n) == first
    assert schedules.subset_size(INITIAL, 199, n) == last


def test_gradient_classification_in_3d_is_constant():
    for i in (1, 60, 85, 199):
        assert schedules.step_size(CLASSES_3D, i) == pytest.approx(0.3)
        assert schedules.tau2_fudge(CLASSES_3D, i) == 4.0
        assert schedules.subset_size(CLASSES_3D, i, N) == 10_000
    assert schedules.subset_size(CLASSES_3D, 200, N) == N
    assert [schedules.subset_size(CLASSES_3D, i, 1500) for i in (1, 199)] == [200, 1000]
    assert schedules.subset_size(CLASSES_3D, 1, 5_000_000) == 100_000


def test_fast_subsets_in_3d():
    settings = RefinementSettings(dimension=3, algorithm=Algorithm.EM, n_classes=4, fast_subsets=True, reference="map.mrc")
    sizes = [schedules.subset_size(settings, i, N) for i in (1, 5, 6, 10, 11, 15, 16)]
    assert sizes == [6000, 6000, 18_000, 18_000, 30_000, 30_000, N]
