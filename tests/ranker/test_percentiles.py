"""Percentiles of features among training classes."""

import numpy as np
import pytest

from relion4plugin.ranker.percentiles import CARD_KEY, percentiles, training_quantiles


def test_normal_distribution_without_quantiles():
    values = np.zeros((3, 24))
    values[1], values[2] = 1.0, -1.6449
    np.testing.assert_allclose(percentiles(values, {})[:, 5], [50, 84.13, 5], atol=0.01)


def test_quantiles_of_a_card(rng):
    training = rng.exponential(size=(5000, 24))
    card = {CARD_KEY: training_quantiles(training)}
    probes = np.quantile(training, [0.0, 0.05, 0.5, 0.77, 1.0], axis=0)
    np.testing.assert_allclose(percentiles(probes, card)[:4], np.broadcast_to([[0], [5], [50], [77]], (4, 24)), atol=1.0)
    assert (percentiles(np.full((1, 24), 1e9), card) == 100).all()


def test_a_value_that_most_classes_share_is_not_extreme(rng):
    training = np.zeros((1000, 24))
    training[:400] = rng.exponential(size=(400, 24)) + 0.1
    card = {CARD_KEY: training_quantiles(training)}
    assert percentiles(np.zeros((1, 24)), card)[0, 0] == pytest.approx(30, abs=3)
