import dataclasses

import numpy as np
import pytest
import torch

from relion4plugin.errors import UserError
from relion4plugin.progress import Silent
from relion4plugin.ranker.augment import Augmentation
from relion4plugin.ranker.checkpoint import read_checkpoint
from relion4plugin.ranker.gradients import BatchGradient
from relion4plugin.ranker.network import ClassRankerNet
from relion4plugin.ranker.training import (
    CHECKPOINT,
    Trained,
    TrainingSettings,
    _initialise,
    image_effect,
    learning_rate,
    mean_square_error,
    sample_weights,
    train,
)  # fmt: skip
from tests.ranker.samples_for_tests import toy_samples

SHORT = TrainingSettings(
    epochs=3,
    batch=10,
    learning_rate=1e-3,
    average=0.9,
    image_vector=8,
    hidden=8,
    augmentation=Augmentation(shift=1.0, gain=1.1, offset=0.05, feature_dropout=0.1),
)


def bits(net: torch.nn.Module) -> bytes:
    return b"".join(value.numpy().tobytes() for value in net.state_dict().values())


class Killed(Exception):
    pass


class KillAt(Silent):
    """Ends a training in the middle of an epoch."""

    def __init__(self, step: int) -> None:
        self.left = step

    def advance(self, n: int = 1, note: str = "") -> None:
        self.left -= n
        if self.left < 0:
            raise Killed


def test_gradient_is_that_of_the_whole_batch():
    torch.manual_seed(0)
    net = ClassRankerNet(6, 6, dropout=0.0)
    samples = toy_samples(7)
    images, features = torch.from_numpy(samples.images)[:, None], torch.from_numpy(samples.features)
    target, weight = torch.from_numpy(samples.score), torch.linspace(0.5, 2, 7)
    with BatchGradient(net, 2) as gradient:
        gradient.seed(np.random.SeedSequence(0))
        loss = gradient.compute(images, features, target, weight)
    expected = torch.sum(weight * (net(images, features)[:, 0] - target) ** 2) / weight.sum()
    assert np.isclose(loss, float(expected.detach()), rtol=1e-5)
    for parameter, wanted in zip(net.parameters(), torch.autograd.grad(expected, list(net.parameters())), strict=True):
        assert torch.allclose(parameter.grad, wanted, rtol=1e-3, atol=1e-6)


def test_it_learns(tmp_path):
    samples, valid = toy_samples(96), toy_samples(24, seed=1)
    settings = TrainingSettings(epochs=8, batch=8, learning_rate=1e-3, dropout=0.1, image_vector=8, hidden=8)
    trained = train(samples, valid, settings, tmp_path, Silent())
    assert mean_square_error(trained.net, valid, settings) < 0.4 * np.var(valid.score)
    assert [record["epoch"] for record in trained.history] == list(range(1, 9))
    assert trained.history[-1]["valid_mse"] == pytest.approx(mean_square_error(trained.net, valid, settings))


def test_same_seed_same_bits_for_any_number_of_threads(tmp_path):
    samples = toy_samples(33)
    nets = [train(samples, None, dataclasses.replace(SHORT, threads=t), tmp_path, Silent()).net for t in (1, 2)]
    np.random.default_rng().random()
    torch.rand(3)  # what others draw does not matter
    nets.append(train(samples, None, SHORT, tmp_path, Silent()).net)
    assert bits(nets[0]) == bits(nets[1]) == bits(nets[2])
    other = train(samples, None, dataclasses.replace(SHORT, seed=13), tmp_path, Silent()).net
    assert bits(other) != bits(nets[0])


def test_training_leaves_the_random_numbers_and_threads_of_others_alone(tmp_path):
    torch.manual_seed(5)
    expected, threads = torch.rand(1), torch.get_num_threads()
    torch.manual_seed(5)
    train(toy_samples(12), None, dataclasses.replace(SHORT, epochs=1), tmp_path, Silent())
    assert torch.equal(torch.rand(1), expected) and torch.get_num_threads() == threads


@pytest.mark.parametrize("step", [5, 6, 11])
def test_resumed_after_a_kill_equals_uninterrupted(tmp_path, step):
    samples, valid = toy_samples(33), toy_samples(12, seed=1)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = train(samples, valid, SHORT, tmp_path / "whole", Silent())
    with pytest.raises(Killed):
        train(samples, valid, SHORT, tmp_path / "killed", KillAt(step))
    resumed = train(samples, valid, SHORT, tmp_path / "killed", Silent(), resume=True)
    assert bits(resumed.net) == bits(whole.net)
    for ours, theirs in zip(resumed.history, whole.history, strict=True):
        assert {k: v for k, v in ours.items() if k != "seconds"} == {k: v for k, v in theirs.items() if k != "seconds"}


def test_only_the_same_training_is_continued(tmp_path):
    samples = toy_samples(20)
    with pytest.raises(UserError, match="no training to continue"):
        train(samples, None, SHORT, tmp_path, Silent(), resume=True)
    train(samples, None, dataclasses.replace(SHORT, epochs=1), tmp_path, Silent())
    with pytest.raises(UserError, match="another epochs"):
        train(samples, None, SHORT, tmp_path, Silent(), resume=True)
    with pytest.raises(UserError, match="another set of training samples"):
        train(toy_samples(21), None, dataclasses.replace(SHORT, epochs=1), tmp_path, Silent(), resume=True)
    (tmp_path / CHECKPOINT).write_bytes(b"0123456789")
    with pytest.raises(UserError, match="refused"):
        read_checkpoint(tmp_path / CHECKPOINT, {})


def test_fine_tuning_starts_from_the_given_weights(tmp_path):
    start = ClassRankerNet(8, 8)
    settings = dataclasses.replace(SHORT, epochs=1, learning_rate=1e-9, final_learning_rate=0.0, average=0.0, image_vector=48)
    tuned = train(toy_samples(12), None, settings, tmp_path, Silent(), start=start).net
    assert tuned.widths == start.widths
    for ours, theirs in zip(tuned.parameters(), start.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-7)


def test_what_is_left_out_does_not_matter(tmp_path):
    samples = toy_samples(20)
    noise = dataclasses.replace(samples, features=samples.features + np.float32(1))
    settings = dataclasses.replace(SHORT, epochs=1, inputs="images", augmentation=Augmentation())
    nets = [train(s, None, settings, tmp_path, Silent()).net for s in (samples, noise)]
    assert bits(nets[0]) == bits(nets[1])


def test_masked_features_get_no_weight(tmp_path):
    samples = toy_samples(20)
    samples.features[:, 15:21] = 1e6
    net = train(samples, None, dataclasses.replace(SHORT, weight_decay=0.0), tmp_path, Silent()).net
    torch.manual_seed(SHORT.seed)
    first = ClassRankerNet(8, 8).state_dict()["classifier_images_and_features.1.weight"]
    assert torch.equal(net.state_dict()["classifier_images_and_features.1.weight"][:, 8 + 15 : 8 + 21], first[:, 8 + 15 : 8 + 21])


def test_learning_rates():
    settings = TrainingSettings(learning_rate=1.0, final_learning_rate=0.2)
    assert [round(learning_rate(settings, x), 6) for x in (0, 0.5, 1)] == [1.0, 0.6, 0.2]
    assert round(learning_rate(dataclasses.replace(settings, decay="linear"), 0.25), 6) == 0.8
    assert learning_rate(dataclasses.replace(settings, decay="constant"), 0.9) == 1.0


def test_weights_of_samples():
    samples = toy_samples(100)
    uneven = dataclasses.replace(samples, score=np.where(np.arange(100) < 80, 0.0, 0.95).astype(np.float32))
    weights = sample_weights(uneven, "score")
    assert np.isclose(weights.mean(), 1) and np.isclose(weights[90] / weights[0], 2)
    assert (sample_weights(uneven, "none") == 1).all()
    jobs = sample_weights(dataclasses.replace(samples, job=np.where(np.arange(100) < 90, "big", "small")), "job")
    assert np.isclose(jobs[95] / jobs[0], 3)


@pytest.mark.parametrize("inputs", ["both", "images"])
def test_last_partial_batch_of_one_sample(tmp_path, inputs):
    trained = train(toy_samples(11), None, dataclasses.replace(SHORT, epochs=1, inputs=inputs), tmp_path, Silent())
    assert np.isfinite(trained.history[0]["loss"])


def test_signals_do_not_fade_at_the_beginning():
    """Images of unit spread leave the convolutions with about that spread; from torch's own weights hardly any is left."""
    torch.manual_seed(0)
    images = torch.randn(8, 1, 64, 64)
    net = ClassRankerNet(8, 8, dropout=0.0)
    with torch.no_grad():
        faded = float(net.cnn_layers(images).std())
        _initialise(net)
        kept = float(net.cnn_layers(images).std())
    assert faded < 0.05 < 0.5 < kept < 3


def test_a_network_that_ignores_the_images_is_noticed(tmp_path):
    samples, settings = toy_samples(60), dataclasses.replace(SHORT, average=0.0)
    seen = train(samples, None, settings, tmp_path, Silent())
    assert seen.history[-1]["image_effect"] == pytest.approx(image_effect(seen.net, samples, settings))
    net = ClassRankerNet(8, 8)
    with torch.no_grad():
        net.feature_extractor[0].weight.zero_()
    assert image_effect(net, samples, SHORT) == 0.0
    assert Trained(net, [{"image_effect": 0.004}], False).ignores_images
    assert not Trained(net, [{"image_effect": 0.006}], False).ignores_images
