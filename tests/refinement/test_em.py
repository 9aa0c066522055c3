"""The Wiener average against its formula."""

import numpy as np
import pytest

from relion4plugin.refinement import em, voxels
from relion4plugin.refinement.references import PaddedGrid, forward, gridding_correction
from relion4plugin.refinement.state import Model
from tests.refinement.gaussian_volumes import CENTRES, HEIGHTS, blob_volume, frequencies

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


VOLUME_GRID = PaddedGrid(12, 2, 3)


def test_regularised_weight_of_volumes_equals_its_formula(rng, monkeypatch):
    monkeypatch.setattr(voxels, "BLOCK", 1000)
    monkeypatch.setattr(voxels, "CACHED", 0)
    weight = rng.uniform(1, 50, VOLUME_GRID.shape).astype(np.float32)
    weight[2, -2, 1] = 0.0
    tau2 = rng.uniform(1e-4, 1e-2, 7)
    found = np.zeros(weight.size)
    for block, values in em.regularised_weights(weight, tau2, VOLUME_GRID, 12, 2.0):
        found[block.flat] = values
    found = found.reshape(weight.shape)
    r = np.sqrt((frequencies(24, 1) ** 2).sum(axis=-1))
    shell, ring = np.floor(r / 2 + 0.5).astype(int), np.floor(r / 2)
    total = weight + np.where(shell >= 5, 1 / (2**3 * 2.0 * tau2[np.minimum(shell, 6)]), 0.0)
    inside = r < 12
    kept = inside & (weight > 0)
    assert np.allclose(found[kept], total[kept], rtol=1e-5)
    assert found[2, -2, 1] == pytest.approx(total[inside & (ring == 1)].mean() / 1000, rel=1e-5)
    assert not found[~inside].any()


def test_volume_is_given_back_by_its_own_transform():
    """Data / weight of a map's own transform is the map, low-passed to the image size."""
    volume = blob_volume(24, CENTRES, HEIGHTS, 2.0)
    grid = PaddedGrid(24, 2, 3)
    transform = forward(volume[None] * gridding_correction(24, 2, 3), grid, corrected=False)[0]
    weight = np.full(grid.shape, 1e6, np.float32)
    found = em.reconstruct(weight * transform, weight, grid, 20)
    assert np.abs(found - volume).max() < 0.01 * volume.max()
    model = Model(np.ones((2, 24, 24, 24), np.float32), np.array([1.0, 0.0]), np.ones((1, 13)), np.ones(1))
    model.current_size, model.tau2 = 20, np.full((2, 13), 1.0)
    data, weights = np.stack([weight * transform] * 2)[None], np.stack([weight] * 2)[None]
    em.update_references(model, grid, data, weights, 2.0, np.array([True, False]))
    assert np.abs(model.references[0] - volume).max() < 0.01 * volume.max()
    assert not model.references[1].any()


def test_prior_dampens_what_has_little_weight():
    volume = blob_volume(16, np.array([[0.3, 0.2, -0.4]]), np.ones(1), 0.7)
    grid = PaddedGrid(16, 1, 3)
    transform = forward(volume[None], grid, corrected=False)[0]
    weight = np.full(grid.shape, 4.0, np.float32)
    tau2 = np.full(9, 1 / 4.0)
    plain = em.reconstruct(weight * transform, weight, grid, 16)
    damped = em.reconstruct(weight * transform, weight, grid, 16, tau2, 0.5)
    a, b = (np.fft.rfftn(v * gridding_correction(16, 1, 3)) for v in (damped, plain))
    shell = np.floor(np.sqrt((frequencies(16, 1) ** 2).sum(axis=-1)) + 0.5)
    ratio = [(a * b.conj())[shell == s].real.sum() / (np.abs(b[shell == s]) ** 2).sum() for s in range(8)]
    assert np.allclose(ratio[1:4], 1.0, atol=0.03)
    assert np.allclose(ratio[6], 4 / (4 + 1 / (0.5 / 4)), atol=0.04)
