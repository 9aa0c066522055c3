"""The scale of the target scores."""

import numpy as np
import pytest

from relion4plugin.ranker import target


def test_job_scores_of_known_resolutions():
    """A job is worth 1 at 7 A, and less on a logarithmic scale down to 30 A."""
    scores = [target.job_score(d, 0.6, 3.0) for d in (7.0, 10.0, 15.0, 20.0, 30.0, 999.0)]
    np.testing.assert_allclose(scores, [1.0, 0.755, 0.476, 0.279, 0.0, 0.0], atol=0.001)
    assert target.job_score(7.0, 0.05, 3.0) == pytest.approx(0.6)


def test_coarse_pixels_are_not_held_against_a_job():
    assert target.job_score(11.5, 0.6, 5.0) == pytest.approx(1.0)


def test_categories():
    np.testing.assert_array_equal(target.categories(np.array([1.0, 0.85, 0.84, 0.65, 0.5, 0.4, 0.39, 0.12, 0.11, 0.0])),
                                  [1, 1, 5, 5, 2, 2, 3, 3, 0, 0])  # fmt: skip


def test_targets_by_hand():
    values = np.array([1.0, 0.85, 0.65, 0.40, 0.12, 0.10])
    estimated = np.array([10.0, 10.0, 20.0, 10.0, 20.0, 10.0])
    weight = np.array([1.0, 1.0, 0.25, 1.0, 0.25, 0.0])
    expected = 0.8 * (np.array([0.75, 0.75, 0.5, 0.25, 0.0, 0.0]) + 0.25 * weight)
    np.testing.assert_allclose(target.targets(values, estimated, 0.8), expected)


def test_weight_is_of_the_best_category_present_and_at_most_one():
    found = target.targets(np.array([0.5, 0.2]), np.array([15.0, 10.0]), 1.0)
    assert found[0] == pytest.approx(np.interp(0.5, [0.4, 0.65], [0.25, 0.5]) + 0.25)
    assert found[1] == pytest.approx(np.interp(0.2, [0.12, 0.4], [0.0, 0.25]) + 0.25)


def test_quality_is_relative_to_the_best_class():
    ones, zeros, members = np.ones(3), np.zeros(3), np.array([50, 50, 3])
    values = target.quality(ones, np.array([8.0, 20.0, 8.0]), zeros, zeros, members)
    assert values[0] == 1.0
    assert 0.2 < values[1] < 0.8
    assert values[2] == 0.0  # too few true members
    better = target.quality(ones[:1], np.array([20.0]), zeros[:1], zeros[:1], members[:1])
    assert better[0] == 1.0


def test_every_fault_lowers_the_quality():
    good = {"purity": 1.0, "resolution": 10.0, "offset": 0.0, "contamination": 0.0}
    for name, bad in (("purity", 0.4), ("resolution", 30.0), ("offset", 0.2), ("contamination", 0.45)):
        rows = {key: np.array([value, bad if key == name else value]) for key, value in good.items()}
        values = target.quality(**rows, true_members=np.array([50, 50]))
        assert values[0] == 1.0
        assert values[1] < 0.3, name


def test_blurred_classes_are_kept_but_not_mixed_ones_nor_where_nothing_is_seen():
    """One as fine as the best, two that are blurred more and more, one with a third of true members."""
    resolution, zeros, members = np.array([10.0, 26.0, 36.0, 10.0]), np.zeros(4), np.full(4, 50)
    purity = np.array([1.0, 1.0, 1.0, 0.35])
    assert target.to_select(purity, resolution, zeros, zeros, members).tolist() == [True, True, True, False]
    assert not target.to_select(purity, resolution + 20.0, zeros, zeros, members).any()
    assert target.quality(purity, resolution, zeros, zeros, members)[1] < target.DEFAULT_RULES.borders[2]


def test_no_protein_is_worth_nothing():
    assert not target.quality(np.zeros(2), np.full(2, 999.0), np.zeros(2), np.zeros(2), np.zeros(2, int)).any()
    assert not target.targets(np.zeros(2), np.full(2, 10.0), 0.0).any()
