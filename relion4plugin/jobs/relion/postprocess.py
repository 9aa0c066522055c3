"""Sharpening and resolution from two half maps."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.postprocess_parameters import PostprocessParameters
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import restart_runner
from relion4plugin.jobs.relion.running import QueueOptions


@dataclass(frozen=True)
class PostprocessOptions(QueueOptions, PostprocessParameters):
    """One post-processing with all options of RELION's job."""


def _upgraded(options: Mapping[str, str]) -> Mapping[str, str]:
    """RELION 3.1 has a switch of its own for the MTF."""
    return {**options, "fn_mtf": ""} if options.get("do_mtf", "Yes") == "No" else options


def half_map(o: OptionText) -> str:
    """Return the half map that is given; its name must tell the other one's.

    Raises
    ------
    UserError
        If there is none, or its name does not have half1 or half2.
    """
    path = o.require("fn_in", "one of the two half maps")
    if "half1" not in path and "half2" not in path:
        raise UserError(f"fn_in is '{path}', whose name has neither half1 nor half2: RELION's program cannot find the other half")
    return path


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    words = ["relion_postprocess", "--mask", o.require("fn_mask", "a solvent mask"), "--i", half_map(o)]
    words += ["--o", f"{place}postprocess", *o.option("--angpix", "angpix")]
    words += [*o.option("--mtf", "fn_mtf"), *o.option("--mtf_angpix", "mtf_angpix")] if o["fn_mtf"] else []
    words += ["--auto_bfac", *o.option("--autob_lowres", "autob_lowres")] if o.yes("do_auto_bfac") else []
    words += o.option("--adhoc_bfac", "adhoc_bfac") if o.yes("do_adhoc_bfac") else []
    words += ["--skip_fsc_weighting", *o.option("--low_pass", "low_pass")] if o.yes("do_skip_fsc_weighting") else []
    return (words + o.words("other_args"),)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    return {
        f"{place}postprocess.mrc": f"{kinds.MAP}.relion.postprocess",
        f"{place}postprocess_masked.mrc": f"{kinds.MAP}.relion.postprocess.masked",
        f"{place}logfile.pdf": f"{kinds.LOG}.postprocess",
        f"{place}postprocess.star": kinds.POSTPROCESS,
    }


TYPE = JobType(
    label="relion.postprocess",
    folder="PostProcess",
    title="Post-processing",
    parameters=PostprocessOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["fn_mask"], kinds.MASK), (o["fn_in"], kinds.HALF_MAP)),
    outputs=_outputs,
    native=lambda o: restart_runner("postprocess"),
    upgrade=_upgraded,
)
