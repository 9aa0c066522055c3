"""Joining STAR files."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.jobs.job_type import Commands, JobType
from relion4plugin.jobs.joinstar_parameters import JOINS, Join, JoinStarParameters, chosen_join, join_inputs
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import restart_runner
from relion4plugin.jobs.relion.running import QueueOptions

_KINDS = {"particles": kinds.PARTICLES, "micrographs": kinds.MICROGRAPHS, "movies": kinds.MOVIES}


@dataclass(frozen=True)
class JoinStarOptions(QueueOptions, JoinStarParameters):
    """One joining of STAR files with all options of RELION's job."""


def _join(o: OptionText) -> Join:
    return chosen_join({name: o.yes(name) for name in JOINS})


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    join = _join(o)
    paths = join_inputs(join, o.__getitem__)
    words = ["relion_star_handler", "--combine", "--i", f" {' '.join(paths)} ", "--check_duplicates", join.image, "--o", place + join.name]
    return (words + o.words("other_args"),)


def _inputs(o: OptionText) -> Mapping[str, str]:
    join = _join(o)
    return dict.fromkeys(join_inputs(join, o.__getitem__), _KINDS[join.what])


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    join = _join(o)
    return {place + join.name: _KINDS[join.what]}


def _suffix(o: OptionText) -> str:
    chosen = [join.what for name, join in JOINS.items() if o.yes(name)]
    return f".{chosen[0]}" if len(chosen) == 1 else ""


TYPE = JobType(
    label="relion.joinstar",
    folder="JoinStar",
    title="Join STAR files",
    parameters=JoinStarOptions,
    commands=_commands,
    inputs=_inputs,
    outputs=_outputs,
    suffix=_suffix,
    native=lambda o: restart_runner("joinstar", keeps_directory=False),
)
