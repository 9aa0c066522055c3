"""Descriptions of class averages: closed forms, and nothing changes when the image is turned."""

import numpy as np
import pytest

from relion4plugin.ranker.shapes import extents, polar, shapes

Y, X = np.mgrid[-32:32, -32:32].astype(np.float64)
R, ANGLE = np.hypot(X, Y), np.arctan2(Y, X)


def blob(x: float, y: float, sigma: float) -> np.ndarray:
    return np.exp(-((X - x) ** 2 + (Y - y) ** 2) / (2 * sigma**2))


def test_polar_samples_a_plane_exactly():
    rings, radii = polar((2 + 0.5 * X - 0.25 * Y)[None])
    angle = np.arange(64) * 2 * np.pi / 64
    np.testing.assert_allclose(rings[0], 2 + radii[:, None] * (0.5 * np.cos(angle) - 0.25 * np.sin(angle)), atol=1e-10)


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_energy_is_found_in_the_order_that_it_has(m):
    image = np.exp(-((R - 14) ** 2) / 30) * np.cos(m * ANGLE)
    numbers = shapes(image[None])
    assert numbers[f"order_{m}"][0] > 0.99 and numbers["order_0"][0] < 0.01
    assert numbers["zone_1"][0] > 0.6


def test_a_round_image_has_order_0_and_rings_are_told_from_a_disc():
    numbers = shapes(np.stack([blob(0, 0, 6), blob(0, 0, 6) + 0.5 * np.exp(-((R - 20) ** 2) / 8)]))
    assert numbers["order_0"].min() > 0.999
    assert numbers["rings"][0] < 1e-3 < 0.05 < numbers["rings"][1]
    assert numbers["outer_maximum"][0] < 1e-3


def test_turning_changes_nothing_and_grey_values_only_the_spread():
    image = blob(6, -3, 5) + 0.7 * blob(-5, 8, 3) - 0.2 * blob(0, 0, 14)
    centred = np.zeros((64, 64))
    centred[1:, 1:] = image[1:, 1:]
    turned = np.zeros((64, 64))
    turned[1:, 1:] = np.rot90(image[1:, 1:])  # about the pixel in the centre
    images = np.stack([centred, turned, 3 * centred])
    numbers = shapes(images) | extents(images)
    for name, values in numbers.items():
        assert values[0] == pytest.approx(values[1], abs=1e-6), name
        if name != "log_spread":
            assert values[0] == pytest.approx(values[2], abs=1e-5), name
    assert numbers["log_spread"][2] - numbers["log_spread"][0] == pytest.approx(np.log(3))


def test_an_empty_image_is_no_failure():
    empty = np.zeros((2, 64, 64))
    assert all(np.isfinite(values).all() for values in (shapes(empty) | extents(empty)).values())


def test_extents_of_discs_and_blobs():
    numbers = extents(np.stack([(R <= 8.0) * 1.0, (R <= 24.0) * 1.0, blob(0, 0, 6), -blob(0, 0, 6) + 2 * blob(0, 0, 3)]))
    tolerance = {"rel": 0.04}
    disc, wide, gauss, ringed = (np.exp([values[i] for values in numbers.values()]) for i in range(4))
    gyration, half, most, area = disc
    assert gyration - 0.5 == pytest.approx(8 / np.sqrt(2), **tolerance)
    assert (half, most) == (pytest.approx(8 * np.sqrt(0.5), rel=0.1), pytest.approx(8 * np.sqrt(0.9), rel=0.1))
    assert wide[3] / area == pytest.approx(9.0, rel=0.1)
    # of a Gaussian: sqrt(2), sqrt(2 ln 2) and sqrt(2 ln 10) of its sigma
    assert gauss[0] - 0.5 == pytest.approx(6 * np.sqrt(2), **tolerance)
    assert (gauss[1], gauss[2]) == (pytest.approx(6 * np.sqrt(2 * np.log(2)), rel=0.1), pytest.approx(6 * np.sqrt(2 * np.log(10)), rel=0.1))
    assert ringed[0] < gauss[0] / 2  # what is dark about it does not count
