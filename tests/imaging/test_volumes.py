"""Maps on a grid, against closed forms: Gaussian blobs can be turned, moved and resampled exactly."""

import numpy as np
import pytest

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.volumes import centre_of_mass, mirror_volume, resample_volume, rotate_volume, symmetrise_volume

BLOBS = np.array([[6.0, 2.0, -3.0], [-4.0, 5.0, 1.0], [0.0, -7.0, 4.0]])
HEIGHTS = np.array([1.0, 0.7, 1.3])


def blobs(n, centres, pixel=1.0, sigma=2.0):
    """Sum of Gaussians at points x, y, z (units of 1) sampled at `pixel` in a box of n."""
    axis = (np.arange(n) - n // 2) * pixel
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    total = np.zeros((n, n, n))
    for height, (cx, cy, cz) in zip(HEIGHTS, centres, strict=True):
        total += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2) / (2 * sigma**2))
    return total.astype(np.float32)


@pytest.mark.parametrize(("n", "new", "ratio"), [(40, 20, 2.0), (40, 32, 1.25), (33, 40, 0.8), (40, 41, 1.37), (32, 48, 1), (41, 30, 1)])
def test_resampling_keeps_centre_and_grey_values(n, new, ratio):
    got = resample_volume(blobs(n, BLOBS), 1.0, new, ratio)
    expected = blobs(new, BLOBS, ratio)
    axis = np.abs((np.arange(new) - new // 2) * ratio) <= n / 2 - 1
    inside = axis[:, None, None] & axis[:, None] & axis
    assert got.shape == (new,) * 3 and got.dtype == np.float32
    assert np.abs(got - expected)[inside].max() < 0.01


def test_resampling_to_the_same_grid_changes_nothing(rng):
    volume = rng.normal(size=(17, 17, 17)).astype(np.float32)
    np.testing.assert_array_equal(resample_volume(volume, 2.0, 17, 2.0), volume)


def test_downsampling_removes_what_would_alias():
    x = np.arange(32)
    wave = np.broadcast_to(np.cos(2 * np.pi * 12 * x / 32), (32, 32, 32)).astype(np.float32)  # beyond the new Nyquist frequency
    assert np.abs(resample_volume(wave, 1.0, 16, 2.0)).max() < 1e-5


@pytest.mark.parametrize("n", [40, 41])
def test_rotation_moves_density_from_q_to_a_q_plus_shift(n):
    matrix, shift = euler_to_matrix(33.0, 57.0, 81.0), np.array([1.5, -2.25, 0.75])
    got = rotate_volume(blobs(n, BLOBS), matrix, shift)
    np.testing.assert_allclose(got, blobs(n, BLOBS @ matrix.T + shift), atol=0.01)


def test_rotation_by_nothing_returns_the_map(rng):
    volume = rng.normal(size=(16, 16, 16)).astype(np.float32)
    np.testing.assert_array_equal(rotate_volume(volume, np.eye(3)), volume)


def test_a_quarter_turn_moves_voxels_exactly(rng):
    volume = np.zeros((15, 15, 15), np.float32)
    volume[3:12, 3:12, 3:12] = rng.normal(size=(9, 9, 9))
    turned = rotate_volume(volume, euler_to_matrix(-90.0, 0.0, 0.0))  # x to y
    np.testing.assert_allclose(turned, volume[:, ::-1].transpose(0, 2, 1), atol=1e-4)


@pytest.mark.parametrize("name", ["C3", "D2", "O"])
def test_symmetrised_maps_are_the_mean_of_turned_ones_and_invariant(name):
    operators = point_group(name)
    volume = blobs(40, BLOBS)
    average = symmetrise_volume(volume, operators)
    np.testing.assert_allclose(average, np.mean([blobs(40, BLOBS @ a.T) for a in operators], axis=0), atol=0.01)
    for operator in operators:
        np.testing.assert_allclose(rotate_volume(average, operator), average, atol=0.01)


def test_centre_of_mass_is_the_mean_of_the_blobs():
    expected = (HEIGHTS @ BLOBS) / HEIGHTS.sum()
    np.testing.assert_allclose(centre_of_mass(blobs(48, BLOBS)), expected, atol=0.01)
    np.testing.assert_array_equal(centre_of_mass(np.zeros((8, 8, 8))), 0)


@pytest.mark.parametrize("n", [40, 41])
def test_the_other_hand_is_mirrored_along_z(n):
    np.testing.assert_allclose(mirror_volume(blobs(n, BLOBS)), blobs(n, BLOBS * [1, 1, -1]), atol=1e-4)


@pytest.mark.parametrize("call", [lambda v: rotate_volume(v, np.eye(3)), mirror_volume, lambda v: resample_volume(v, 1.0, 8, 1.0)])
def test_only_cubes_are_taken(call):
    with pytest.raises(ValueError, match="not a cube"):
        call(np.zeros((8, 8, 9), np.float32))
