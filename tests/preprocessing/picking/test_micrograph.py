import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.preprocessing.picking.micrograph import centre_and_spread, check_pixels, scaled, without_outliers


@pytest.mark.parametrize("shape", [(200, 301), (255, 128)])
def test_scaling_keeps_places_and_grey_values(shape):
    y, x = np.indices(shape)
    image = (3 + np.exp(-((y - 80.0) ** 2 + (x - 50.0) ** 2) / (2 * 12.0**2))).astype(np.float32)
    small = scaled(image, 1.5, 6.0)
    assert small.pixel_size == pytest.approx(6.0, rel=0.1)
    assert np.prod(small.scale) == pytest.approx(image.size / small.image.size)
    row, column = np.unravel_index(small.image.argmax(), small.image.shape)
    found_y, found_x = small.to_micrograph(np.array([row]), np.array([column]))
    assert abs(found_y[0] - 80) < 2.5 and abs(found_x[0] - 50) < 2.5
    assert small.image.max() - small.image.min() == pytest.approx(1.0, abs=0.05)


def test_nothing_is_scaled_up():
    image = np.ones((20, 30), np.float32)
    assert scaled(image, 5.0, 2.0).image.shape == (20, 30)


def test_outliers_are_clipped_and_the_rest_stays(rng):
    image = rng.normal(size=(100, 100)).astype(np.float32)
    image[3, 4], image[5, 6] = 1e5, -1e5
    clean = without_outliers(image)
    assert np.abs(clean).max() < 7
    assert np.count_nonzero(clean != image) == 2


def test_spread_is_a_standard_deviation_without_outliers(rng):
    values = np.concatenate([rng.normal(5, 2, 10000), np.full(100, 1e6)])
    middle, spread = centre_and_spread(values)
    assert (middle, spread) == (pytest.approx(5, abs=0.1), pytest.approx(2, abs=0.1))


def test_pixels_that_are_not_numbers_are_counted():
    image = np.zeros((10, 10))
    image[2, :3] = np.inf
    with pytest.raises(UserError, match=r"m\.mrc: 3 of 100 pixels are not numbers"):
        check_pixels(image, "m.mrc")
