"""A trained ranker: network, model card and how its scores are read; loading and saving."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path
from relion4plugin.ranker.calibration import calibrated
from relion4plugin.ranker.inputs import network_features, without
from relion4plugin.ranker.job_stage import CARD_KEY, JobStage, stage_to_store, stored_stage
from relion4plugin.ranker.network import N_CNN_OUTPUT, ClassRankerNet
from relion4plugin.ranker.weight_files import read_tensors

CARD_VERSION = 1
SHIPPED = Path(__file__).with_name("class_ranker.safetensors")
_BATCH = 256  # images at once: 64 MB of activations
_ANCHOR = "feature_extractor.0.weight"  # its second extent tells the architecture
_HIDDEN = "classifier_images_and_features.1.weight"


@dataclass(frozen=True)
class Ranker:
    """A network in evaluation mode with what belongs to it.

    Attributes
    ----------
    net
        The network.
    own
        True for weights trained by this program: features are clipped and scores calibrated as the card says. RELION's
        weights get the features as they are.
    card
        The model card: format version, features, normalisation, clip, calibration, thresholds, training set, metrics.
    path
        The file.
    job_stage
        The second stage, which sees the whole job; None where the weights have none.
    """

    net: ClassRankerNet
    own: bool
    card: dict[str, Any]
    path: Path
    job_stage: JobStage | None = None

    def score(self, images: np.ndarray, features: np.ndarray) -> np.ndarray:
        """Score class averages; a larger score is a better class.

        Parameters
        ----------
        images
            ``(n, 64, 64)``, as `features.ClassFeatures.images`.
        features
            ``(n, 24)``, normalised, not clipped.

        Returns
        -------
        numpy.ndarray
            float64 ``(n,)``, about 0 to 1.
        """
        if not self.own:
            return predict(self.net, images, features)
        prepared = network_features(features, float(self.card["clip"]))
        raw = predict(self.net, *without(images, prepared, str(self.card.get("inputs", "both"))))
        return calibrated(raw, float(self.card.get("gamma", 1.0)))


def predict(net: ClassRankerNet, images: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return the network's output float64 ``(n,)`` in evaluation mode, for images and features fed as they are.

    The network is left in the mode in which it was.
    """
    training = net.training
    net.eval()
    scores = np.empty(len(images), np.float64)
    try:
        with torch.inference_mode():
            for begin in range(0, len(images), _BATCH):
                rows = slice(begin, begin + _BATCH)
                x = torch.as_tensor(np.ascontiguousarray(images[rows], np.float32))[:, None]
                f = torch.as_tensor(np.ascontiguousarray(features[rows], np.float32))
                scores[rows] = net(x.contiguous(memory_format=torch.channels_last), f)[:, 0].double().numpy()
    finally:
        net.train(training)
    return scores


def load_weights(path: str | os.PathLike[str] | None = None) -> Ranker:
    """Load a ranker: this program's own weights or those published for RELION 4 and 5.

    No code of the file is run: tensors are read, checked against the architecture and copied into our own network.

    Parameters
    ----------
    path
        Weights file; None takes the weights that come with this program.

    Raises
    ------
    UserError
        If the file is missing, damaged, would run code, or holds another architecture.
    """
    file = SHIPPED if path is None else Path(path)
    tensors, card = read_tensors(file)
    if card is not None:
        _check_card(card, file)
    return Ranker(_filled_network(tensors, file).eval(), card is not None, card or {}, file, stored_stage(tensors, card or {}, file))


def _check_card(card: dict[str, Any], file: Path) -> None:
    if int(card.get("format_version", 0)) > CARD_VERSION:
        raise UserError(f"weights {file}: format {card['format_version']} is newer than this program's {CARD_VERSION}: update it")
    if "clip" not in card:
        raise UserError(f"weights {file}: the model card does not say how features are clipped; train again with train-ranker")


def _filled_network(tensors: dict[str, torch.Tensor], file: Path) -> ClassRankerNet:
    # Traces may wrap the network: its names then share a prefix.
    prefixes = [name.removesuffix(_ANCHOR) for name in tensors if name.endswith(_ANCHOR)]
    prefix = prefixes[0] if len(prefixes) == 1 else ""
    named = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    image_vector, n_cnn = _matrix(named, _ANCHOR, f"(any, {N_CNN_OUTPUT})", file)
    if n_cnn != N_CNN_OUTPUT:
        raise _foreign(file, _ANCHOR, (image_vector, n_cnn), (image_vector, N_CNN_OUTPUT))
    hidden, joined = _matrix(named, _HIDDEN, f"(any, {image_vector + 24})", file)
    if joined != image_vector + 24:
        raise _foreign(file, _HIDDEN, (hidden, joined), (hidden, image_vector + 24))
    net = ClassRankerNet(image_vector, hidden)
    expected = net.state_dict()
    for name, tensor in expected.items():
        found = named.get(name)
        if found is None or found.shape != tensor.shape:
            raise _foreign(file, name, None if found is None else tuple(found.shape), tuple(tensor.shape))
    net.load_state_dict({name: named[name].float() for name in expected})
    if not all(bool(torch.isfinite(tensor).all()) for tensor in net.state_dict().values()):
        raise UserError(f"weights {file}: some weights are not finite numbers; the training failed or the file is damaged")
    return net


def _matrix(named: dict[str, torch.Tensor], name: str, expected: str, file: Path) -> tuple[int, int]:
    found = named.get(name)
    if found is None or found.ndim != 2:
        raise _foreign(file, name, None if found is None else tuple(found.shape), expected)
    return int(found.shape[0]), int(found.shape[1])


def _foreign(file: Path, name: str, found: tuple[int, ...] | None, expected: tuple[int, ...] | str) -> UserError:
    has = "is missing" if found is None else f"has shape {found}"
    return UserError(f"weights {file}: of another network: tensor {name} {has}, expected shape {expected}; give weights of a class ranker")


def save_weights(path: str | os.PathLike[str], net: ClassRankerNet, card: dict[str, Any], job_stage: JobStage | None = None) -> None:
    """Write a network and its card as safetensors, whole or not at all.

    Parameters
    ----------
    path
        File to write (.safetensors).
    net
        The network.
    card
        Everything that belongs to the weights, storable as JSON; ``format_version``, the widths and the block of the job stage
        are added.
    job_stage
        The second stage, None for none.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    image_vector, hidden, _ = net.widths
    complete = {**card, "format_version": CARD_VERSION, "image_vector": image_vector, "hidden": hidden}
    complete.pop(CARD_KEY, None)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in net.state_dict().items()}
    if job_stage is not None:
        added, complete[CARD_KEY] = stage_to_store(job_stage)
        tensors |= added
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"card": json.dumps(complete, sort_keys=True)})
