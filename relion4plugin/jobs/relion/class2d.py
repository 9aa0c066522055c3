"""2D classification."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.class2d_parameters import Class2DParameters
from relion4plugin.jobs.job_type import Commands, ContinueKind, Execution, JobType, NativeRunner, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.refinement_parameters import shared
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import process_remarks, refinement_runner
from relion4plugin.jobs.relion.refinement import (
    CoarserSampling,
    ReadingOptions,
    compute_words,
    continue_words,
    ctf_words,
    offset_words,
    range_words,
    reading_words,
)

_HELIX = "Helix"


@dataclass(frozen=True)
class Class2DOptions(ReadingOptions, CoarserSampling, Class2DParameters):
    """One 2D classification with all options of RELION's job."""

    nr_classes: int = shared("nr_classes", default=1)
    do_helix: bool = parameter(False, label="Classify helical segments", section=_HELIX, help="Yes for filaments.")
    helical_tube_outer_diameter: float = parameter(
        200.0, label="Tube diameter", section=_HELIX, unit="A", option="--helical_outer_diameter", help="Outer diameter of the tubes."
    )
    do_bimodal_psi: bool = parameter(
        True, label="Bimodal in-plane angles", section=_HELIX, option="--bimodal_psi", help="Polarity unknown."
    )
    range_psi: float = parameter(
        6.0, label="Range of in-plane angles", section=_HELIX, unit="deg", help="Around the direction of the tube."
    )
    do_restrict_xoff: bool = parameter(True, label="Restrict offsets", section=_HELIX, help="Along the tube, to half the rise.")
    helical_rise: float = parameter(
        4.75, label="Helical rise", section=_HELIX, unit="A", option="--helical_rise_initial",
        help="Shift from one asymmetric unit to the next.",
    )


def with_algorithm(options: Mapping[str, str]) -> Mapping[str, str]:
    """Say which algorithm a job.star means that leaves it out.

    RELION 3.1 knows EM only; early templates of RELION 4 have do_grad without do_em, and one nr_iter for both.
    """
    known = dict(options)
    if "do_em" not in known:
        known["do_em"] = "No" if known.get("do_grad", "No") == "Yes" else "Yes"
    if "do_grad" not in known:
        known["do_grad"] = "No" if known["do_em"] == "Yes" else "Yes"
    if "nr_iter" in known:
        known.setdefault("nr_iter_em", known["nr_iter"])
        known.setdefault("nr_iter_grad", known["nr_iter"])
    return known


def _iterations(o: OptionText) -> str:
    return "nr_iter_em" if o.yes("do_em") else "nr_iter_grad"


def _algorithm_words(o: OptionText) -> list[str]:
    if o.yes("do_em") == o.yes("do_grad"):
        raise UserError("exactly one of do_em and do_grad must be Yes")
    if o.yes("do_em"):
        return o.option("--iter", _iterations(o))
    if o.whole("nr_mpi", 1) > 1:
        raise UserError(f"nr_mpi is {o['nr_mpi']}, but VDAM runs as one process: set nr_mpi to 1 and use nr_threads")
    return ["--grad", "--class_inactivity_threshold", "0.1", "--grad_write_iter", "10", *o.option("--iter", _iterations(o))]


def _sampling_words(o: OptionText) -> list[str]:
    if not o.yes("dont_skip_align"):
        return ["--skip_align"]
    return [*o.times("--psi_step", "psi_sampling", 2), *offset_words(o), *o.switch("--allow_coarser_sampling", "allow_coarser")]


def _helix_words(o: OptionText) -> list[str]:
    if not o.yes("do_helix"):
        return []
    words = o.option("--helical_outer_diameter", "helical_tube_outer_diameter")
    if not o.yes("dont_skip_align"):
        return words
    words += [*o.switch("--bimodal_psi", "do_bimodal_psi"), *range_words(o, "--sigma_psi", "range_psi")]
    return words + (["--helix", *o.option("--helical_rise_initial", "helical_rise")] if o.yes("do_restrict_xoff") else [])


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    if o.yes("do_stream") and is_continue:
        raise UserError("do_stream is Yes, but RELION cannot add particles to a run: set it to No, and the job's mode to new")
    words = [o.program("relion_refine"), *continue_words(o, is_continue), "--o", f"{place}run", *_algorithm_words(o)]
    words += [] if is_continue else ["--i", o.require("fn_img", "a STAR file of particles")]
    words += [*reading_words(o), "--pad", "2", *([] if is_continue else ctf_words(o))]
    words += [*o.option("--tau2_fudge", "tau_fudge"), *o.option("--particle_diameter", "particle_diameter")]
    if not is_continue:
        words += [*o.option("--K", "nr_classes"), "--flatten_solvent", *o.switch("--zero_mask", "do_zero_mask")]
        words += o.positive("--strict_highres_exp", "highres_limit")
    words += [*o.switch("--center_classes", "do_center"), "--oversampling", "1", *_sampling_words(o), *_helix_words(o)]
    words += [] if is_continue else ["--norm", "--scale"]
    return (words + compute_words(o),)


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    if o.yes("do_stream"):
        return {}  # known at the end
    root = f"{place}run_it{o.whole(_iterations(o)):03d}"
    helix = ".helicalsegments" if o.yes("do_helix") else ""
    return {f"{root}_data.star": f"{kinds.PARTICLES}.class2d{helix}", f"{root}_optimiser.star": f"{kinds.OPTIMISER}.class2d"}


def _stream(execution: Execution) -> tuple[str, ...]:
    """Take up a stream of particles: what is in the directory goes on."""
    from relion4plugin.jobs import class2d
    from relion4plugin.jobs.class2d_stream import newest_call

    parameters = class2d.from_options(execution.options, str(execution.out_dir / "job.star"))
    remarks = (*process_remarks(execution.options), *class2d.validate(parameters))
    # An execution that was killed before it had written an iteration leaves nothing to go on from.
    begins_again = execution.is_continue and newest_call(execution.out_dir) is None
    class2d.run(parameters, execution.out_dir, execution.progress, job_star=False, overwrite=begins_again)
    return remarks


def _native(o: OptionText) -> NativeRunner | None:
    if o.yes("do_helix") or o.yes("allow_coarser"):
        return None
    # a stream finds by itself where it was
    return _stream if o.yes("do_stream") else refinement_runner("class2d", ())


TYPE = JobType(
    label="relion.class2d",
    folder="Class2D",
    title="2D classification",
    parameters=Class2DOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["fn_img"], kinds.PARTICLES)),
    outputs=_outputs,
    continues=ContinueKind.RESUMABLE,
    suffix=lambda o: ".helical" if o.yes("do_helix") else "",
    native=_native,
    missing="helical segments (do_helix) and coarser sampling (allow_coarser) need RELION's program relion_refine",
    upgrade=with_algorithm,
    shares_work=True,
)
