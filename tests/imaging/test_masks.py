"""Masks against the formula of the raised cosine."""

import numpy as np
import pytest

from relion4plugin.arrays import to_numpy
from relion4plugin.imaging.masks import mask_with_background, soft_disc, soft_sphere


def test_disc_profile(xp):
    row = to_numpy(soft_disc(64, 20, 5, xp))[32, 32:]
    r = np.arange(32)
    expected = np.where(r <= 20, 1, np.where(r >= 25, 0, 0.5 - 0.5 * np.cos(np.pi * (25 - r) / 5)))
    assert row.dtype == np.float32
    np.testing.assert_allclose(row, expected, atol=1e-6)
    assert 0.5 < row[22] < 1
    assert row[24] > 0


def test_disc_is_centred_on_the_middle_pixel():
    mask = soft_disc(32, 8)
    np.testing.assert_array_equal(mask[1:, 1:], mask[1:, 1:][::-1, ::-1])
    np.testing.assert_array_equal(mask, mask.T)


def test_hard_edge():
    mask = soft_disc(32, 8, 0)
    assert set(np.unique(mask)) == {0.0, 1.0}
    y, x = np.mgrid[:32, :32] - 16
    assert mask.sum() == (x**2 + y**2 <= 64).sum()


def test_sphere_cuts_as_the_disc():
    sphere = soft_sphere(24, 6, 4)
    for cut in (sphere[12], sphere[:, 12], sphere[:, :, 12]):
        np.testing.assert_allclose(cut, soft_disc(24, 6, 4), atol=1e-6)


def test_background_is_the_weighted_mean(xp, rng):
    images = rng.normal(3, 1, (4, 16, 16)).astype(np.float32)
    mask = soft_disc(16, 4, 3)
    result = to_numpy(mask_with_background(xp.asarray(images), xp.asarray(mask)))
    assert result.dtype == np.float32
    for image, masked in zip(images, result, strict=True):
        background = np.average(image.astype(float), weights=1.0 - mask)
        np.testing.assert_allclose(masked, mask * image + (1 - mask) * background, rtol=1e-5)
        np.testing.assert_array_equal(masked[mask == 1], image[mask == 1])


def test_constant_images_stay(rng):
    images = np.full((2, 16, 16), 7, np.float32)
    np.testing.assert_allclose(mask_with_background(images, soft_disc(16, 3)), 7, rtol=1e-6)


def test_mask_without_outside_changes_nothing(rng):
    images = rng.normal(size=(2, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(mask_with_background(images, soft_disc(8, 100)), images)


@pytest.mark.parametrize("radius", [3, 10])
def test_single_image(radius, rng):
    image = rng.normal(size=(16, 16)).astype(np.float32)
    mask = soft_disc(16, radius)
    np.testing.assert_allclose(mask_with_background(image, mask), mask_with_background(image[None], mask)[0], rtol=1e-6)
