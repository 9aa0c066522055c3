"""Subtraction of part of a structure from particle images."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.running import QueueOptions, running

_IO, _CENTRE = "I/O", "Centring"


@dataclass(frozen=True)
class SubtractOptions(QueueOptions):
    """One subtraction, or its reversal."""

    fn_opt: str = parameter("", label="Optimiser", section=_IO, option="--i", pattern="*_optimiser.star", help="Of a 3D refinement.")
    fn_mask: str = parameter("", label="Mask", section=_IO, option="--mask", pattern="*.mrc", help="Of the part of the structure to keep.")
    do_data: bool = parameter(False, label="Use other particles", section=_IO, help="Instead of those of the refinement.")
    fn_data: str = parameter("", label="Particles", section=_IO, option="--data", pattern="*.star", help="Particles to subtract from.")
    do_float16: bool = parameter(True, label="Write in 16 bits", section=_IO, option="--float16", help="Half the disk space.")
    do_fliplabel: bool = parameter(False, label="Go back to the original particles", section=_IO, help="Undo a subtraction.")
    fn_fliplabel: str = parameter("", label="Subtracted particles", section=_IO, option="--revert", pattern="*.star", help="To be undone.")
    do_center_mask: bool = parameter(
        True, label="Centre on the mask", section=_CENTRE, option="--recenter_on_mask", help="The kept part becomes the centre."
    )
    do_center_xyz: bool = parameter(False, label="Centre on a point", section=_CENTRE, help="A point of the map becomes the centre.")
    center_x: float = parameter(0.0, label="x of the centre", section=_CENTRE, unit="px", option="--center_x", help="In the map.")
    center_y: float = parameter(0.0, label="y of the centre", section=_CENTRE, unit="px", option="--center_y", help="In the map.")
    center_z: float = parameter(0.0, label="z of the centre", section=_CENTRE, unit="px", option="--center_z", help="In the map.")
    new_box: int = parameter(-1, label="New box size", section=_CENTRE, unit="px", option="--new_box", help="-1 keeps the box.")
    nr_mpi: int = running("nr_mpi")


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    if o.yes("do_fliplabel"):
        if o.whole("nr_mpi", 1) > 1:
            raise UserError(f"nr_mpi is {o['nr_mpi']}, but going back to the original particles runs as one process: set it to 1")
        words = ["relion_particle_subtract", "--revert", o.require("fn_fliplabel", "subtracted particles"), "--o", place]
        return (words + o.words("other_args"),)
    optimiser = o.require("fn_opt", "the optimiser file of a 3D refinement")
    words = [o.program("relion_particle_subtract"), "--i", optimiser, *o.given("--mask", "fn_mask")]
    words += ["--data", o.require("fn_data", "a STAR file of particles")] if o.yes("do_data") else []
    words += ["--o", place]
    if o.yes("do_center_mask"):
        words.append("--recenter_on_mask")
    elif o.yes("do_center_xyz"):
        words += [word for axis in "xyz" for word in o.option(f"--center_{axis}", f"center_{axis}")]
    return ([*words, *o.switch("--float16", "do_float16"), *o.positive("--new_box", "new_box"), *o.words("other_args")],)


def _inputs(o: OptionText) -> Mapping[str, str]:
    if o.yes("do_fliplabel"):
        return nodes((o["fn_fliplabel"], kinds.PARTICLES))
    data = o["fn_data"] if o.yes("do_data") else ""
    return nodes((o["fn_opt"], kinds.OPTIMISER), (o["fn_mask"], kinds.MASK), (data, kinds.PARTICLES))


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    if o.yes("do_fliplabel"):
        return {f"{place}original.star": kinds.PARTICLES}
    return {f"{place}particles_subtracted.star": f"{kinds.PARTICLES}.subtracted"}


TYPE = JobType(
    label="relion.subtract",
    folder="Subtract",
    title="Particle subtraction",
    parameters=SubtractOptions,
    commands=_commands,
    inputs=_inputs,
    outputs=_outputs,
    suffix=lambda o: ".revert" if o.yes("do_fliplabel") else "",
    missing="subtraction needs RELION's program relion_particle_subtract for now",
    free_text=frozenset({"center_x", "center_y", "center_z"}),
)
