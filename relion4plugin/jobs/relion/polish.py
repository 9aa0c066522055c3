"""Bayesian polishing: motion of each particle, and sums of its frames."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.running import QueueOptions, running

_IO, _TRAIN, _POLISH = "I/O", "Training", "Polishing"
_PARAMETERS = "ProcessData.txt.relion.polish.params"


@dataclass(frozen=True)
class PolishOptions(QueueOptions):
    """One training or polishing."""

    fn_mic: str = parameter("", label="Micrographs", section=_IO, option="--corr_mic", pattern="*.star", help="Of the motion correction.")
    fn_data: str = parameter("", label="Particles", section=_IO, option="--i", pattern="*.star", help="Of a 3D refinement.")
    fn_post: str = parameter(
        "", label="Post-processing", section=_IO, option="--f", pattern="postprocess.star", help="Of the same refinement."
    )
    do_float16: bool = parameter(True, label="Write in 16 bits", section=_IO, option="--float16", help="Half the disk space.")
    first_frame: int = parameter(1, label="First frame", section=_IO, option="--first_frame", minimum=1, help="Counted from 1.")
    last_frame: int = parameter(-1, label="Last frame", section=_IO, option="--last_frame", help="0 or less takes all.")
    extract_size: int = parameter(
        -1, label="Box size", section=_IO, unit="px", option="--window", help="In the movie; -1 keeps that of the particles."
    )
    rescale: int = parameter(
        -1, label="Rescaled size", section=_IO, unit="px", option="--scale", help="Goes with the box size; -1 keeps it."
    )
    do_param_optim: bool = parameter(False, label="Train parameters", section=_TRAIN, help="Find the best parameters of motion.")
    eval_frac: float = parameter(
        0.5, label="Share for testing", section=_TRAIN, option="--eval_frac", help="Of Fourier pixels, 0.1 to 0.9."
    )
    optim_min_part: int = parameter(
        10000, label="Particles for training", section=_TRAIN, option="--min_p", minimum=1, help="At least these."
    )
    do_polish: bool = parameter(True, label="Polish", section=_POLISH, option="--combine_frames", help="Write new particle images.")
    opt_params: str = parameter(
        "", label="Trained parameters", section=_POLISH, option="--params_file", pattern="*.txt", help="Of a training."
    )
    do_own_params: bool = parameter(False, label="Own parameters", section=_POLISH, help="Use the three below instead.")
    sigma_vel: float = parameter(
        0.2, label="Sigma of velocity", section=_POLISH, unit="A/dose", option="--s_vel", help="Larger lets move more."
    )
    sigma_div: float = parameter(
        5000.0, label="Sigma of divergence", section=_POLISH, unit="A", option="--s_div", help="Smaller: less alike."
    )
    sigma_acc: float = parameter(
        2.0, label="Sigma of acceleration", section=_POLISH, unit="A/dose", option="--s_acc", help="Below 0: none."
    )
    minres: float = parameter(
        20.0, label="Minimum resolution", section=_POLISH, unit="A", option="--bfac_minfreq", help="Of the B-factor fit."
    )
    maxres: float = parameter(-1.0, label="Maximum resolution", section=_POLISH, unit="A", option="--bfac_maxfreq", help="-1 takes all.")
    nr_mpi: int = running("nr_mpi")
    nr_threads: int = running("nr_threads")


def _training_words(o: OptionText) -> list[str]:
    share = o.number("eval_frac")
    if not 0.1 < share <= 0.9:
        raise UserError(f"eval_frac is {o['eval_frac']} but must be above 0.1 and at most 0.9")
    words = [*o.option("--min_p", "optim_min_part"), *o.option("--eval_frac", "eval_frac"), "--align_frac", f"{1 - share:g}"]
    return [*words, "--params2" if o.number("sigma_acc") < 0 else "--params3"]


def _box_words(o: OptionText) -> list[str]:
    window, scale = o.whole("extract_size"), o.whole("rescale")
    if window <= 0 and scale <= 0:
        return []
    if window <= 0 or scale <= 0 or window % 2 or scale % 2 or scale > window:
        raise UserError(
            f"extract_size is {o['extract_size']} and rescale {o['rescale']}: give two even numbers, rescale not the larger, or -1 for both"
        )
    return [*o.option("--window", "extract_size"), *o.option("--scale", "rescale")]


def _polishing_words(o: OptionText) -> list[str]:
    if o.yes("do_own_params"):
        words = [word for name in ("vel", "div", "acc") for word in o.option(f"--s_{name}", f"sigma_{name}")]
    else:
        words = ["--params_file", o.require("opt_params", "the file of a training, or set do_own_params to Yes")]
    words += ["--combine_frames", *o.option("--bfac_minfreq", "minres"), *o.option("--bfac_maxfreq", "maxres")]
    return words + _box_words(o)


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    if o.yes("do_param_optim") == o.yes("do_polish"):
        raise UserError("exactly one of do_param_optim and do_polish must be Yes")
    words = [o.program("relion_motion_refine"), "--i", o.require("fn_data", "particles of a 3D refinement")]
    words += ["--f", o.require("fn_post", "the STAR file of a post-processing")]
    words += ["--corr_mic", o.require("fn_mic", "the micrographs of the motion correction")]
    words += [*o.option("--first_frame", "first_frame"), *o.option("--last_frame", "last_frame"), "--o", place]
    words += [*o.switch("--float16", "do_float16"), *(_training_words(o) if o.yes("do_param_optim") else _polishing_words(o))]
    words += ["--only_do_unfinished"] if is_continue else []
    return ([*words, *o.option("--j", "nr_threads"), *o.words("other_args")],)


def _inputs(o: OptionText) -> Mapping[str, str]:
    trained = "" if o.yes("do_param_optim") or o.yes("do_own_params") else o["opt_params"]
    found = nodes((o["fn_data"], kinds.PARTICLES), (o["fn_post"], kinds.POSTPROCESS), (o["fn_mic"], kinds.MICROGRAPHS))
    return found | nodes((trained, _PARAMETERS))


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    if o.yes("do_param_optim"):
        return {f"{place}opt_params_all_groups.txt": _PARAMETERS}
    return {f"{place}logfile.pdf": f"{kinds.LOG}.polish", f"{place}shiny.star": f"{kinds.PARTICLES}.polished"}


TYPE = JobType(
    label="relion.polish",
    folder="Polish",
    title="Bayesian polishing",
    parameters=PolishOptions,
    commands=_commands,
    inputs=_inputs,
    outputs=_outputs,
    continues=ContinueKind.INCREMENTAL,
    suffix=lambda o: ".train" if o.yes("do_param_optim") else "",
    missing="polishing needs RELION's program relion_motion_refine for now",
)
