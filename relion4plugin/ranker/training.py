"""Training of the ranker: from samples to weights, epoch by epoch."""

import copy
import dataclasses
import hashlib
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from relion4plugin.progress import Progress
from relion4plugin.ranker.augment import Augmentation, augment
from relion4plugin.ranker.checkpoint import read_checkpoint, restore, write_checkpoint
from relion4plugin.ranker.gradients import BatchGradient
from relion4plugin.ranker.inputs import network_features, without
from relion4plugin.ranker.network import ClassRankerNet
from relion4plugin.ranker.samples import Samples
from relion4plugin.ranker.weights import predict

CHECKPOINT = "checkpoint.safetensors"
_WATCHED = 1024  # training samples whose error is followed without dropout and augmentation
_LEAST_EFFECT = 0.005  # of the images on scores, below which a network has learnt from the features alone


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes
    ----------
    epochs, batch
        Passes over the samples, and samples per step.
    learning_rate, final_learning_rate, decay
        Of Adam at the start and the end; between them "cosine" or "linear", or "constant" at the first.
    weight_decay
        Added to the gradient as that times the weight (coupled, as RELION-4.0's training does).
    dropout
        Probability.
    average
        Decay per step of a running average of the weights, 0 for none.
    clip
        Largest magnitude of a normalised feature.
    balance
        Weight of samples: "none"; "score", rare scores count more; "job", every job counts alike.
    inputs
        "both", or only "images" or "features".
    image_vector, hidden
        Widths of a new network.
    seed, threads
        The same seed gives the same weights, for any number of threads.
    augmentation
        Random changes of samples.
    """

    epochs: int = 60
    batch: int = 32
    learning_rate: float = 2e-4
    final_learning_rate: float = 2e-5
    decay: str = "cosine"
    weight_decay: float = 5e-4
    dropout: float = 0.3
    average: float = 0.0
    clip: float = 8.0
    balance: str = "none"
    inputs: str = "both"
    image_vector: int = 48
    hidden: int = 48
    seed: int = 12
    threads: int = 2
    augmentation: Augmentation = field(default_factory=Augmentation)


@dataclass(frozen=True)
class Trained:
    """A trained network in evaluation mode, the record of its epochs, and whether it is the running average."""

    net: ClassRankerNet
    history: list[dict[str, Any]]
    averaged: bool

    @property
    def ignores_images(self) -> bool:
        """Whether scores stay the same, within 0.005 on average, when the images are exchanged among the samples."""
        return bool(self.history[-1].get("image_effect", 1.0) < _LEAST_EFFECT)


@dataclass
class _State:
    net: ClassRankerNet
    average: ClassRankerNet | None
    optimiser: torch.optim.Adam
    history: list[dict[str, Any]]


def sample_weights(samples: Samples, balance: str) -> np.ndarray:
    """Weight of each training sample, float32 ``(n,)`` with mean 1.

    "score" weighs by the inverse square root of how many samples share a tenth of the score range, "job" by the inverse
    square root of the size of the job, both limited to a factor of 5 from the mean.
    """
    if balance == "none":
        return np.ones(len(samples), np.float32)
    if balance not in ("score", "job"):
        raise ValueError(f"balance {balance!r} must be 'none', 'score' or 'job'")
    values = np.clip(np.floor(samples.score * 10), 0, 9) if balance == "score" else samples.job
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    weights = 1 / np.sqrt(counts[where])
    weights = np.clip(weights / weights.mean(), 0.2, 5.0)
    return (weights / weights.mean()).astype(np.float32)


def learning_rate(settings: TrainingSettings, done: float) -> float:
    """Learning rate after a fraction `done` (0 to 1) of all steps."""
    first, last = settings.learning_rate, settings.final_learning_rate
    if settings.decay == "constant":
        return first
    share = (1 + np.cos(np.pi * done)) / 2 if settings.decay == "cosine" else 1 - done
    return float(last + (first - last) * share)


def train(
    samples: Samples,
    valid: Samples | None,
    settings: TrainingSettings,
    folder: Path,
    progress: Progress,
    start: ClassRankerNet | None = None,
    resume: bool = False,
) -> Trained:
    """Train a network by mean square error with Adam; its state is kept in `folder` after every epoch.

    Parameters
    ----------
    samples, valid
        Training samples, and samples that are only looked at (None for none).
    settings
        How to train.
    folder
        Existing folder for the state.
    progress
        Receiver of progress, one step per batch.
    start
        Network to go on from, None for a new one.
    resume
        Continue from the state in the folder: the weights at the end are those of an uninterrupted training.

    Returns
    -------
    Trained
        The last weights, or their running average where it was asked for and fits the validation samples better.

    Raises
    ------
    UserError
        If the state is missing, of another training, or cannot be written.
    """
    state = _begin(settings, start)
    identity = _identity(samples, valid, settings, start)
    if resume:
        checkpoint = read_checkpoint(folder / CHECKPOINT, identity)
        restore(checkpoint, state.net, state.average, state.optimiser)
        state.history.extend(checkpoint.history)
    steps = -(-len(samples) // settings.batch)
    progress.start("Training", steps * (settings.epochs - len(state.history)))
    with BatchGradient(state.net, settings.threads) as gradient:
        while len(state.history) < settings.epochs:
            begin = time.monotonic()
            record = _epoch(samples, state, settings, gradient, progress)
            record.update(_errors(samples, valid, state, settings))
            record["seconds"] = round(time.monotonic() - begin, 2)
            state.history.append(record)
            write_checkpoint(folder / CHECKPOINT, state.net, state.average, state.optimiser, state.history, identity)
    progress.finish()
    averaged = state.average is not None and _average_is_better(state.history)
    net = state.average if averaged and state.average is not None else state.net
    return Trained(net.eval(), state.history, averaged)


def _begin(settings: TrainingSettings, start: ClassRankerNet | None) -> _State:
    with torch.random.fork_rng(devices=[]):  # torch draws initial weights from one generator for the whole process
        torch.manual_seed(settings.seed)
        widths = (settings.image_vector, settings.hidden) if start is None else start.widths[:2]
        net = ClassRankerNet(*widths, dropout=settings.dropout)
        _initialise(net)
    if start is not None:
        net.load_state_dict(start.state_dict())
    net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
    return _State(net, copy.deepcopy(net).eval() if settings.average > 0 else None, optimiser, [])


def _initialise(net: ClassRankerNet) -> None:
    """Draw weights of the convolutions that keep the size of signals from layer to layer (He et al. 2015), biases 0.

    With those that torch draws signals fade over the nine convolutions; the score is then learnt from the features, and the network
    often never begins to look at the images.
    """
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:
            torch.nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            torch.nn.init.zeros_(layer.bias)


def _identity(samples: Samples, valid: Samples | None, settings: TrainingSettings, start: ClassRankerNet | None) -> dict[str, Any]:
    described = dataclasses.asdict(settings)
    del described["threads"]
    weights = b"" if start is None else b"".join(value.numpy().tobytes() for value in start.state_dict().values())
    return {
        **described,
        "set of training samples": samples.digest(),
        "set of validation samples": valid.digest() if valid is not None else "",
        "start": hashlib.sha256(weights).hexdigest(),
    }


def _epoch(
    samples: Samples, state: _State, settings: TrainingSettings, gradient: BatchGradient, progress: Progress
) -> dict[str, Any]:
    epoch = len(state.history)
    drawn, dropped = np.random.SeedSequence([settings.seed, epoch]).spawn(2)
    random = np.random.default_rng(drawn)
    gradient.seed(dropped)
    weights = sample_weights(samples, settings.balance)
    order = random.permutation(len(samples))
    batches = [order[i : i + settings.batch] for i in range(0, len(order), settings.batch)]
    note = _note(state.history)
    total = 0.0
    for i, rows in enumerate(batches):
        rate = learning_rate(settings, (epoch + i / len(batches)) / settings.epochs)
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        images, features = augment(samples.images[rows], samples.features[rows], random, settings.augmentation)
        shown, prepared = without(images.numpy(), network_features(features, settings.clip), settings.inputs)
        target, weight = torch.from_numpy(samples.score[rows]), torch.from_numpy(weights[rows])
        total += len(rows) * gradient.compute(torch.from_numpy(shown), torch.from_numpy(prepared), target, weight)
        state.optimiser.step()
        if state.average is not None:
            _follow(state.average, state.net, settings.average)
        progress.advance(1, note if i == 0 else "")
    return {"epoch": epoch + 1, "learning_rate": rate, "loss": total / len(samples)}


def _note(history: list[dict[str, Any]]) -> str:
    if not history:
        return ""
    last = history[-1]
    shown = f", validation {last['valid_mse']:.4f}" if "valid_mse" in last else ""
    return f"epoch {last['epoch']}: error {last['train_mse']:.4f}{shown}"


def _follow(average: ClassRankerNet, net: ClassRankerNet, decay: float) -> None:
    with torch.no_grad():
        for mean, value in zip(average.parameters(), net.parameters(), strict=True):
            mean.lerp_(value, 1 - decay)


def _errors(samples: Samples, valid: Samples | None, state: _State, settings: TrainingSettings) -> dict[str, float]:
    spacing = -(-len(samples) // _WATCHED)
    watched = samples.select(np.arange(0, len(samples), spacing))
    errors = {"train_mse": mean_square_error(state.net, watched, settings), "image_effect": image_effect(state.net, watched, settings)}
    if valid is not None:
        errors["valid_mse"] = mean_square_error(state.net, valid, settings)
    if state.average is not None:
        judge, name = (valid, "valid_mse_average") if valid is not None else (watched, "train_mse_average")
        errors[name] = mean_square_error(state.average, judge, settings)
    return errors


def mean_square_error(net: ClassRankerNet, samples: Samples, settings: TrainingSettings) -> float:
    """Mean square error of a network in evaluation mode, with inputs as in training."""
    inputs = without(samples.images, network_features(samples.features, settings.clip), settings.inputs)
    return float(np.mean((predict(net, *inputs) - samples.score) ** 2))


def image_effect(net: ClassRankerNet, samples: Samples, settings: TrainingSettings) -> float:
    """Root mean square change of the scores when each sample gets the image of another one."""
    features = network_features(samples.features, settings.clip)
    scores, others = (
        predict(net, *without(images, features, settings.inputs)) for images in (samples.images, np.roll(samples.images, 1, axis=0))
    )
    return float(np.sqrt(np.mean((scores - others) ** 2)))


def _average_is_better(history: list[dict[str, Any]]) -> bool:
    last = history[-1]
    if "valid_mse_average" in last:
        return bool(last["valid_mse_average"] < last["valid_mse"])
    return bool(last["train_mse_average"] < last["train_mse"])
