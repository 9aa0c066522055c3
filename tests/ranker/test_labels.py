import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.ranker.labels import class_scores

RESOLUTION = np.array([9.0, 14.2, 11.1, 27.5, 40.0])


def test_known_scores_of_relion():
    scores = class_scores(np.array([1, 2, 5, 3, 0]), RESOLUTION, 0.9)
    assert np.allclose(scores, [0.9, 0.315384, 0.597918, 0.024099, 0.0], atol=5e-7)


def test_finer_classes_than_the_best_label_gain_no_more_than_a_quarter():
    scores = class_scores(np.array([1, 2, 5]), np.array([10.0, 5.0, 5.0]), 1.0)
    assert np.allclose(scores, [1.0, 0.5, 0.75])


def test_without_the_best_label_the_next_sets_the_scale():
    assert np.allclose(class_scores(np.array([5, 2, 0]), np.array([10.0, 20.0, 8.0]), 1.0), [0.75, 0.25 + 0.25 / 4, 0.0])
    assert np.allclose(class_scores(np.array([4, 3]), np.array([10.0, 20.0]), 1.0), [0.25, 0.25 / 4])


def test_nothing_good_is_worth_nothing():
    assert np.array_equal(class_scores(np.array([0, 6, 0]), np.array([5.0, 6.0, 7.0]), 1.0), np.zeros(3))


def test_labels_and_scores_out_of_range():
    with pytest.raises(UserError, match="label 7"):
        class_scores(np.array([1, 7]), np.array([5.0, 6.0]), 1.0)
    with pytest.raises(UserError, match=r"job score 1\.5"):
        class_scores(np.array([1]), np.array([5.0]), 1.5)
