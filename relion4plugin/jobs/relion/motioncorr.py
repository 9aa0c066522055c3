"""Correction of beam-induced motion in movies."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, nodes
from relion4plugin.jobs.motioncorr_parameters import MotionCorrParameters
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import incremental_runner
from relion4plugin.jobs.relion.running import QueueOptions, running

_MOTION = "Motion"


@dataclass(frozen=True)
class MotionCorrOptions(QueueOptions, MotionCorrParameters):
    """One motion correction with all options of RELION's job."""

    do_own_motioncor: bool = parameter(
        True, label="Use RELION's implementation", section=_MOTION, help="No takes UCSF MotionCor2 instead."
    )
    fn_motioncor2_exe: str = parameter(
        "", label="MotionCor2 program", section=_MOTION, option="--motioncor2_exe", pattern="*", help="Where UCSF MotionCor2 is."
    )
    other_motioncor2_args: str = parameter("", label="Other MotionCor2 arguments", section=_MOTION, help="Handed on to UCSF MotionCor2.")
    nr_mpi: int = running("nr_mpi")


def _upgraded(options: Mapping[str, str]) -> Mapping[str, str]:
    """RELION 3.1 has other names for what is saved."""
    return {**{f"do_{name}": options[name] for name in ("save_ps", "save_noDW") if name in options}, **options}


def _engine_words(o: OptionText) -> list[str]:
    if not o.yes("do_own_motioncor"):
        if o.yes("do_float16") or o.yes("do_save_ps"):
            raise UserError("do_float16 and do_save_ps must be No with UCSF MotionCor2 (do_own_motioncor is No)")
        other = o["other_motioncor2_args"]
        extra = ["--other_motioncor2_args", f" {other} "] if other else []
        return ["--use_motioncor2", *o.option("--motioncor2_exe", "fn_motioncor2_exe"), *extra, "--gpu", o["gpu_ids"]]
    if o.yes("do_float16") and not o.yes("do_save_ps"):
        raise UserError("do_float16 is Yes, which needs power spectra for CTFFIND: set do_save_ps to Yes too")
    return ["--use_own", *o.option("--j", "nr_threads"), *o.switch("--float16", "do_float16")]


def _spectrum_words(o: OptionText) -> list[str]:
    if not o.yes("do_save_ps"):
        return []
    if o.number("dose_per_frame") <= 0 or o.number("group_for_ps") <= 0:
        raise UserError("power spectra need dose_per_frame and group_for_ps above 0: give them, or set do_save_ps to No")
    frames = int(o.number("group_for_ps") / o.number("dose_per_frame") + 0.5)
    return ["--grouping_for_ps", str(max(1, frames))]


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    movies = o.require("input_star_mics", "a STAR file of movies")
    words = [o.program("relion_run_motioncorr"), "--i", movies, "--o", place]
    words += [*o.option("--first_frame_sum", "first_frame_sum"), *o.option("--last_frame_sum", "last_frame_sum"), *_engine_words(o)]
    words += o.given("--defect_file", "fn_defect")
    for flag, name in (
        ("--bin_factor", "bin_factor"),
        ("--bfactor", "bfactor"),
        ("--dose_per_frame", "dose_per_frame"),
        ("--preexposure", "pre_exposure"),
        ("--patch_x", "patch_x"),
        ("--patch_y", "patch_y"),
        ("--eer_grouping", "eer_grouping"),
    ):
        words += o.option(flag, name)
    words += o.option("--group_frames", "group_frames") if o.number("group_frames") > 1 else []
    if o["fn_gain_ref"]:
        words += [*o.option("--gainref", "fn_gain_ref"), "--gain_rot", o.menu("gain_rot"), "--gain_flip", o.menu("gain_flip")]
    if o.yes("do_dose_weighting"):
        words += ["--dose_weighting", *o.switch("--save_noDW", "do_save_noDW")]
    words += _spectrum_words(o)
    return ([*words, *(["--only_do_unfinished"] if is_continue else []), *o.words("other_args")],)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    return {
        f"{place}corrected_micrographs.star": f"{kinds.MICROGRAPHS}.motioncorr",
        f"{place}logfile.pdf": f"{kinds.LOG}.motioncorr",
    }


TYPE = JobType(
    label="relion.motioncorr",
    folder="MotionCorr",
    title="Motion correction",
    parameters=MotionCorrOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["input_star_mics"], kinds.MOVIES)),
    outputs=_outputs,
    continues=ContinueKind.INCREMENTAL,
    suffix=lambda o: ".own" if o.yes("do_own_motioncor") else ".motioncor2",
    native=lambda o: incremental_runner("motioncorr") if o.yes("do_own_motioncor") else None,
    missing="UCSF MotionCor2 (do_own_motioncor is No) needs RELION's program relion_run_motioncorr",
    upgrade=_upgraded,
    free_text=frozenset({"patch_x", "patch_y"}),
)
