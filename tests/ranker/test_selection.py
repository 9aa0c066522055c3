"""Selection rules on scores and particle counts."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relion4plugin.ranker.calibrated import CalibrationSettings, calibrated_threshold, data_set_level
from relion4plugin.ranker.selection import Minimum, select_by_score, select_top_fraction, selected_by_hand

# What RELION 4.0.2's class ranker selects of these four classes, with a fifth one that is too small for a score.
SCORES = np.array([0.81, 0.12, 0.30, 0.02])
PARTICLES = np.array([0.4, 0.3, 0.15, 0.1496]) * 20000


@pytest.mark.parametrize(
    ("low", "minimum", "classes"),
    [
        (0.15, Minimum(), [1, 3]),
        (0.9, Minimum(particles=9000), [1, 3]),
        (0.9, Minimum(classes=3), [1, 3, 2]),
        (0.9, Minimum(particles=9000, classes=4), [1, 3]),
        (0.15, Minimum(particles=11000), [1, 3]),
        (0.15, Minimum(particles=11001), [1, 3, 2]),
        (0.15, Minimum(particles=1, classes=3), [1, 3, 2]),
        (0.15, Minimum(particles=10**6), [1, 3, 2, 4]),
        (0.02, Minimum(), [1, 2, 3, 4]),
    ],
)
def test_minimum_rules_are_relions(low, minimum, classes):
    chosen = select_by_score(SCORES, PARTICLES, low, minimum=minimum)
    assert (chosen.rows + 1).tolist() == classes


def test_threshold_and_minimum_are_told_apart():
    chosen = select_by_score(SCORES, PARTICLES, 0.15, minimum=Minimum(classes=3))
    assert chosen.n_by_rule == 2 and chosen.threshold == 0.15


def test_both_bounds_are_included():
    assert select_by_score(SCORES, PARTICLES, 0.12, 0.30).rows.tolist() == [1, 2]


def test_relative_bounds_are_shares_of_the_best_score():
    chosen = select_by_score(SCORES, PARTICLES, 0.3, relative=True)
    assert chosen.rows.tolist() == [0, 2] and chosen.threshold == pytest.approx(0.243)
    assert select_by_score(SCORES, PARTICLES, 0.1, 0.5, relative=True).rows.tolist() == [1, 2]


def test_top_fraction_holds_its_share_of_the_particles():
    assert select_top_fraction(SCORES, PARTICLES, 0.3).rows.tolist() == [0]
    assert select_top_fraction(SCORES, PARTICLES, 0.5).rows.tolist() == [0, 2]
    assert select_top_fraction(SCORES, PARTICLES, 1.0).rows.tolist() == [0, 1, 2, 3]
    assert select_top_fraction(SCORES, PARTICLES, 0.0).rows.tolist() == []
    assert select_top_fraction(SCORES, PARTICLES, 0.0, Minimum(classes=1)).rows.tolist() == [0]


def test_a_choice_by_hand_has_no_threshold():
    chosen = selected_by_hand(np.array([3, 1]))
    assert chosen.rows.tolist() == [3, 1] and math.isnan(chosen.threshold)


def data_set(quality: float, good: int, junk: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores as RELION's labels make them: quality of the data set times 0.3 to 1, and junk near 0."""
    scores = np.concatenate([quality * np.linspace(0.4, 1.0, good), np.linspace(0.0, 0.12 * quality, junk)])
    return scores, np.full(len(scores), 100.0)


@pytest.mark.parametrize("quality", [1.0, 0.6, 0.2])
@pytest.mark.parametrize(("good", "junk"), [(30, 5), (10, 40), (3, 47)])
def test_calibrated_threshold_follows_the_data_set(quality, good, junk):
    scores, particles = data_set(quality, good, junk)
    threshold = calibrated_threshold(scores, particles, CalibrationSettings())
    assert ((scores >= threshold) == (np.arange(len(scores)) < good)).all()


def test_calibrated_threshold_lies_in_the_clearest_gap():
    scores, particles = np.array([1.0, 0.9, 0.8, 0.35, 0.33, 0.22, 0.20, 0.01]), np.ones(8)
    settings = CalibrationSettings(low=0.1, high=0.7, ceiling=1.0)
    assert calibrated_threshold(scores, particles, settings) == pytest.approx((0.8 + 0.35) / 2, abs=0.1)
    without_gap = CalibrationSettings(low=0.3, high=0.3, fraction=0.5, ceiling=1.0)
    assert calibrated_threshold(scores, particles, without_gap) == pytest.approx(0.5)


def test_level_of_a_data_set_ignores_a_tiny_class():
    scores, particles = np.array([0.9, 0.5, 0.1]), np.array([20.0, 1000.0, 1000.0])
    assert data_set_level(scores, particles, 0.03) == 0.5
    assert data_set_level(scores, particles, 0.0) == 0.9


def test_a_data_set_of_junk_has_no_threshold():
    scores = np.array([0.01, 0.02, 0.049])
    assert math.isinf(calibrated_threshold(scores, np.full(3, 50.0), CalibrationSettings()))
    assert math.isinf(calibrated_threshold(np.zeros(0), np.zeros(0), CalibrationSettings()))


@given(st.lists(st.tuples(st.floats(-0.3, 1.5), st.floats(11, 1e5)), min_size=1, max_size=30), st.floats(0.01, 0.9))
def test_calibrated_threshold_never_leaves_a_good_data_set_empty(rows, fraction):
    scores, particles = np.array(rows).T
    settings = CalibrationSettings(fraction=fraction)
    threshold = calibrated_threshold(scores, particles, settings)
    if scores.max() >= settings.junk:
        assert threshold <= scores.max() and threshold <= settings.ceiling
    else:
        assert math.isinf(threshold)
