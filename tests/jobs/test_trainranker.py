import json

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.jobs import trainranker
from relion4plugin.jobs.trainranker import TrainRankerParameters
from relion4plugin.progress import Silent
from relion4plugin.ranker.calibration import calibrated
from relion4plugin.ranker.samples import read_samples, write_samples
from relion4plugin.ranker.weights import load_weights, save_weights
from tests.ranker.samples_for_tests import toy_samples


@pytest.fixture
def archive(tmp_path):
    write_samples(tmp_path / "set.npz", toy_samples(40))
    return tmp_path / "set.npz"


def parameters(archive, **changes):
    values = {"samples": str(archive), "epochs": 2, "batch": 8, "image_vector": 8, "hidden": 8, "valid_fraction": 0.3, **changes}
    return TrainRankerParameters(**values)


def test_a_training_leaves_weights_report_and_job_files(tmp_path, archive):
    outputs = trainranker.run(parameters(archive, keep_samples=True), tmp_path / "job", Silent())
    ranker = load_weights(outputs.weights)
    samples = toy_samples(40)
    assert ranker.own and ranker.score(samples.images, samples.features).shape == (40,)
    report = json.loads(outputs.report.read_text())
    assert len(report["history"]) == 2 and report["metrics"]["valid"]["n"] == outputs.n_valid > 0
    card = ranker.card
    assert card["training_set"]["classes"] == outputs.n_train and len(card["features"]) == 24
    assert card["masked_slots"] == list(range(15, 21))
    assert not set(card["training_set"]["structures"]) & set(card["validation_set"]["structures"])
    assert report["metrics"]["train"]["mse"] == outputs.train_mse
    assert read_star(tmp_path / "job" / "job.star")["job"]["rlnJobTypeLabel"] == "relion4plugin.trainranker"
    assert (tmp_path / "job" / "RELION_JOB_EXIT_SUCCESS").is_file()
    assert len(read_samples(tmp_path / "job" / "samples.npz")) == 40


def test_results_are_not_mixed_and_a_training_can_be_continued(tmp_path, archive):
    first = trainranker.run(parameters(archive), tmp_path / "job", Silent())
    whole = first.weights.read_bytes()
    with pytest.raises(UserError, match="earlier run"):
        trainranker.run(parameters(archive), tmp_path / "job", Silent())
    first.weights.unlink()
    again = trainranker.run(parameters(archive), tmp_path / "job", Silent(), resume=True)
    assert again.weights.read_bytes() == whole
    with pytest.raises(UserError, match="another epochs"):
        trainranker.run(parameters(archive, epochs=5), tmp_path / "job", Silent(), resume=True)
    with pytest.raises(UserError, match="no training to continue"):
        trainranker.run(parameters(archive), tmp_path / "other", Silent(), resume=True)


def test_fine_tuning_keeps_the_widths_and_says_so(tmp_path, archive):
    first = trainranker.run(parameters(archive), tmp_path / "one", Silent())
    tuned = trainranker.run(parameters(archive, weights=str(first.weights), hidden=20), tmp_path / "two", Silent())
    assert load_weights(tuned.weights).net.widths[:2] == (8, 8)
    assert "ignored" in tuned.remarks[0] and load_weights(tuned.weights).card["started_from"] == "class_ranker.safetensors"


def test_calibration_is_stored_with_the_weights(tmp_path, archive):
    outputs = trainranker.run(parameters(archive, do_calibrate=True, epochs=6, learning_rate=1e-3), tmp_path / "job", Silent())
    ranker = load_weights(outputs.weights)
    assert ranker.card["gamma"] != 1.0
    save_weights(tmp_path / "plain.safetensors", ranker.net, {**ranker.card, "gamma": 1.0})
    samples = toy_samples(9)
    raw = load_weights(tmp_path / "plain.safetensors").score(samples.images, samples.features)
    np.testing.assert_allclose(ranker.score(samples.images, samples.features), calibrated(raw, ranker.card["gamma"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": ""}, "no training set"),
        ({"samples": "missing.npz"}, "missing.npz"),
        ({"image_root": "nowhere"}, "nowhere"),
        ({"epochs": 0}, "epochs is 0"),
        ({"decay": "steps"}, "must be one of cosine"),
        ({"final_learning_rate": 0.01}, "final_learning_rate is larger"),
        ({"do_calibrate": True, "valid_fraction": 0.0}, "do_calibrate"),
        ({"weights": "missing.safetensors"}, "missing.safetensors"),
    ],
)
def test_mistakes_are_one_line(tmp_path, archive, changes, message):
    with pytest.raises(UserError, match=message) as caught:
        trainranker.run(parameters(archive, **changes), tmp_path / "job", Silent())
    assert "\n" not in str(caught.value)


def test_torch_that_is_not_installed(tmp_path, archive, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install torch"):
        trainranker.run(parameters(archive), tmp_path / "job", Silent())


@pytest.fixture
def whole_archive(tmp_path):
    samples = toy_samples(40)
    samples.extra["resolution"] = 30 - 20 * samples.score.astype(np.float64)
    write_samples(tmp_path / "whole.npz", samples)
    return tmp_path / "whole.npz"


def test_the_job_stage_is_trained_kept_and_trained_alone(tmp_path, whole_archive):
    first = trainranker.run(parameters(whole_archive, job_folds=2, job_epochs=1), tmp_path / "one", Silent())
    ranker = load_weights(first.weights)
    assert ranker.job_stage is not None and ranker.job_stage.about["parts"] == 2
    assert (tmp_path / "one/part2/checkpoint.safetensors").is_file()
    tuned = trainranker.run(parameters(whole_archive, weights=str(first.weights)), tmp_path / "two", Silent())
    kept = load_weights(tuned.weights).job_stage
    assert kept is not None and np.array_equal(kept.trees.leaf, ranker.job_stage.trees.leaf)
    assert any("job stage is that of class_ranker.safetensors" in remark for remark in tuned.remarks)
    alone = parameters(whole_archive, weights=str(first.weights), keep_network=True, job_folds=2, job_epochs=2, seed=12)
    again = load_weights(trainranker.run(alone, tmp_path / "three", Silent()).weights)
    assert all(bool((a == b).all()) for a, b in zip(again.net.parameters(), ranker.net.parameters(), strict=True))
    assert again.job_stage is not None and again.job_stage.about["networks"]["epochs"] == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"job_folds": 1}, "at least two"), ({"keep_network": True}, "give the weights"), ({"keep_network": True, "job_folds": 3}, "weights")],
)
def test_mistakes_with_the_job_stage(archive, changes, message):
    with pytest.raises(UserError, match=message):
        trainranker.validate(parameters(archive, **changes))


def test_networks_that_ignore_the_images_are_told_of(archive):
    seen, unseen = parameters(archive, learning_rate=0.001), parameters(archive, inputs="features")
    assert trainranker._blind(0, 4, seen) == ()
    (told,) = trainranker._blind(2, 4, seen)
    assert told.startswith("2 of 4 networks for the job stage ignore the images: train again with a lower --learning_rate than 0.001")
    assert trainranker._blind(1, 1, unseen) == ()
