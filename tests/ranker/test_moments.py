"""Moments against scipy's."""

import numpy as np
import pytest
import scipy.stats

from relion4plugin.ranker.moments import moments


def test_moments_are_those_of_scipy(rng):
    images = rng.gamma(2.0, size=(4, 12, 12)).astype(np.float32)
    region = rng.random((4, 12, 12)) < 0.4
    found = moments(images, region)
    for i in range(4):
        values = images[i][region[i]].astype(np.float64)
        assert found.sum[i] == pytest.approx(values.sum())
        assert found.mean[i] == pytest.approx(values.mean())
        assert found.stddev[i] == pytest.approx(values.std())
        assert found.skew[i] == pytest.approx(scipy.stats.skew(values))
        assert found.kurt[i] == pytest.approx(scipy.stats.kurtosis(values, fisher=False))


def test_one_region_for_all_images(rng):
    images, region = rng.standard_normal((3, 8, 8)), rng.random((8, 8)) < 0.5
    np.testing.assert_array_equal(moments(images, region).sum, moments(images, np.stack([region] * 3)).sum)


def test_empty_regions_and_constant_images_are_zero():
    images = np.stack([np.full((6, 6), 2.5), np.zeros((6, 6))])
    empty = moments(images, np.zeros((6, 6), bool))
    for name in ("sum", "mean", "stddev", "skew", "kurt"):
        np.testing.assert_array_equal(getattr(empty, name), 0)
    constant = moments(images, np.ones((6, 6), bool))
    np.testing.assert_array_equal(constant.mean, [2.5, 0])
    for name in ("stddev", "skew", "kurt"):
        np.testing.assert_array_equal(getattr(constant, name), 0)
