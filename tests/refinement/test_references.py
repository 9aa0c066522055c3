"""Padded transforms of references: scale, round trip, gridding, power."""

import numpy as np
import pytest

from relion4plugin.refinement import voxels
from relion4plugin.refinement.references import (
    PaddedGrid,
    forward,
    gridding_correction,
    inverse,
    reference_power,
    soften_corners,
)
from relion4plugin.refinement.volume_transforms import inverse_volume
from relion4plugin.refinement.voxels import ShellMeans
from tests.refinement.gaussian_volumes import CENTRES, HEIGHTS, blob_volume, frequencies, transform_at
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


@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("corrected", [False, True])
def test_volume_transform_is_that_of_the_padded_map(rng, padding, corrected):
    volumes, grid = rng.normal(size=(2, 12, 12, 12)).astype(np.float32), PaddedGrid(12, padding, 3)
    found = forward(volumes, grid, corrected=corrected)
    m, start = grid.size, grid.size // 2 - 6
    for volume, transform in zip(volumes, found, strict=True):
        padded = np.zeros((m, m, m))
        padded[start : start + 12, start : start + 12, start : start + 12] = (
            volume / gridding_correction(12, padding, 3) if corrected else volume
        )
        assert np.allclose(transform, np.fft.rfftn(np.fft.ifftshift(padded)) / 144, atol=2e-6)
    back = inverse(found, grid)
    assert np.allclose(back * gridding_correction(12, padding, 3) if corrected else back, volumes, atol=1e-5)


def test_volume_transform_has_the_scale_of_its_projections():
    volume = blob_volume(16, CENTRES, HEIGHTS)
    found = forward(volume[None], PaddedGrid(16, 2, 3), corrected=False)[0]
    assert np.allclose(found, transform_at(frequencies(32, 2), 16, CENTRES, HEIGHTS), atol=2e-3 * np.abs(found).max())
    projection = np.fft.rfft2(np.fft.ifftshift(volume.sum(axis=0))) / 16**2
    assert np.allclose(found[0, ::2, ::2], projection, atol=1e-6)


def test_volume_transform_up_to_a_size_is_the_low_part_of_the_whole(rng):
    volume, grid = rng.normal(size=(1, 16, 16, 16)).astype(np.float32), PaddedGrid(16, 2, 3)
    whole, part = forward(volume, grid, corrected=False)[0], forward(volume, grid, corrected=False, current_size=8)[0]
    k = np.abs(frequencies(32, 1))
    low = (k <= 8).all(axis=-1)
    assert np.allclose(part[low], whole[low], atol=1e-6)
    assert not part[~low].any()
    assert np.allclose(inverse(part[None], grid, current_size=8), inverse(part[None], grid), atol=1e-5)
    assert np.allclose(inverse(whole[None], grid, current_size=8), inverse(part[None], grid), atol=1e-5)


def test_small_grid_of_low_frequencies_gives_the_same_map(rng):
    grid = PaddedGrid(16, 2, 3)
    part = forward(rng.normal(size=(1, 16, 16, 16)).astype(np.float32), grid, corrected=False, current_size=6)[0]
    rows = np.concatenate([np.arange(7), np.zeros(1, int), np.arange(26, 32)])
    small = part[np.ix_(rows, rows, np.arange(8))].copy()
    small[7], small[:, 7], small[:, :, 7] = 0, 0, 0
    assert np.allclose(inverse_volume(small, 16, 32), inverse(part[None], grid)[0], atol=1e-6)


def test_gridding_of_volumes_is_radial():
    values = gridding_correction(16, 2, 3)
    for z, y, x in ((8, 8, 8), (0, 8, 8), (3, 12, 1), (0, 0, 0)):
        r = np.sqrt((x - 8) ** 2 + (y - 8) ** 2 + (z - 8) ** 2) / 32
        assert values[z, y, x] == pytest.approx((np.sin(np.pi * r) / (np.pi * r)) ** 2 if r else 1.0, rel=1e-6)


@pytest.mark.parametrize(("padding", "size"), [(1, 12), (2, 8), (2, 12)])
@pytest.mark.parametrize("closed", [False, True])
def test_blocks_of_volumes_list_the_ball_with_its_shells(monkeypatch, padding, size, closed):
    monkeypatch.setattr(voxels, "BLOCK", 500)
    monkeypatch.setattr(voxels, "CACHED", 0)
    grid = PaddedGrid(12, padding, 3)
    blocks = list(grid.blocks(size, closed=closed))
    assert len(blocks) > 2
    flat = np.concatenate([block.flat for block in blocks])
    r2 = (frequencies(12 * padding, 1) ** 2).sum(axis=-1).ravel()
    limit = (padding * size // 2) ** 2
    assert np.array_equal(flat, np.flatnonzero(r2 <= limit if closed else r2 < limit))
    assert np.array_equal(np.concatenate([b.shell for b in blocks]), np.floor(np.sqrt(r2[flat]) / padding + 0.5))
    assert np.array_equal(np.concatenate([b.ring for b in blocks]), np.floor(np.sqrt(r2[flat]) / padding))
    assert np.array_equal(grid.shells().ravel()[flat], np.concatenate([b.shell for b in blocks]))
    assert grid.shells().dtype == grid.radius_squared().dtype == np.int32


def test_power_of_white_noise_volumes_grows_with_the_box(rng):
    """A sum over N^3 voxels divided by N^2: N times the variance of a projection's pixel over N^2."""
    volumes, grid = rng.normal(size=(2, 24, 24, 24)).astype(np.float32), PaddedGrid(24, 1, 3)
    power = reference_power(forward(volumes, grid, corrected=False), grid, 20)
    assert np.allclose(power[:, 3:11] * 2 * 24, 1.0, atol=0.2)
    assert power[:, 3:11].mean() * 2 * 24 == pytest.approx(1.0, abs=0.04)
    assert not power[:, 11:].any()


def test_corners_of_volumes_fade_to_their_average(rng):
    volume = rng.normal(size=(2, 16, 16, 16)).astype(np.float32) + 5
    soft = soften_corners(volume)
    axis = (np.arange(16) - 8) ** 2
    r = np.sqrt(axis[:, None, None] + axis[:, None] + axis)
    assert np.allclose(soft[:, r <= 8], volume[:, r <= 8], atol=1e-5)
    assert np.ptp(soft[:, r >= 11], axis=1).max() < 1e-4
    assert abs(soft[0, 0, 0, 0] - soft[1, 0, 0, 0]) > 1e-4
