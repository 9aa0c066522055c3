"""Euler angles against elementary rotations and round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relion4plugin.arrays import to_numpy
from relion4plugin.geometry.euler import angular_distance, euler_to_matrix, matrix_to_euler, random_rotations

ANGLES = st.floats(-360, 360, allow_nan=False)


def about_z(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def about_y(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])


def test_known_matrix():
    expected = [[-0.279454, 0.923721, -0.262003], [-0.694109, -0.005813, 0.719846], [0.663414, 0.383022, 0.642788]]
    np.testing.assert_allclose(euler_to_matrix(30, 50, 70), expected, atol=1e-6)


@given(ANGLES, ANGLES, ANGLES)
def test_product_of_elementary_rotations(rot, tilt, psi):
    np.testing.assert_allclose(euler_to_matrix(rot, tilt, psi), about_z(psi) @ about_y(tilt) @ about_z(rot), atol=1e-12)


@given(ANGLES, ANGLES | st.sampled_from([0.0, 180.0, -180.0, 1e-5, 179.99999, 1e-8]), ANGLES)
def test_round_trip(rot, tilt, psi):
    matrix = euler_to_matrix(rot, tilt, psi)
    angles = matrix_to_euler(matrix)
    np.testing.assert_allclose(euler_to_matrix(*angles), matrix, atol=5e-6)
    assert 0 <= angles[1] <= 180


def test_round_trip_of_angles(xp, rng):
    rot, psi = rng.uniform(-180, 180, (2, 50))
    tilt = rng.uniform(0.1, 179.9, 50)
    angles = matrix_to_euler(euler_to_matrix(*(xp.asarray(a) for a in (rot, tilt, psi))))
    for got, expected in zip(angles, (rot, tilt, psi), strict=True):
        np.testing.assert_allclose(to_numpy(got), expected, atol=1e-9)


@pytest.mark.parametrize("tilt", [0, 180])
def test_poles_put_all_of_the_turn_into_psi(tilt):
    rot, got_tilt, psi = matrix_to_euler(euler_to_matrix(0, tilt, 33))
    assert (rot, got_tilt) == (0, tilt)
    assert psi == pytest.approx(33)


def test_view_direction_is_the_third_row():
    matrix = euler_to_matrix(20, 60, 123)
    a, b = np.deg2rad([20, 60])
    np.testing.assert_allclose(matrix[2], [np.sin(b) * np.cos(a), np.sin(b) * np.sin(a), np.cos(b)], atol=1e-12)


def test_broadcasting():
    assert euler_to_matrix(np.zeros((4, 1)), np.zeros(3), 5.0).shape == (4, 3, 3, 3)


def test_random_rotations_are_uniform(rng):
    matrices = random_rotations(20000, rng)
    np.testing.assert_allclose(matrices @ matrices.transpose(0, 2, 1), np.broadcast_to(np.eye(3), matrices.shape), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(matrices), 1, atol=1e-12)
    np.testing.assert_allclose(matrices.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose((matrices**2).mean(axis=0), 1 / 3, atol=0.01)
    # the angle t of a uniform rotation has the density (1 - cos t) / pi
    angle = np.deg2rad(angular_distance(matrices, np.eye(3)))
    assert np.mean(angle) == pytest.approx(np.pi / 2 + 2 / np.pi, abs=0.02)


def test_angular_distance(xp, rng):
    base = random_rotations(5, rng)
    for degrees in (0, 1e-6, 3, 90, 179, 180):
        turned = euler_to_matrix(10, 20, 30).T @ about_z(degrees) @ euler_to_matrix(10, 20, 30) @ base
        np.testing.assert_allclose(to_numpy(angular_distance(xp.asarray(base), xp.asarray(turned))), degrees, atol=2e-5, rtol=1e-6)
