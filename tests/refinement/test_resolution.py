"""Spectra, resolution and image size."""

import numpy as np
import pytest

from relion4plugin.refinement import resolution
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.state import Model
from tests.refinement.gaussian_volumes import frequencies

BOX, PAD = 24, 2
M = BOX * PAD
GRID = PaddedGrid(BOX, PAD)
SHELLS = BOX // 2 + 1


def spectra_model(rng):
    model = Model(np.zeros((2, BOX, BOX), np.float32), np.array([0.5, 0.5]), np.ones((1, SHELLS)), np.ones(1))
    model.current_size, model.tau2 = 20, rng.uniform(1e-3, 1e-1, (2, SHELLS))
    model.data_vs_prior, model.sigma2_class, model.coverage = (np.full((2, SHELLS), -1.0) for _ in range(3))
    return model


def test_spectra_equal_loops_over_voxels(rng):
    model, weight = spectra_model(rng), rng.uniform(0, 9, (2, M, M // 2 + 1)).astype(np.float32)
    model.tau2[0, 7] = 0.0
    resolution.update_spectra(model, GRID, weight, 1.5, np.array([0]))
    for shell in range(11):
        ratios, weights = [], []
        for row in range(M):
            y = row if row < M // 2 else row - M
            for x in range(M // 2 + 1):
                if x * x + y * y < 20**2 and int(np.hypot(x, y) / PAD + 0.5) == shell:
                    f = float(weight[0, row, x])
                    ratios.append(f * PAD**2 * 1.5 * model.tau2[0, shell] if model.tau2[0, shell] > 0 else 0.001 * f**2)
                    weights.append(PAD**2 * f)
        assert model.data_vs_prior[0, shell] == pytest.approx(np.mean(ratios), rel=1e-5)
        assert model.sigma2_class[0, shell] == pytest.approx(1 / np.mean(weights), rel=1e-5)
        assert model.coverage[0, shell] == pytest.approx(np.mean(np.array(ratios) >= 1), abs=1e-9)
    assert np.all(model.data_vs_prior[1] == -1.0)


def test_resolution_is_that_of_the_best_class_and_at_least_shell_5(rng):
    model = spectra_model(rng)
    model.data_vs_prior = np.where(np.arange(SHELLS) < np.array([[8], [3]]), 5.0, 0.5)
    assert resolution.first_unresolved(model.data_vs_prior).tolist() == [8, 3]
    resolution.update_resolution(model, 3.0, early=False)
    assert model.resolution_shell == 7
    assert resolution.next_image_size(model) == BOX
    assert resolution.class_resolutions(model, 3.0) == pytest.approx([BOX * 3 / 7, BOX * 3 / 2])
    assert model.iterations_without_gain == 0
    resolution.update_resolution(model, 3.0, early=False)
    assert model.iterations_without_gain == 1
    resolution.update_resolution(model, 3.0, early=True)
    assert model.iterations_without_gain == 0
    model.data_vs_prior[:] = 0.1
    resolution.update_resolution(model, 3.0, early=False)
    assert model.resolution_shell == 5
    assert resolution.resolution_of_shell(0, BOX, 3.0) == 999.0


@pytest.mark.parametrize("padding", [1, 2])
def test_spectra_of_volumes_count_voxels_of_both_halves(rng, padding):
    grid = PaddedGrid(12, padding, 3)
    model = Model(np.zeros((1, 12, 12, 12), np.float32), np.ones(1), np.ones((1, 7)), np.ones(1))
    model.current_size, model.tau2 = 10, rng.uniform(1e-3, 1e-1, (1, 7))
    model.data_vs_prior, model.sigma2_class, model.coverage = (np.zeros((1, 7)) for _ in range(3))
    weight, other = rng.uniform(0, 9, (2, 1, *grid.shape)).astype(np.float32)
    r = np.sqrt((frequencies(grid.size, 1) ** 2).sum(axis=-1))
    shell = np.where(r < padding * 5, np.floor(r / padding + 0.5), -1)
    for total, both in ((weight, None), (weight + other, other)):
        resolution.update_spectra(model, grid, weight, 1.5, np.array([0]), both)
        for s in range(6):
            f = total[0][shell == s].astype(float)
            ratio = f * padding**3 * 1.5 * model.tau2[0, s]
            assert model.data_vs_prior[0, s] == pytest.approx(ratio.mean(), rel=1e-5)
            assert model.sigma2_class[0, s] == pytest.approx(1 / (padding**3 * f.mean()), rel=1e-5)
            assert model.coverage[0, s] == pytest.approx((ratio >= 1).mean(), abs=1e-9)


def test_image_size_grows_faster_where_halves_and_poses_are_sure(rng):
    model = spectra_model(rng)
    model.references = np.zeros((1, 100, 100), np.float32)
    model.resolution_shell, model.ave_pmax = 12, 0.5
    assert resolution.next_image_size(model) == 44
    assert resolution.next_image_size(model, 14) == 52
    assert resolution.next_image_size(model, 14, high_fsc_at_limit=True) == 2 * (12 + 13)  # 12.5 rounds up
    model.ave_pmax = 0.05
    assert resolution.next_image_size(model, 14, high_fsc_at_limit=True) == 52
    model.resolution_shell = 45
    assert resolution.next_image_size(model, 14) == 100


def test_resolution_told_by_half_maps_takes_precedence(rng):
    model = spectra_model(rng)
    model.data_vs_prior[:] = 0.1
    resolution.update_resolution(model, 3.0, early=False, resolved=9)
    assert model.resolution_shell == 9
    resolution.update_resolution(model, 3.0, early=False, resolved=2)
    assert model.resolution_shell == 5
    assert model.best_resolution_shell == 9
