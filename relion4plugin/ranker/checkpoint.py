"""State of a training after an epoch, in one file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path
from relion4plugin.ranker.weight_files import read_tensors

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Checkpoint:
    """What was read back: epochs done, their records, and the tensors by name."""

    epoch: int
    history: list[dict[str, Any]]
    tensors: dict[str, torch.Tensor]
    step: int


def write_checkpoint(
    path: Path,
    net: torch.nn.Module,
    average: torch.nn.Module | None,
    optimiser: torch.optim.Adam,
    history: list[dict[str, Any]],
    identity: dict[str, Any],
) -> None:
    """Write network, its running average, the optimiser's moments and the record of the epochs done, whole or not at all.

    `identity` says which training this is; only the same training may continue from the file.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    tensors = {f"net.{name}": value.detach().contiguous() for name, value in net.state_dict().items()}
    if average is not None:
        tensors.update({f"average.{name}": value.detach().contiguous() for name, value in average.state_dict().items()})
    step = 0
    for name, parameter in net.named_parameters():
        state = optimiser.state[parameter]
        step = int(state["step"])
        tensors.update({f"{moment}.{name}": state[moment].contiguous() for moment in _MOMENTS})
    card = {"identity": identity, "history": history, "step": step}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"card": json.dumps(card)})


def read_checkpoint(path: Path, identity: dict[str, Any]) -> Checkpoint:
    """Read the state of a training.

    Raises
    ------
    UserError
        If there is none, or it is that of another training.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file, so there is no training to continue; start it without --continue")
    tensors, card = read_tensors(path)
    if card is None or "identity" not in card:
        raise UserError(f"{path}: not the state of a training; start it again without --continue")
    known = json.loads(json.dumps(identity))
    changed = sorted(key for key in known.keys() | card["identity"].keys() if known.get(key) != card["identity"].get(key))
    if changed:
        raise UserError(
            f"{path}: the training that is to be continued had another {changed[0]} ({card['identity'].get(changed[0])}, "
            f"now {known.get(changed[0])}): give the same options and samples, or train into another directory"
        )
    return Checkpoint(len(card["history"]), card["history"], tensors, int(card["step"]))


def restore(checkpoint: Checkpoint, net: torch.nn.Module, average: torch.nn.Module | None, optimiser: torch.optim.Adam) -> None:
    """Put the state into a network, its running average and its optimiser."""
    net.load_state_dict(_part(checkpoint, "net."))
    if average is not None:
        average.load_state_dict(_part(checkpoint, "average."))
    for name, parameter in net.named_parameters():
        moments = {moment: checkpoint.tensors[f"{moment}.{name}"].clone() for moment in _MOMENTS}
        optimiser.state[parameter] = {"step": torch.tensor(float(checkpoint.step)), **moments}


def _part(checkpoint: Checkpoint, prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): value for name, value in checkpoint.tensors.items() if name.startswith(prefix)}
