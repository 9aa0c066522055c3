"""Quality figures on cases whose answers are known by hand."""

import math

import metrics
import numpy as np
import pytest


def test_contingency_counts_every_pair():
    table = metrics.contingency(np.array([3, 3, 7, 7, 7]), np.array(["a", "b", "b", "b", "a"]))
    assert table.tolist() == [[1, 1], [1, 2]]


def test_contingency_refuses_unequal_lengths():
    with pytest.raises(ValueError, match="2 classes but 3 labels"):
        metrics.contingency(np.zeros(2), np.zeros(3))


@pytest.mark.parametrize(
    ("classes", "labels", "expected"),
    [
        ([1, 1, 2, 2], [5, 5, 6, 6], 1.0),
        ([1, 1, 1, 1], [5, 5, 6, 6], 0.5),
        ([1, 2, 3, 4], [5, 5, 5, 5], 1.0),
        ([1, 1, 1, 2], [0, 0, 9, 9], 0.75),
    ],
)
def test_purity(classes, labels, expected):
    assert metrics.class_purity(np.array(classes), np.array(labels)) == pytest.approx(expected)


def test_majority_fraction_needs_more_than_half():
    classes = np.array([1, 1, 1, 2, 2, 3, 3, 3])
    genuine = np.array([1, 1, 0, 1, 0, 1, 0, 0], dtype=bool)  # class 1 mostly true, class 2 a tie, class 3 mostly junk
    assert metrics.majority_fraction(classes, genuine) == pytest.approx(2 / 4)


def test_majority_fraction_without_true_particles():
    assert math.isnan(metrics.majority_fraction(np.array([1, 2]), np.array([False, False])))


def test_effective_classes_of_known_distributions():
    assert metrics.effective_classes(np.full(25, 7)) == pytest.approx(25)
    assert metrics.effective_classes(np.array([0, 0, 3])) == pytest.approx(1)
    assert metrics.effective_classes(np.array([0.5, 0.25, 0.25])) == pytest.approx(2**1.5)


def test_effective_classes_refuses_nothing():
    with pytest.raises(ValueError, match="non-negative"):
        metrics.effective_classes(np.zeros(4))


def test_view_spread_of_two_directions_ten_degrees_apart():
    angle = np.radians(10)
    directions = np.array([[0, 0, 1], [np.sin(angle), 0, np.cos(angle)], [1, 0, 0]])
    assert metrics.view_spread(np.array([1, 1, 2]), directions) == pytest.approx(10 / 3, abs=1e-6)


def test_mean_resolution_is_over_frequencies():
    assert metrics.mean_resolution(np.array([10.0, 20.0])) == pytest.approx(40 / 3)
    assert math.isinf(metrics.mean_resolution(np.array([math.inf])))
