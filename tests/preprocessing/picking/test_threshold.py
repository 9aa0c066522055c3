import numpy as np
import pytest

from relion4plugin.preprocessing.picking.threshold import threshold, too_strong


def noise(rng, n=300):
    return np.abs(rng.normal(1.9, 0.8, n))


def test_two_groups_are_cut_between_them(rng):
    found = threshold(np.concatenate([noise(rng), rng.normal(10, 1, 100)]))
    assert 4.0 < found < 8.0


def test_noise_alone_is_mostly_refused(rng):
    scores = noise(rng)
    assert (scores >= threshold(scores)).mean() < 0.06


def test_a_few_particles_in_noise_are_kept(rng):
    scores = np.concatenate([noise(rng), np.full(8, 6.0)])
    found = threshold(scores)
    assert found < 6.0
    assert (scores[:-8] >= found).sum() <= 15


def test_on_a_crowded_micrograph_nearly_all_maxima_are_particles(rng):
    scores = rng.normal(6.0, 1.5, 300)
    assert (scores >= threshold(scores)).mean() > 0.9


def test_a_few_crystals_do_not_turn_particles_into_noise(rng):
    particles = rng.normal(7, 1, 60)
    found = threshold(np.concatenate([noise(rng, 120), particles, [45.0, 50.0, 55.0, 70.0, 66.0]]))
    assert 3.0 < found < 6.0


def test_crystals_that_are_a_third_leave_the_cut_below_particles(rng):
    scores = np.concatenate([noise(rng, 120), rng.normal(7, 1, 30), rng.uniform(20, 100, 15)])
    assert 3.0 < threshold(scores) < 6.0


def test_one_crystal_among_crowded_particles(rng):
    scores = np.append(rng.normal(6.0, 1.5, 100), 40.0)
    assert (scores >= threshold(scores)).mean() > 0.9


def test_particles_far_stronger_than_noise_are_not_taken_for_gold(rng):
    scores = np.concatenate([noise(rng, 100), rng.normal(40, 5, 50)])
    assert 4.0 < threshold(scores) < 30.0


@pytest.mark.parametrize("scores", [np.linspace(0.5, 1.9, 20), np.zeros(20), np.linspace(-3, -1, 20)])
def test_where_nothing_is_above_noise_nothing_is_a_particle(scores):
    assert (scores >= threshold(scores)).sum() == 0


def test_few_scores_have_a_fixed_threshold():
    assert threshold(np.empty(0)) == threshold(np.array([1.0, 9.0])) == pytest.approx(3.5)


def test_what_is_far_beyond_the_median_is_too_strong():
    scores = np.array([5.0] * 20 + [14.0, 16.0, 90.0])
    assert np.flatnonzero(too_strong(scores, 3.0)).tolist() == [21, 22]
    assert not too_strong(np.array([1.0, 90.0]), 3.0).any()
