"""Angles, shifts, their children and perturbation, and image sizes of the two passes."""

import numpy as np
import pytest

from relion4plugin.refinement.sampling import coarse_image_size, likelihood_size, make_sampling, next_perturbation, number_of_angles
from relion4plugin.refinement.settings import RefinementSettings


def test_default_grid_has_30_angles_and_21_shifts():
    grid = make_sampling(RefinementSettings(), 0.0)
    assert grid.psi_coarse.shape == (30,)
    assert grid.shifts.coarse.shape == (21, 2)
    assert grid.psi_step == pytest.approx(12.0)
    assert np.hypot(*grid.shifts.coarse.T).max() <= 5.0
    assert (grid.psi_children, grid.shifts.children) == (2, 4)


def test_wider_range_has_29_shifts():
    assert len(make_sampling(RefinementSettings(offset_range=6), 0.0).shifts.coarse) == 29


def test_points_on_the_circle_are_kept():
    shifts = make_sampling(RefinementSettings(offset_range=4), 0.0).shifts.coarse
    assert len(shifts) == 13
    assert [4.0, 0.0] in shifts.tolist()


def test_children_lie_a_quarter_step_beside_their_parent():
    grid = make_sampling(RefinementSettings(), 0.13)
    around = grid.psi_fine.reshape(30, 2) - grid.psi_coarse[:, None]
    assert np.allclose(around, [-3.0, 3.0])
    around = grid.shifts.fine.reshape(21, 4, 2) - grid.shifts.coarse[:, None]
    assert {tuple(p) for p in around[5].round(9)} == {(-0.5, -0.5), (0.5, -0.5), (-0.5, 0.5), (0.5, 0.5)}
    assert np.allclose(around, around[0])


def test_fine_grid_is_uniform_and_covers_the_circle():
    fine = np.sort(make_sampling(RefinementSettings(psi_step=10), 0.37).psi_fine % 360)
    assert np.allclose(np.diff(fine), 5.0)
    assert len(fine) == 72


def test_perturbation_moves_all_angles_and_both_shift_coordinates():
    still, moved = make_sampling(RefinementSettings(), 0.0), make_sampling(RefinementSettings(), 0.25)
    assert np.allclose(moved.psi_coarse - still.psi_coarse, 3.0)
    assert np.allclose(moved.shifts.coarse - still.shifts.coarse, 0.5)


def test_half_turn_pairs():
    for step in (12.0, 7.0, 360.0 / 13):
        psi = make_sampling(RefinementSettings(psi_step=step), 0.2).psi_coarse
        assert len(psi) % 2 == 0
        half = len(psi) // 2
        assert np.allclose(psi[half:] - psi[:half], 180.0)
    assert number_of_angles(12.0) == 30
    assert number_of_angles(11.25) == 32
    assert number_of_angles(7.0) == 52


def test_no_oversampling_has_no_children():
    grid = make_sampling(RefinementSettings(oversampling=0), 0.1)
    assert np.array_equal(grid.psi_fine, grid.psi_coarse)
    assert np.array_equal(grid.shifts.fine, grid.shifts.coarse)


def test_oversampling_of_two_halves_the_steps_twice():
    grid = make_sampling(RefinementSettings(oversampling=2), 0.0)
    assert np.allclose(np.diff(np.sort(grid.psi_fine % 360)), 3.0)
    assert grid.shifts.children == 16


def test_perturbation_walks_in_steps_of_half_to_one_factor_and_wraps():
    rng, state, steps = np.random.default_rng(3), 0.0, []
    for _ in range(2000):
        after = next_perturbation(state, 0.5, rng)
        assert -0.5 < after <= 0.5
        steps.append((after - state) % 1.0)
        state = after
    assert min(steps) >= 0.25 - 1e-12
    assert max(steps) <= 0.5 + 1e-12
    assert np.mean(steps) == pytest.approx(0.375, abs=0.01)
    assert next_perturbation(0.3, 0.0, rng) == 0.0


@pytest.mark.parametrize(("diameter", "step", "size"), [(150, 12, 56), (200, 12, 42), (150, 11.25, 60), (200, 11.25, 46)])
def test_coarse_sizes_of_a_96_px_box_at_3_angstrom(diameter, step, size):
    settings = RefinementSettings(particle_diameter=diameter)
    assert coarse_image_size(settings, 96, 3.0, step, 96) == size
    assert coarse_image_size(settings, 192, 1.5, step, 192) == size
    assert coarse_image_size(settings, 96, 3.0, step, 30) == 30


def test_resolution_limit_bounds_both_passes():
    settings = RefinementSettings(strict_highres=16.0)
    assert likelihood_size(settings, 96, 3.0, 90) == 36
    assert coarse_image_size(settings, 96, 3.0, 12.0, 90) == 36
    assert likelihood_size(settings, 96, 3.0, 20) == 20
    assert likelihood_size(RefinementSettings(), 96, 3.0, 90) == 90
    # 288 / 32 = 9 -> 18; 288 / 64 = 4.5 rounds away from zero
    assert likelihood_size(RefinementSettings(strict_highres=64.0), 96, 3.0, 90) == 10
