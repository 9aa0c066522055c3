import dataclasses
import json

import numpy as np
import pytest

from relion4plugin.ranker import metrics
from relion4plugin.ranker.calibration import calibrated, fit_gamma
from relion4plugin.ranker.evaluation import best_common_threshold, evaluate, good_classes
from tests.ranker.samples_for_tests import toy_samples


def test_r_squared():
    target = np.array([0.0, 1.0, 2.0, 3.0])
    assert metrics.r_squared(target, target) == 1.0
    assert metrics.r_squared(target, np.full(4, 1.5)) == 0.0
    assert np.isclose(metrics.r_squared(target, target + 0.5), 1 - 0.25 / 1.25)
    assert np.isnan(metrics.r_squared(np.ones(3), np.zeros(3)))


def test_spearman():
    # one swapped pair of n: 1 - 6 * 2 / (n (n^2 - 1))
    assert np.isclose(metrics.spearman(np.arange(5.0), np.array([0, 1, 2, 4, 3.0])), 1 - 12 / 120)
    assert np.isnan(metrics.spearman(np.ones(4), np.arange(4.0)))
    target = np.concatenate([np.arange(8.0), np.arange(9.0), np.arange(3.0)])
    score = np.concatenate([np.arange(8.0), -np.arange(9.0), np.arange(3.0)])
    job = np.repeat(["a", "b", "small"], [8, 9, 3])
    assert metrics.spearman_within_jobs(target, score, job) == pytest.approx({"a": 1.0, "b": -1.0})


def test_auc_counts_pairs():
    random = np.random.default_rng(0)
    good, score = random.random(60) < 0.4, random.integers(0, 12, 60).astype(float)
    weight = random.uniform(1, 9, 60)
    pairs = (score[good][:, None] > score[~good]) + 0.5 * (score[good][:, None] == score[~good])
    both = weight[good][:, None] * weight[~good]
    assert np.isclose(metrics.roc_auc(good, score), pairs.mean())
    assert np.isclose(metrics.roc_auc(good, score, weight), (pairs * both).sum() / both.sum())
    assert np.isnan(metrics.roc_auc(np.ones(3, bool), np.arange(3.0)))


def test_average_precision():
    score = np.array([5.0, 4, 3, 2, 1])
    good = np.array([1, 0, 1, 0, 0], bool)
    assert np.isclose(metrics.average_precision(good, score), (1 + 2 / 3) / 2)
    weight = np.array([2.0, 1, 3, 1, 1])
    assert np.isclose(metrics.average_precision(good, score, weight), (2 * 1 + 3 * 5 / 6) / 5)
    assert np.isclose(metrics.average_precision(good, np.zeros(5)), 2 / 5)


def test_rates_divide_by_what_should_be_selected():
    good = np.array([1, 1, 0, 0], bool)
    particles = np.array([100.0, 100, 300, 50])
    rates = metrics.selection_rates(good, np.array([0.9, 0.1, 0.5, 0.0]), particles, 0.15)
    assert (rates.false_positive, rates.false_negative) == (1.5, 0.5)
    assert metrics.selection_rates(good, np.array([0.15, 0.2, 0.1, 0.1]), particles, 0.15).false_negative == 0
    assert np.isnan(metrics.selection_rates(~good & good, good * 1.0, particles, 0.5).false_positive)


def test_supervised_threshold_is_the_best_of_all():
    random = np.random.default_rng(1)
    good = random.random(30) < 0.5
    score, particles = 0.3 * good + random.normal(0, 0.2, 30), random.uniform(20, 500, 30)
    best = metrics.supervised_threshold(good, score, particles)
    worse = [metrics.selection_rates(good, score, particles, t) for t in np.linspace(-1, 2, 3001)]
    assert max(best.false_positive, best.false_negative) <= min(max(r.false_positive, r.false_negative) for r in worse) + 1e-12
    separable = metrics.supervised_threshold(np.array([0, 0, 1], bool), np.array([0.1, 0.2, 0.4]), np.ones(3))
    assert np.isclose(separable.threshold, 0.3) and separable.false_positive == separable.false_negative == 0


def test_confusion():
    table = metrics.confusion(np.array([0.0, 0.05, 1.0, 0.55]), np.array([-0.2, 0.15, 1.3, 0.5]))
    assert table[0, 0] == table[0, 1] == 0.5 and table[9, 9] == 1 and table[5, 5] == 1 and table.sum() == 3


def test_purity_and_recall():
    purity, recall, gain = metrics.purity_and_recall(np.array([1, 1, 0], bool), np.array([80.0, 10, 10]), np.array([100.0, 50, 50]))
    assert np.isclose(purity, 90 / 150) and np.isclose(recall, 0.9) and np.isclose(gain, 0.6 - 0.5)


def test_calibration_moves_the_threshold_and_keeps_the_order():
    gamma = fit_gamma(0.3, 0.15)
    scores = np.array([-0.1, 0.0, 0.1, 0.3, 1.0])
    moved = calibrated(scores, gamma)
    assert np.isclose(moved[3], 0.15) and moved[1] == 0 and moved[4] == 1 and (np.diff(moved) > 0).all()
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_gamma(1.0)


def test_report_of_perfect_and_of_useless_scores():
    samples = toy_samples(60)
    report = evaluate(samples, samples.score.astype(float), threshold=0.5)
    assert report["mse"] == 0 and report["auc"] == 1 and report["worst_fpr"] == report["worst_fnr"] == 0 and report["r2"] == 1
    assert report["n_jobs"] == 6 and report["n_structures"] == 3 and np.isclose(report["median_spearman_within_jobs"], 1)
    flat = evaluate(samples, np.zeros(60))
    assert flat["auc"] == 0.5 and flat["spearman"] is None and flat["mean_fnr"] == 1
    json.dumps(flat, allow_nan=False)


def test_report_of_true_particles():
    samples = toy_samples(4)
    extra = {"particles": np.array([100.0, 50, 50, 10]), "true_particles": np.array([80.0, 10, 10, np.nan])}
    scored = dataclasses.replace(samples, extra=extra)
    report = evaluate(scored, np.array([1.0, 1, 0, 1]))
    assert np.isclose(report["purity"], 0.6) and np.isclose(report["recall"], 0.9) and np.isclose(report["purity_gain"], 0.1)
    assert "purity" not in evaluate(samples, np.ones(4))


def test_good_classes_follow_the_category_and_else_the_score():
    samples = toy_samples(6)
    category = np.array([1.0, 5, 2, 3, 0, np.nan])
    score = np.array([0, 0, 0, 1, 1, 0.2], np.float32)
    mixed = dataclasses.replace(samples, score=score, extra={"category": category})
    assert good_classes(mixed).tolist() == [True, True, True, False, False, True]
    told = {"category": category, "selected": np.array([0, 1, np.nan, 1, np.nan, np.nan])}
    assert good_classes(dataclasses.replace(mixed, extra=told)).tolist() == [False, True, True, True, False, True]
    assert good_classes(dataclasses.replace(mixed, extra={})).tolist() == (score >= 0.15).tolist()


def test_common_threshold_lies_between_good_and_bad():
    samples = toy_samples(60)
    scores = np.where(good_classes(samples), 0.4, 0.2)
    assert 0.2 < best_common_threshold(samples, scores) < 0.4
