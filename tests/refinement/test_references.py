"""Padded transforms of references: scale, round trip, gridding, power."""

import numpy as np
import pytest

from relion4plugin.refinement.references import (
    PaddedGrid,
    forward,
    gridding_correction,
    inverse,
    reference_power,
    soften_corners,
)
from relion4plugin.refinement.voxels import ShellMeans
from tests.refinement.simulated import blob_image


@pytest.mark.parametrize("padding", [1, 2])
def test_forward_is_undone_by_inverse(rng, padding):
    images, grid = rng.normal(size=(3, 20, 20)).astype(np.float32), PaddedGrid(20, padding)
    assert np.allclose(inverse(forward(images, grid, corrected=False), grid), images, atol=1e-5)
    corrected = inverse(forward(images, grid, corrected=True), grid)
    assert np.allclose(corrected * gridding_correction(20, padding), images, atol=1e-5)


def test_transform_has_the_scale_of_the_unpadded_image_and_its_centre(rng):
    image = blob_image(20, np.array([[2.0, -3.0]]), np.ones(1)).astype(np.float32)
    padded = forward(image[None], PaddedGrid(20, 2), corrected=False)[0]
    plain = np.fft.fft2(np.fft.ifftshift(image)) / 400
    assert np.allclose(padded[::2, ::2], plain[:, :11], atol=1e-6)


def test_gridding_is_a_radial_squared_sinc():
    values = gridding_correction(24, 2)
    for y, x in ((12, 12), (0, 12), (3, 20), (0, 0)):
        r = np.hypot(y - 12, x - 12) / 48
        assert values[y, x] == pytest.approx((np.sin(np.pi * r) / (np.pi * r)) ** 2 if r else 1.0, rel=1e-6)


def test_shells_of_the_padded_grid_round_halves_away_from_zero():
    shells = PaddedGrid(16, 2).shells()
    for k in range(17):
        assert shells[0, k] == (k + 1) // 2
    assert shells[3, 0] == 2
    assert shells[-3, 0] == 2
    assert shells[3, 4] == 3  # radius 5 / 2 = 2.5
    assert PaddedGrid(16, 2).radius_squared()[-2, 3] == 13


def test_inside_is_the_open_disc():
    grid = PaddedGrid(16, 2)
    flat = np.zeros(grid.size * (grid.size // 2 + 1), bool)
    flat[grid.inside(8)] = True
    inside = flat.reshape(grid.size, -1)
    for y in range(-16, 16):
        for x in range(17):
            assert inside[y, x] == (x * x + y * y < 64)


def test_power_of_white_noise_is_flat(rng):
    box, grid = 32, PaddedGrid(32, 2)
    images = rng.normal(size=(60, box, box)).astype(np.float32)
    power = reference_power(forward(images, grid, corrected=False), grid, 24)
    assert np.allclose(power.mean(axis=0)[2:13] * 2 * box**2, 1.0, atol=0.08)
    assert not power[:, 13:].any()


def test_shell_means_with_an_empty_shell():
    means = ShellMeans(4)
    means.add(np.array([0, 2]), np.array([1.0, 5.0]))
    means.add(np.array([0, 5]), np.array([3.0, 7.0]))
    assert np.allclose(means.means(), [[2.0, 0.0, 5.0, 0.0]])


def test_corners_fade_to_their_average(rng):
    image = rng.normal(size=(1, 24, 24)).astype(np.float32) + 5
    soft = soften_corners(image)[0]
    axis = np.arange(24) - 12
    r = np.hypot(axis[:, None], axis[None])
    assert np.allclose(soft[r <= 12], image[0][r <= 12], atol=1e-5)
    assert np.ptp(soft[r >= 15]) < 1e-4
