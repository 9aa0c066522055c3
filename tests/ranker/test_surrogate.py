"""Imitated classes are measured like those of a run, and their order is what it should be."""

import numpy as np
import pytest

from relion4plugin.ranker.features import compute_features
from relion4plugin.ranker.surrogate import SurrogateSpec, make_surrogate
from relion4plugin.ranker.truth import class_targets, class_truth
from tests.ranker import known_classes as kc

FINE = {"view_spread": (2.0, 4.0), "turn_error": (0.5, 2.0), "shift_error": (0.5, 1.5), "impurity": (0.0, 0.05), "off_centre": 0.0}


def made(**changes):
    spec = SurrogateSpec(n_classes=8, members=(60.0, 400.0), **changes)
    run, truth = make_surrogate([kc.blob_map()], kc.PIXEL, kc.DIAMETER / 1.2, spec)
    found = class_truth(run, truth, [kc.blob_map()])
    return run, truth, found


def test_good_members_give_good_classes():
    run, truth, found = made(junk=0.0, snr=0.3, **FINE)
    assert np.median(found.q) > 0.8
    assert found.offset.max() < 0.05
    assert np.median(found.d_true) < 15.0
    target, score = class_targets(run, found, truth.true_fraction)
    assert score > 0.5
    assert np.median(target) > 0.6 * score


def test_junk_is_worth_nothing():
    run, truth, found = made(junk=1.0)
    assert class_targets(run, found, truth.true_fraction)[0].max() < 0.1


@pytest.mark.parametrize(("fault", "value"), [("view_spread", (35.0, 36.0)), ("turn_error", (14.0, 15.0)), ("shift_error", (7.0, 8.0))])
def test_misaligned_classes_agree_with_the_truth_less_far(fault, value):
    good, bad = (made(junk=0.0, snr=0.3, **FINE | change)[2].d_true for change in ({}, {fault: value}))
    assert np.median(bad) > 1.2 * np.median(good)


@pytest.mark.parametrize(("fault", "value"), [("impurity", (0.5, 0.6)), ("off_centre", 1.0)])
def test_faults_cost_quality(fault, value):
    good, bad = (made(junk=0.0, snr=0.3, **FINE | change)[2].q for change in ({}, {fault: value}))
    assert np.median(bad) < np.median(good) - 0.1


def test_off_centre_classes_are_where_the_truth_says():
    _, _, found = made(junk=0.0, snr=0.3, **FINE | {"off_centre": 1.0})
    assert found.offset.min() > 0.05
    assert np.median(found.correlation) > 0.9


def test_features_can_be_computed_and_repeat():
    run = made(snr=0.2)[0]
    features = compute_features(run)
    assert len(features) == 8
    assert np.isfinite(features.normalised).all()
    np.testing.assert_array_equal(made(snr=0.2)[0].classes, run.classes)
    assert (made(snr=0.2, seed=1)[0].classes != run.classes).any()
