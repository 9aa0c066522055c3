"""Correction of beam-induced motion in movies."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.running import QueueOptions, running

_IO, _MOTION, _DOSE = "I/O", "Motion", "Exposure"
_ROTATIONS = ("No rotation (0)", "90 degrees (1)", "180 degrees (2)", "270 degrees (3)")
_FLIPS = ("No flipping (0)", "Flip upside down (1)", "Flip left to right (2)")


@dataclass(frozen=True)
class MotionCorrOptions(QueueOptions):
    """One motion correction."""

    input_star_mics: str = parameter("", label="Input movies", section=_IO, option="--i", pattern="*.star", help="STAR file of movies.")
    first_frame_sum: int = parameter(
        1, label="First frame", section=_IO, option="--first_frame_sum", minimum=1, help="First frame of the corrected sum, counted from 1."
    )
    last_frame_sum: int = parameter(
        -1, label="Last frame", section=_IO, option="--last_frame_sum", help="Last frame of the corrected sum; 0 or less takes all."
    )
    eer_grouping: int = parameter(
        32, label="EER fractionation", section=_IO, option="--eer_grouping", minimum=1,
        help="Hardware frames that make one frame of an EER movie.",
    )
    do_float16: bool = parameter(
        True, label="Write in 16 bits", section=_IO, option="--float16", help="Half the disk space; needs power spectra for the CTF."
    )
    bfactor: float = parameter(
        150.0, label="B-factor", section=_MOTION, unit="A^2", option="--bfactor", help="Damping of fine detail while frames are aligned."
    )
    patch_x: int = parameter(
        1, label="Patches in x", section=_MOTION, option="--patch_x", minimum=1, help="Columns of the grid of local motion."
    )
    patch_y: int = parameter(
        1, label="Patches in y", section=_MOTION, option="--patch_y", minimum=1, help="Rows of the grid of local motion."
    )
    group_frames: int = parameter(
        1, label="Group frames", section=_MOTION, option="--group_frames", minimum=1,
        help="Frames averaged before the alignment, for weak frames.",
    )
    bin_factor: float = parameter(
        1.0, label="Binning factor", section=_MOTION, option="--bin_factor", minimum=1.0,
        help="2 brings super-resolution movies to physical pixels.",
    )
    fn_gain_ref: str = parameter(
        "", label="Gain reference", section=_MOTION, option="--gainref", pattern="*", help="Image with which each frame is multiplied."
    )
    gain_rot: str = parameter(
        _ROTATIONS[0], label="Gain rotation", section=_MOTION, choices=_ROTATIONS, help="Turn of the gain before use."
    )
    gain_flip: str = parameter(_FLIPS[0], label="Gain flip", section=_MOTION, choices=_FLIPS, help="Flip of the gain after its rotation.")
    do_own_motioncor: bool = parameter(
        True, label="Use RELION's implementation", section=_MOTION, help="No takes UCSF MotionCor2 instead."
    )
    fn_motioncor2_exe: str = parameter(
        "", label="MotionCor2 program", section=_MOTION, option="--motioncor2_exe", pattern="*", help="Where UCSF MotionCor2 is."
    )
    fn_defect: str = parameter(
        "", label="Defect file", section=_MOTION, option="--defect_file", pattern="*", help="List or image of bad pixels of the detector."
    )
    gpu_ids: str = running("gpu_ids", default="0")
    other_motioncor2_args: str = parameter("", label="Other MotionCor2 arguments", section=_MOTION, help="Handed on to UCSF MotionCor2.")
    do_dose_weighting: bool = parameter(
        True, label="Dose weighting", section=_DOSE, option="--dose_weighting",
        help="Weight frames by what radiation damage has left of them.",
    )
    do_save_noDW: bool = parameter(
        False, label="Also save unweighted", section=_DOSE, option="--save_noDW", help="Write the sum without dose weighting too."
    )
    dose_per_frame: float = parameter(
        1.0, label="Dose per frame", section=_DOSE, unit="e/A^2", option="--dose_per_frame", minimum=0.0, help="Exposure of one frame."
    )
    pre_exposure: float = parameter(
        0.0, label="Pre-exposure", section=_DOSE, unit="e/A^2", option="--preexposure", minimum=0.0, help="Exposure before the first frame."
    )
    do_save_ps: bool = parameter(
        True, label="Save power spectra", section=_DOSE, help="Sums of power spectra of frames, from which CTFFIND fits better."
    )
    group_for_ps: float = parameter(
        4.0, label="Power spectrum every", section=_DOSE, unit="e/A^2", minimum=0.0, help="Exposure that goes into one power spectrum."
    )
    nr_mpi: int = running("nr_mpi")
    nr_threads: int = running("nr_threads")


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
    missing="motion correction needs RELION's program relion_run_motioncorr for now",
    upgrade=_upgraded,
    free_text=frozenset({"patch_x", "patch_y"}),
)
