"""Boosted trees: questions that one tree can answer, a dependence that no single column shows, and repeatability."""

import numpy as np
import pytest

from relion4plugin.ranker.boosting import UNUSED, BoostedTrees, BoostingSettings, grow_trees, mean_of

ALL = {"columns": 1.0, "rows": 1.0}


def test_trees_walk_from_the_root_to_a_leaf():
    # one tree of depth 2: x0 >= 1 ? (x1 >= 0 ? c d) : (always left: a)
    trees = BoostedTrees(
        np.array([0.5]), np.array([[0, UNUSED, 1]]), np.array([[1.0, 0.0, 0.0]]), np.array([[0.1, 0.2, 0.3, 0.4]])
    )
    rows = np.array([[0.0, 5.0], [1.0, -1.0], [2.0, 0.0]])
    odds = 0.5 + np.array([0.1, 0.3, 0.4])
    np.testing.assert_allclose(trees.probability(rows), 1 / (1 + np.exp(-odds)))
    assert trees.probability(np.zeros((0, 2))).shape == (0,)


def test_first_stump_has_the_closed_form():
    x = np.repeat([0.0, 1.0], 50)[:, None]
    y = np.repeat([0.0, 1.0], [40, 60])  # ten of the left half are yes
    settings = BoostingSettings(trees=1, depth=1, rate=1.0, levels=4, ridge=2.0, **ALL)
    grown = grow_trees(x, y, np.ones(100), settings, 0)
    p = 0.6
    assert grown.base[0] == pytest.approx(np.log(p / (1 - p)))
    left, right = (10 - 50 * p) / (50 * p * (1 - p) + 2), (50 - 50 * p) / (50 * p * (1 - p) + 2)
    np.testing.assert_allclose(grown.leaf[0], [left, right])
    assert grown.column[0, 0] == 0 and 0 < grown.limit[0, 0] <= 1


def test_weights_count_as_repeated_rows():
    random = np.random.default_rng(0)
    x, y, twice = random.standard_normal((60, 2)), random.random(60), np.arange(60) % 3 == 0
    settings = BoostingSettings(trees=5, depth=2, levels=2, least=0.1, **ALL)  # cut at the median, which repetition may move
    x[:, 0] = np.where(x[:, 0] > 0, 1.0, -1.0)
    x[:, 1] = np.where(x[:, 1] > 0, 1.0, -1.0)
    weighted = grow_trees(x, y, 1.0 + twice, settings, 0)
    rows = np.concatenate([np.arange(60), np.flatnonzero(twice)])
    repeated = grow_trees(x[rows], y[rows], np.ones(len(rows)), settings, 0)
    np.testing.assert_allclose(weighted.probability(x), repeated.probability(x))


def test_trees_learn_what_only_two_columns_together_tell():
    random = np.random.default_rng(1)
    x = random.standard_normal((1500, 4))
    y = (x[:, 1] * x[:, 2] > 0).astype(float)
    grown = grow_trees(x[:1000], y[:1000], np.ones(1000), BoostingSettings(trees=120, depth=3, rate=0.2), 3)
    p = grown.probability(x[1000:])
    assert np.mean((p > 0.5) == (y[1000:] > 0)) > 0.85
    again = grow_trees(x[:1000], y[:1000], np.ones(1000), BoostingSettings(trees=120, depth=3, rate=0.2), 3)
    assert np.array_equal(p, again.probability(x[1000:]))


def test_joined_sets_answer_with_the_mean_of_their_odds():
    random = np.random.default_rng(3)
    x = random.normal(size=(300, 3))
    y = (x[:, 0] * x[:, 1] > 0).astype(float)
    sets = [grow_trees(x, y, np.ones(300), BoostingSettings(trees=20, depth=2), seed) for seed in (1, 2, 3)]
    odds = [np.log(p / (1 - p)) for p in (trees.probability(x) for trees in sets)]
    assert np.std(odds, axis=0).max() > 0.01
    np.testing.assert_allclose(mean_of(sets).probability(x), 1 / (1 + np.exp(-np.mean(odds, axis=0))))


def test_nothing_to_learn_is_refused():
    with pytest.raises(ValueError, match="all the same"):
        grow_trees(np.zeros((3, 1)), np.zeros(3), np.ones(3), BoostingSettings(), 0)
