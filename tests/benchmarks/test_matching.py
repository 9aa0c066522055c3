"""Slices, the search for the true view and the FRC, on a small map made of Gaussian balls (closed-form transform)."""

import math

import matching
import numpy as np
import pytest
from projections import transform_map

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.imaging.masks import soft_disc

N, PIXEL, WIDTH = 32, 4.0, 1.6  # px, A, standard deviation of a ball in px


@pytest.fixture(scope="module")
def balls() -> np.ndarray:
    """Centres (x, y, z) in px, without symmetry or mirror plane."""
    return np.array([[6, 0, 1], [-5, 4, -2], [0, -6, 4], [2, 3, 6], [-3, -2, -6], [5, 5, -3.0]])


@pytest.fixture(scope="module")
def library(balls):
    axis = np.arange(N) - N // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    volume = sum(np.exp(-((x - b[0]) ** 2 + (y - b[1]) ** 2 + (z - b[2]) ** 2) / (2 * WIDTH**2)) for b in balls)
    return matching.make_library(transform_map(volume.astype(np.float32), PIXEL), N, PIXEL, order=2)


def projection(balls: np.ndarray, rotation: np.ndarray, shift=(0.0, 0.0)) -> np.ndarray:
    """Closed-form projection: the image-frame position of a ball is A times its map-frame position."""
    axis = np.arange(N) - N // 2
    centres = balls @ rotation.T
    return sum(
        np.exp(-((axis[None, :] - c[0] - shift[0]) ** 2 + (axis[:, None] - c[1] - shift[1]) ** 2) / (2 * WIDTH**2)) for c in centres
    ).astype(np.float32)


def test_slice_is_the_transform_of_the_projection(balls, library):
    rotation = euler_to_matrix(np.array([37.0]), np.array([62.0]), np.array([-120.0]))
    k = np.array([[1, 2], [-3, 1], [4, -2], [5, 5.5]])
    got = library.source.slices(rotation, k[:, 1], k[:, 0], 1 / (N * PIXEL))[0]
    centres = balls @ rotation[0].T
    phase = np.exp(-2j * np.pi / N * (k @ centres[:, :2].T)).sum(axis=1)
    expected = phase * np.exp(-2 * (np.pi * WIDTH / N) ** 2 * (k**2).sum(axis=1)) * (2 * np.pi) ** 1.5 * WIDTH**3
    total = len(balls) * (2 * np.pi) ** 1.5 * WIDTH**3
    np.testing.assert_allclose(got, expected, rtol=0, atol=0.005 * total)


@pytest.mark.parametrize(("rot", "tilt", "psi", "shift"), [(10.0, 40.0, 75.0, (0.0, 0.0)), (200.0, 110.0, -33.0, (2.0, -1.5))])
def test_match_finds_pose_and_shift(balls, library, rot, tilt, psi, shift):
    rotation = euler_to_matrix(rot, tilt, psi)
    found = matching.match_class(projection(balls, rotation, shift), library, diameter=100.0)
    turn = np.degrees(np.arccos(np.clip((np.trace(found.rotation @ rotation.T) - 1) / 2, -1, 1)))
    assert turn < 3.0
    np.testing.assert_allclose(found.shift, -np.array(shift), atol=0.3)
    assert found.resolution < 12.0  # Nyquist is 8 A; interpolation at pad 2 costs the last shells


def test_match_of_noise_is_worse_than_of_the_map(balls, library):
    rotation = euler_to_matrix(10.0, 40.0, 75.0)
    noise = np.random.default_rng(1).normal(size=(N, N)).astype(np.float32)
    clean = matching.match_class(projection(balls, rotation), library, diameter=100.0)
    noisy = matching.match_class(projection(balls, rotation) + 0.4 * noise, library, diameter=100.0)
    assert clean.resolution < noisy.resolution < matching.match_class(noise, library, diameter=100.0).resolution


def test_low_passed_average_has_the_resolution_of_its_filter(balls, library):
    """Beyond the filter the class average holds another particle: FRC must end there."""
    from relion4plugin.imaging.fourier import half_shells, half_to_image, image_to_half

    good = image_to_half(projection(balls, euler_to_matrix(10.0, 40.0, 75.0))[None])
    bad = image_to_half((np.random.default_rng(2).normal(size=(1, N, N)) * soft_disc(N, 12)).astype(np.float32))
    mixed = half_to_image(np.where(half_shells(N) <= 6, good, bad), N)[0]
    found = matching.match_class(mixed, library, diameter=100.0)
    assert N * PIXEL / 7.5 <= found.resolution <= N * PIXEL / 5.5


def test_empty_class_is_unresolved(library):
    assert math.isinf(matching.match_class(np.zeros((N, N)), library, diameter=100.0).resolution)


def test_crossing_is_interpolated():
    curve = np.array([1.0, 0.9, 0.8, 0.4, 0.9])
    assert matching.crossing_resolution(curve, 8, 2.0) == pytest.approx(8 * 2.0 / 2.75)
    assert matching.crossing_resolution(np.ones(5), 8, 2.0) == pytest.approx(4.0)
    assert math.isinf(matching.crossing_resolution(np.zeros(5), 8, 2.0))
    assert matching.crossing_resolution(np.array([1.0, 0.9, np.nan]), 4, 2.0) == pytest.approx(8.0)
