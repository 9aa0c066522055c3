"""The Wiener average against its formula, and spectra and resolution."""

import numpy as np
import pytest

from relion4plugin.refinement import em, resolution
from relion4plugin.refinement.references import PaddedGrid, forward, gridding_correction
from relion4plugin.refinement.state import Model

BOX, PAD = 24, 2
M = BOX * PAD
GRID = PaddedGrid(BOX, PAD)
SHELLS = BOX // 2 + 1


def full_grid(weight, tau2, size, fudge):
    out = np.zeros(weight.size)
    for block, values in em.regularised_weights(weight, tau2, GRID, size, fudge):
        out[block.flat] = values
    return out.reshape(weight.shape)


def test_regularised_weight_equals_its_formula(rng):
    weight = rng.uniform(1, 50, (M, M // 2 + 1)).astype(np.float32)
    weight[5, 3] = 0.0
    tau2 = rng.uniform(1e-3, 1e-1, SHELLS)
    tau2[11:] = 0.0
    size, fudge = 22, 2.0
    found = full_grid(weight, tau2, size, fudge)
    total = np.zeros((M, M // 2 + 1))
    for row in range(M):
        y = row if row < M // 2 else row - M
        for x in range(M // 2 + 1):
            shell = int(np.hypot(x, y) / PAD + 0.5)
            prior = 0.0
            if 5 <= shell <= 10:
                prior = 1 / (PAD**2 * fudge * tau2[shell])
            elif shell >= 11 and weight[row, x] > 0:
                prior = 1 / (0.001 * weight[row, x])
            total[row, x] = weight[row, x] + prior
            if np.hypot(x, y) < PAD * size // 2 and weight[row, x] > 0:
                assert found[row, x] == pytest.approx(total[row, x], rel=1e-5), (row, x)
    ring = [total[r, c] for r in range(M) for c in range(M // 2 + 1) if int(np.hypot(r if r < M // 2 else r - M, c) / PAD) == 2]
    assert found[5, 3] == pytest.approx(np.mean(ring) / 1000, rel=1e-5)


def test_floor_of_the_outermost_ring_is_the_mean_of_that_ring():
    """Voxels beyond the image size have no data and must not lower the mean."""
    size = 16
    inside = GRID.radius_squared() < (PAD * size // 2) ** 2
    weight = np.where(inside, 50.0, 0.0).astype(np.float32)
    row = PAD * size // 2 - 1
    weight[row, 0] = 0.0
    found = full_grid(weight, np.zeros(SHELLS), size, 1.0)
    ring = inside & (np.floor(np.sqrt(GRID.radius_squared()) / PAD) == size // 2 - 1)
    shells = GRID.shells()[ring]
    expected = weight[ring] + np.where((shells >= 5) & (weight[ring] > 0), 1 / (0.001 * np.maximum(weight[ring], 1e-9)), 0)
    assert found[row, 0] == pytest.approx(expected.mean() / 1000, rel=1e-4)


def test_update_gives_back_a_reference_from_its_own_transform(rng):
    """With weights far above the prior, data / weight is the reference, low-passed to the image size."""
    axis = np.arange(BOX) - BOX // 2
    image = np.exp(-(((axis[:, None] - 1) ** 2 + (axis[None] + 2) ** 2) / 18)).astype(np.float32)
    transform = forward(image[None] * gridding_correction(BOX, PAD), GRID, corrected=False)  # as bilinear insertion leaves it
    weight = np.full((1, 2, M, M // 2 + 1), 1e6, np.float32)
    model = Model(np.zeros((2, BOX, BOX), np.float32), np.array([1.0, 0.0]), np.ones((1, SHELLS)), np.ones(1))
    model.references[1] = 1.0
    model.current_size, model.tau2 = BOX, np.full((2, SHELLS), 1.0)
    em.update_references(model, GRID, weight * transform[0], weight, 2.0, np.array([True, False]))
    inside = np.hypot(axis[:, None], axis[None]) < BOX // 2 - 1
    assert np.allclose(model.references[0][inside], image[inside], atol=3e-3)
    assert not model.references[1].any()


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


def test_gridding_is_divided_out_once():
    """A flat transform of weight 1 everywhere is a point; its neighbourhood is not darkened."""
    model = Model(np.zeros((1, BOX, BOX), np.float32), np.ones(1), np.ones((1, SHELLS)), np.ones(1))
    image = np.zeros((1, BOX, BOX), np.float32)
    image[0, 12, 17] = 1.0
    model.current_size, model.tau2 = BOX, np.full((1, SHELLS), 1e9)
    weight = np.ones((1, 1, M, M // 2 + 1), np.float32)
    em.update_references(model, GRID, weight * forward(image, GRID, corrected=False)[0], weight, 1.0, np.array([True]))
    plain = model.references[0] * gridding_correction(BOX, PAD)
    assert plain[12, 17] == pytest.approx(np.pi / 4, abs=0.03)  # the disc's share of all frequencies
