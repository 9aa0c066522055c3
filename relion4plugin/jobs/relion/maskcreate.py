"""Solvent masks."""

from dataclasses import dataclass

from relion4plugin.jobs.job_type import Commands, JobType, nodes
from relion4plugin.jobs.maskcreate_parameters import MaskCreateParameters
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import restart_runner
from relion4plugin.jobs.relion.running import QueueOptions, running


@dataclass(frozen=True)
class MaskCreateOptions(QueueOptions, MaskCreateParameters):
    """One mask with all options of RELION's job."""

    do_helix: bool = parameter(False, label="Mask a helix", section="Helix", option="--helix", help="Mask along the z axis.")
    helical_z_percentage: float = parameter(30.0, label="Central part", section="Helix", unit="%", help="Part of the box that is used.")
    nr_threads: int = running("nr_threads")


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    words = ["relion_mask_create", "--i", o.require("fn_in", "a map"), "--o", f"{place}mask.mrc"]
    words += [*o.positive("--lowpass", "lowpass_filter"), *o.positive("--angpix", "angpix")]
    words += [*o.option("--ini_threshold", "inimask_threshold"), *o.option("--extend_inimask", "extend_inimask")]
    words += o.option("--width_soft_edge", "width_mask_edge")
    words += ["--helix", *o.times("--z_percentage", "helical_z_percentage", 0.01)] if o.yes("do_helix") else []
    return ([*words, *o.option("--j", "nr_threads"), *o.words("other_args")],)


TYPE = JobType(
    label="relion.maskcreate",
    folder="MaskCreate",
    title="Mask creation",
    parameters=MaskCreateOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["fn_in"], kinds.MAP)),
    outputs=lambda o, place, is_continue: {f"{place}mask.mrc": f"{kinds.MASK}.relion"},
    native=lambda o: None if o.yes("do_helix") else restart_runner("maskcreate"),
    missing="masks of helices (do_helix) need RELION's program relion_mask_create",
)
