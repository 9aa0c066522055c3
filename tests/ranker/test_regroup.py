"""Joining scale groups."""

import numpy as np
import pytest

from relion4plugin.ranker.regroup import regrouped


def test_groups_of_similar_scale_are_joined():
    groups = np.repeat([1, 2, 3, 4], 50)
    new = regrouped(groups, np.array([1, 2, 3, 4]), np.array([1.2, 0.8, 1.1, 0.9]), 2)
    assert {int(g): int(new[groups == g][0]) for g in (1, 2, 3, 4)} == {1: 2, 2: 1, 3: 2, 4: 1}


def test_new_groups_are_about_equal_and_never_divide_one(rng):
    sizes = rng.integers(1, 40, 200)
    groups, scales = np.repeat(np.arange(1, 201), sizes), rng.normal(1, 0.1, 200)
    new = regrouped(rng.permutation(groups), np.arange(1, 201), scales, 8)
    counts = np.bincount(new)[1:]
    assert len(counts) == 8 and counts.max() - counts.min() <= 2 * sizes.max()
    ordered = regrouped(groups, np.arange(1, 201), scales, 8)
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    assert (np.diff(ordered[first][np.argsort(scales)]) >= 0).all()
    assert all(len(set(ordered[groups == g])) == 1 for g in range(1, 201))


def test_one_large_group_leaves_fewer_groups():
    groups = np.array([1] * 90 + [2] * 10)
    assert sorted(set(regrouped(groups, np.array([1, 2, 3]), np.array([1.0, 2.0, 3.0]), 5))) == [1, 2]


def test_unknown_group_is_refused():
    with pytest.raises(ValueError, match="group 7"):
        regrouped(np.array([1, 7]), np.array([1]), np.array([1.0]), 1)
