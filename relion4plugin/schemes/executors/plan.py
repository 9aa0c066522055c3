"""The plan of one launch: what its supervisor has to do, as a file in the job directory."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from relion4plugin.files.atomic import atomic_write_text

Command = tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What a supervisor does.

    Parameters
    ----------
    commands
        Run one after the other until one fails; for a queue, the one command that submits.
    gpus
        Cards that the job asks for; None for a job without, empty for any one.
    queued
        The command hands the job to a queue, and its end shows in the job's directory.
    exit_code_counts
        A program that leaves no exit marker has succeeded where its exit code is 0.
    """

    commands: tuple[Command, ...]
    gpus: tuple[str, ...] | None = None
    queued: bool = False
    exit_code_counts: bool = False


def write_plan(path: Path, plan: Plan) -> None:
    """Write a plan.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    atomic_write_text(path, json.dumps(asdict(plan), indent=1) + "\n")


def read_plan(path: Path) -> Plan:
    """Read what `write_plan` wrote."""
    values = json.loads(path.read_text(encoding="utf-8"))
    values["commands"] = tuple(tuple(command) for command in values["commands"])
    values["gpus"] = None if values["gpus"] is None else tuple(values["gpus"])
    return Plan(**values)
