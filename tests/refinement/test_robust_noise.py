"""Noise from counts of powers: right for Gaussian noise, hardly moved by junk, and the same however a batch is cut."""

import numpy as np
import pytest

from relion4plugin.refinement.robust_noise import BINS, OCTAVES, PER_OCTAVE, count_powers, kept_share, robust_mean, robust_power

COMPONENTS = np.array([2, 8, 20, 100, 400])
SIGMA2 = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
TRUE = SIGMA2 * COMPONENTS


@pytest.fixture
def powers():
    return np.random.default_rng(1).chisquare(COMPONENTS, (20000, 5)) * SIGMA2


def estimate(powers, expected):
    group = np.zeros(len(powers), int)
    return robust_power(count_powers(powers, expected[None], group), expected[None], COMPONENTS)[0]


@pytest.mark.parametrize("guess", [0.02, 0.7, 1.0, 5.0])
def test_gaussian_noise_is_found_whatever_was_expected(powers, guess):
    np.testing.assert_allclose(estimate(powers, guess * TRUE), TRUE, rtol=0.015)
    np.testing.assert_allclose(robust_mean(powers, COMPONENTS), TRUE, rtol=0.015)


def test_junk_counts_at_most_twice_the_median(powers):
    powers[:6000] *= 30  # the mean rises tenfold
    assert np.all(powers.mean(axis=0) > 9 * TRUE)
    found = estimate(powers, TRUE)
    np.testing.assert_allclose(found, robust_mean(powers, COMPONENTS), rtol=0.01)
    assert np.all(found[1:] < 1.5 * TRUE[1:])
    median = np.median(powers, axis=0)
    np.testing.assert_allclose(found, np.minimum(powers, 2 * median).mean(axis=0) / kept_share(COMPONENTS), rtol=0.01)


def test_misfit_of_all_images_counts_in_full(powers):
    np.testing.assert_allclose(estimate(4 * powers, TRUE), 4 * TRUE, rtol=0.015)


def test_share_that_is_kept_is_that_of_the_distribution():
    drawn = np.random.default_rng(2).chisquare(COMPONENTS, (400000, 5))
    simulated = np.minimum(drawn, 2 * np.median(drawn, axis=0)).mean(axis=0) / COMPONENTS
    np.testing.assert_allclose(kept_share(COMPONENTS), simulated, rtol=4e-3)
    assert kept_share(np.array([2]))[0] == pytest.approx(0.75)  # exponential: limit at twice ln 2


def test_counts_of_parts_add_up_and_groups_stay_apart(powers):
    group = np.arange(len(powers)) % 2
    powers[group == 1] *= 3
    expected = np.stack([TRUE, TRUE])
    whole = count_powers(powers, expected, group)
    parts = sum(count_powers(powers[part], expected, group[part]) for part in (slice(0, 777), slice(777, None)))
    assert np.array_equal(whole, parts) and whole.shape == (2, 5, BINS) and np.all(whole.sum(axis=2) == len(powers) / 2)
    np.testing.assert_allclose(robust_power(whole, expected, COMPONENTS), [TRUE, 3 * TRUE], rtol=0.02)


def test_powers_beyond_the_range_and_empty_groups():
    expected = np.ones((2, 1))
    counts = count_powers(np.array([[0.0], [1e9], [1.0]]), expected, np.zeros(3, int))
    assert counts[0, 0, 0] == counts[0, 0, -1] == counts[0, 0, OCTAVES * PER_OCTAVE] == 1
    assert robust_power(counts, expected, np.array([50]))[1, 0] == 1.0  # nothing seen: as expected
