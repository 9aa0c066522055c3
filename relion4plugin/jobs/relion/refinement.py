"""What RELION's jobs around relion_refine have in common: options of reading and computing, and the words for them."""

from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.refinement_parameters import ANGULAR_STEPS, COMPUTE, OPTIMISATION, SAMPLING
from relion4plugin.jobs.relion.running import QueueOptions, running


@dataclass(frozen=True)
class ReadingOptions(QueueOptions):
    """How RELION's program reads particles and exchanges results; this program chooses for itself."""

    nr_pool: int = parameter(
        3, label="Pooled particles", section=COMPUTE, option="--pool", minimum=1,
        help="Particles that a thread of RELION's program reads at once.",
    )
    do_parallel_discio: bool = parameter(
        True, label="Parallel reading", section=COMPUTE, help="Each MPI process of RELION's program reads for itself."
    )
    do_preread_images: bool = parameter(
        False, label="Read all particles into memory", section=COMPUTE, option="--preread_images", help="Faster on slow disks."
    )
    scratch_dir: str = parameter(
        "", label="Copy particles to", section=COMPUTE, option="--scratch_dir", pattern="*", help="Directory on a fast local disk."
    )
    do_combine_thru_disc: bool = parameter(
        False, label="Combine iterations through disc", section=COMPUTE, help="MPI processes exchange sums through files."
    )
    nr_mpi: int = running(
        "nr_mpi", help="Processes that share the particles; one of those of RELION's program only hands out the work."
    )


@dataclass(frozen=True)
class CoarserSampling:
    """Whether early iterations may sample more coarsely."""

    allow_coarser: bool = parameter(
        False, label="Allow coarser sampling", section=SAMPLING, option="--allow_coarser_sampling",
        help="Early iterations sample more coarsely where their accuracy allows it: faster.",
    )


@dataclass(frozen=True)
class SymmetryAndPriorOptions:
    """What only RELION's program offers in 3D."""

    relax_sym: str = parameter(
        "", label="Relax symmetry", section=SAMPLING, option="--relax_sym", help="Point group whose copies of a pose are searched too."
    )
    do_blush: bool = parameter(
        False, label="Blush regularisation", section=OPTIMISATION, option="--blush",
        help="RELION 5: a learned prior instead of a smooth one.",
    )


def reading_words(o: OptionText) -> list[str]:
    """Return the words for `ReadingOptions`."""
    words = [] if o.yes("do_combine_thru_disc") else ["--dont_combine_weights_via_disc"]
    words += [] if o.yes("do_parallel_discio") else ["--no_parallel_disc_io"]
    words += ["--preread_images"] if o.yes("do_preread_images") else o.given("--scratch_dir", "scratch_dir")
    return [*words, *o.option("--pool", "nr_pool")]


def ctf_words(o: OptionText) -> list[str]:
    """Return the words for the CTF."""
    return ["--ctf", *o.switch("--ctf_intact_first_peak", "ctf_intact_first_peak")] if o.yes("do_ctf_correction") else []


def offset_words(o: OptionText) -> list[str]:
    """Return the words for the search of offsets; the program counts the coarse step, the job the fine one."""
    return [*o.option("--offset_range", "offset_range"), *o.times("--offset_step", "offset_step", 2)]


def compute_words(o: OptionText) -> list[str]:
    """Return the last words: threads, graphics cards and what the user adds."""
    gpus = ["--gpu", o["gpu_ids"]] if o.yes("use_gpu") else []
    return [*o.option("--j", "nr_threads"), *gpus, *o.words("other_args")]


def continue_words(o: OptionText, is_continue: bool) -> list[str]:
    """Return the words that say from where a job goes on.

    Raises
    ------
    UserError
        If that is not given, or no optimiser file.
    """
    if not is_continue:
        return []
    optimiser = o.require("fn_cont", "the run_itNNN_optimiser.star to go on from")
    if "_it" not in optimiser or "_optimiser" not in optimiser:
        raise UserError(f"fn_cont is '{optimiser}' but must be a file like run_it025_optimiser.star")
    return ["--continue", optimiser]


def menu_order(o: OptionText, name: str) -> int:
    """Return the coarse HEALPix order of an entry of RELION's menu of angular steps ("7.5 degrees" is 2).

    Raises
    ------
    UserError
        If it is no entry of the menu.
    """
    text = o[name].replace("__", " ")
    if text not in ANGULAR_STEPS:
        raise UserError(f"{name} is '{text}' but must be one of {', '.join(ANGULAR_STEPS)}")
    return ANGULAR_STEPS.index(text)


def range_words(o: OptionText, flag: str, name: str) -> list[str]:
    """Return an angular range of 0 to 90 degrees as the standard deviation of its prior: a third of it."""
    return [flag, f"{min(max(o.number(name), 0.0), 90.0) / 3:g}"]
