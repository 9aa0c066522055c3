"""The HEALPix grid: published pixel centres and properties of the tessellation."""

import numpy as np
import pytest

from relion4plugin.geometry.healpix import children, directions


def vectors(order):
    rot, tilt = np.deg2rad(directions(order))
    return np.stack([np.sin(tilt) * np.cos(rot), np.sin(tilt) * np.sin(rot), np.cos(tilt)], axis=1)


def test_base_pixels():
    rot, tilt = directions(0)
    np.testing.assert_allclose(rot, [45, 135, 225, 315, 0, 90, 180, 270, 45, 135, 225, 315])
    np.testing.assert_allclose(np.cos(np.deg2rad(tilt)), [2 / 3] * 4 + [0] * 4 + [-2 / 3] * 4, atol=1e-12)


def test_first_face_of_order_one():
    rot, tilt = directions(1)
    np.testing.assert_allclose(rot[:4], [45, 67.5, 22.5, 45])
    np.testing.assert_allclose(np.cos(np.deg2rad(tilt[:4])), [1 / 3, 2 / 3, 2 / 3, 11 / 12], atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_grid_is_uniform(order):
    v = vectors(order)
    assert len(v) == 12 * 4**order
    np.testing.assert_allclose(v.mean(axis=0), 0, atol=1e-12)
    if order:
        np.testing.assert_allclose(v.T @ v / len(v), np.eye(3) / 3, atol=0.05 / 4**order)
    nearest = np.sort(v @ v.T, axis=1)[:, -2]
    spacing = np.rad2deg(np.arccos(nearest))
    ideal = np.rad2deg(np.sqrt(4 * np.pi / len(v)))
    assert spacing.min() > 0.6 * ideal
    assert spacing.max() < 1.2 * ideal


def test_rings_have_the_right_number_of_pixels():
    side = 8
    z = np.round(np.cos(np.deg2rad(directions(3)[1])), 9)
    _, counts = np.unique(z, return_counts=True)
    cap = 4 * np.arange(1, side)
    np.testing.assert_array_equal(counts, [*cap, *[4 * side] * (2 * side + 1), *cap[::-1]])


@pytest.mark.parametrize("order", [0, 1, 2])
def test_children_lie_in_their_parent(order):
    parents, fine = vectors(order), vectors(order + 1)
    inside = fine[children(np.arange(len(parents)))]
    nearest = np.argmax(inside @ parents.T, axis=-1)
    assert (nearest == np.arange(len(parents))[:, None]).mean() > 0.9
    assert sorted(children(np.arange(len(parents))).ravel()) == list(range(len(fine)))


def test_order_is_checked():
    with pytest.raises(ValueError, match="order"):
        directions(13)
