"""A program of the user's as a job."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.jobs.job_type import Commands, Execution, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.running import QueueOptions, running

_IO, _PARAMETERS = "Input", "Parameters"
# Option -> (word before it, kind of file).
_INPUTS = {
    "in_mov": ("--in_movies", kinds.MOVIES),
    "in_mic": ("--in_mics", kinds.MICROGRAPHS),
    "in_part": ("--in_parts", kinds.PARTICLES),
    "in_coords": ("--in_coords", kinds.COORDINATES),
    "in_3dref": ("--in_3dref", kinds.MAP),
    "in_mask": ("--in_mask", kinds.MASK),
}
_N_PARAMETERS = 10


def _input(label: str) -> str:
    declared: str = parameter("", label=label, section=_IO, pattern="*", help="Handed to the program, and shown in the project's graph.")
    return declared


def _label(number: int) -> str:
    text = f"Word that goes before value {number}, without the two dashes."
    declared: str = parameter("", label=f"Parameter {number}, label", section=_PARAMETERS, help=text)
    return declared


def _value(number: int) -> str:
    declared: str = parameter("", label=f"Parameter {number}, value", section=_PARAMETERS, help=f"Value after the label {number}.")
    return declared


@dataclass(frozen=True)
class ExternalOptions(QueueOptions):
    """One run of a program of the user's."""

    fn_exe: str = parameter("", label="Program", section=_IO, pattern="*", help="Program or script to run.")
    in_mov: str = _input("Movies")
    in_mic: str = _input("Micrographs")
    in_part: str = _input("Particles")
    in_coords: str = _input("Coordinates")
    in_3dref: str = _input("3D reference")
    in_mask: str = _input("Mask")
    param1_label: str = _label(1)
    param1_value: str = _value(1)
    param2_label: str = _label(2)
    param2_value: str = _value(2)
    param3_label: str = _label(3)
    param3_value: str = _value(3)
    param4_label: str = _label(4)
    param4_value: str = _value(4)
    param5_label: str = _label(5)
    param5_value: str = _value(5)
    param6_label: str = _label(6)
    param6_value: str = _value(6)
    param7_label: str = _label(7)
    param7_value: str = _value(7)
    param8_label: str = _label(8)
    param8_value: str = _value(8)
    param9_label: str = _label(9)
    param9_value: str = _value(9)
    param10_label: str = _label(10)
    param10_value: str = _value(10)
    nr_threads: int = running("nr_threads")


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    o.require("fn_exe", "the program to run")
    words = [*o.words("fn_exe"), "--o", place]
    for name, (flag, _) in _INPUTS.items():
        words += o.given(flag, name)
    for number in range(1, _N_PARAMETERS + 1):
        label = o[f"param{number}_label"]
        words += [f"--{label}", *o.words(f"param{number}_value")] if label else []
    return ([*words, *o.option("--j", "nr_threads"), *o.words("other_args")],)


def _inputs(o: OptionText) -> Mapping[str, str]:
    return nodes(*((o[name], kind) for name, (_, kind) in _INPUTS.items()))


def _run(execution: Execution) -> tuple[str, ...]:
    from relion4plugin.jobs.external import run

    command = TYPE.relion_command(execution.options, execution.out_dir, execution.is_continue)[0]
    return run(command, execution.out_dir, execution.progress)


TYPE = JobType(
    label="relion.external",
    folder="External",
    title="External program",
    parameters=ExternalOptions,
    commands=_commands,
    inputs=_inputs,
    native=lambda o: _run,
)
