"""The stage that sees the whole job: what it learns, how it is stored, and the threshold on its answer."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit, logit

from relion4plugin.errors import UserError
from relion4plugin.ranker.evaluation import good_classes
from relion4plugin.ranker.held_out import divide
from relion4plugin.ranker.job_stage import OddsThreshold, error_weights, fit_job_stage, judged_in_jobs
from relion4plugin.ranker.metrics import roc_auc
from relion4plugin.ranker.network import ClassRankerNet
from relion4plugin.ranker.standing import JobClasses, standing
from relion4plugin.ranker.weights import load_weights, save_weights
from tests.ranker.samples_for_tests import toy_samples

CARD = {"clip": 8.0}


def samples_of(n: int, n_jobs: int, seed: int):
    samples = toy_samples(n, n_jobs, seed)
    samples.extra["resolution"] = 30 - 20 * samples.score.astype(np.float64)
    return samples


@pytest.fixture(scope="module")
def stage():
    samples = samples_of(240, 12, 0)
    return fit_job_stage(samples, np.random.default_rng(0).random(240), 3, {"classes": 240})


def test_standing_by_hand():
    job = JobClasses(
        np.array([0.2, 0.8, -0.1]), np.zeros((3, 24)), np.zeros((3, 64, 64)), np.array([100.0, 300.0, 100.0]), np.array([20.0, 10.0, 40.0])
    )
    found = standing(job)
    np.testing.assert_allclose(found["score"], [0.2, 0.8, 0.0])
    np.testing.assert_allclose(found["job_particles_above"], [0.7, 0.3, 0.9])
    np.testing.assert_allclose(found["job_rank"], [0.5, 1 / 6, 5 / 6])
    np.testing.assert_allclose(found["job_best_score"], [0.25, 1, 0])
    np.testing.assert_allclose(found["job_mean_score"], np.array([0.2, 0.8, 0.0]) - 0.52)
    np.testing.assert_allclose(found["job_score_at_0.5"], [-0.6, 0, -0.8])
    np.testing.assert_allclose(found["job_best_resolution"], np.log([2, 1, 4]))
    np.testing.assert_allclose(found["job_share"], np.log([0.6, 1.8, 0.6]))


def test_the_order_of_the_classes_does_not_matter(stage):
    samples = samples_of(20, 1, 5)
    scores, order = np.linspace(-0.1, 1.1, 20), np.random.default_rng(1).permutation(20)
    turned = judged_in_jobs(stage, samples.select(order), scores[order])
    for found, again in zip(judged_in_jobs(stage, samples, scores), turned, strict=True):
        np.testing.assert_allclose(found[order], again)


def test_it_finds_the_good_classes_though_the_scores_say_nothing(stage):
    samples = samples_of(80, 4, 9)
    better, found = judged_in_jobs(stage, samples, np.random.default_rng(2).random(80))
    assert roc_auc(good_classes(samples), found) > 0.9 and 0 < found.min() < found.max() < 1
    assert np.mean((better - samples.score) ** 2) < 0.3 * np.var(samples.score)


def test_errors_count_by_the_good_particles_of_the_job():
    samples = samples_of(4, 2, 1)  # jobs 0, 1, 0, 1
    samples.extra.update(particles=np.array([100.0, 10, 300, 90]), category=np.array([1, 0, 0, 0]))
    expected = np.array([1, 10 / 15, 3, 90 / 15])
    np.testing.assert_allclose(error_weights(samples), expected / expected.mean())


def test_the_threshold_rises_with_the_best_classes():
    rule = OddsThreshold(top_share=0.03, slope=0.4, offset=-1.6, least=0.0)
    particles = np.ones(3)
    assert rule.of(np.array([0.9, 0.5, 0.1]), particles) == pytest.approx(expit(0.4 * logit(0.9) - 1.6))
    assert rule.of(np.array([0.5, 0.1, 0.1]), particles) == pytest.approx(expit(-1.6))
    assert rule.of(np.array([0.05, 0.01, 0.01]), particles) == math.inf
    assert 0 < rule.of(np.array([1.0, 0.0]), np.ones(2)) < 1


def test_nothing_is_selected_where_the_best_is_unlikely():
    rule, probability = OddsThreshold(slope=0.5, offset=-2.0, least=0.2), np.array([0.19, 0.18, 0.1])
    assert rule.of(probability, np.ones(3)) == math.inf
    assert rule.of(probability + 0.02, np.ones(3)) < 0.19


def test_a_stage_is_stored_with_the_weights(stage, tmp_path):
    save_weights(tmp_path / "net.safetensors", ClassRankerNet(4, 4), CARD, stage)
    read = load_weights(tmp_path / "net.safetensors")
    samples = samples_of(20, 2, 7)
    scores = read.score(samples.images, samples.features)
    assert read.job_stage is not None and read.job_stage.about == {"classes": 240} and read.job_stage.threshold == stage.threshold
    assert np.array_equal(judged_in_jobs(read.job_stage, samples, scores), judged_in_jobs(stage, samples, scores))
    save_weights(tmp_path / "without.safetensors", read.net, read.card)
    assert load_weights(tmp_path / "without.safetensors").job_stage is None


def test_a_stage_of_an_earlier_version_keeps_the_score_of_the_network(stage, tmp_path):
    def before(tensors, block):
        for name in [name for name in tensors if name.startswith("job_stage.score.")]:
            del tensors[name]
        del block["score_trees"], block["threshold"]["least"]
        block["version"] = 1

    read = load_weights(rewritten(tmp_path / "net.safetensors", stage, before)).job_stage
    samples = samples_of(20, 2, 7)
    scores = np.linspace(-0.1, 1.1, 20)
    found, probability = judged_in_jobs(read, samples, scores)
    assert read.threshold.least == 0.0
    assert np.array_equal(found, scores)
    assert np.array_equal(probability, judged_in_jobs(stage, samples, scores)[1])


def rewritten(path, stage, change):
    import json

    from safetensors import safe_open

    save_weights(path, ClassRankerNet(4, 4), CARD, stage)
    with safe_open(path, "pt") as archive:
        card = json.loads(archive.metadata()["card"])
    tensors = load_file(path)
    change(tensors, card["job_stage"])
    save_file(tensors, path, metadata={"card": json.dumps(card)})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors, block: block.update(version=9), "newer"),
        (lambda tensors, block: tensors.pop("job_stage.leaf"), "not complete"),
        (lambda tensors, block: tensors.pop("job_stage.score.leaf"), "not complete"),
        (lambda tensors, block: tensors.update({"job_stage.score.limit": torch.zeros(2, 3)}), "do not fit"),
        (lambda tensors, block: block["inputs"].pop(), "do not fit"),
        (lambda tensors, block: tensors.update({"job_stage.limit": torch.zeros(2, 3)}), "do not fit"),
        (lambda tensors, block: block.update(version=2), "no longer read"),
    ],
)
def test_a_damaged_stage_is_refused(stage, tmp_path, change, message):
    if message == "do not fit":
        assert stage.trees.column.max() == len(stage.inputs) - 1 or stage.trees.limit.shape != (2, 3)
    with pytest.raises(UserError, match=message):
        load_weights(rewritten(tmp_path / "net.safetensors", stage, change))


def test_samples_without_what_is_needed_are_refused():
    samples = toy_samples(20, 4)
    with pytest.raises(UserError, match="resolution"):
        fit_job_stage(samples, np.zeros(20), 0, {})
    samples = samples_of(20, 4, 0)
    samples.extra["category"] = np.zeros(20)
    with pytest.raises(UserError, match="good and other"):
        fit_job_stage(samples, np.zeros(20), 0, {})


def test_parts_divide_no_structure():
    samples = toy_samples(48, 6)  # three structures
    part = divide(samples, 3)
    assert sorted(np.bincount(part)) == [16, 16, 16]
    for name in np.unique(samples.structure):
        assert len(np.unique(part[samples.structure == name])) == 1
    with pytest.raises(UserError, match="too few for 4 parts"):
        divide(samples, 4)


def test_the_shipped_weights_have_a_stage():
    shipped = load_weights().job_stage
    assert shipped is not None and shipped.about["parts"] == 4 and "score" in shipped.inputs and shipped.score_trees is not None


def test_the_shipped_weights_know_a_particle_in_a_wide_and_in_a_tight_mask():
    """A hollow sphere that fills half of the image, or nearly all of it as apoferritin in its own mask, beside bare noise."""
    radius = np.hypot(*np.mgrid[-32:32, -32:32])
    wide, tight = (np.clip((radius <= outer) - 0.4 * (radius <= inner), 0, 1) for outer, inner in ((13, 7), (25, 13)))
    noise = 0.2 * np.random.default_rng(0).standard_normal((64, 64))
    images = 2 * np.stack([wide, tight, noise]).astype(np.float32)
    scores = load_weights().score(images, np.zeros((3, 24), np.float32))
    assert scores[2] < 0.1 < 0.3 < scores[:2].min()
