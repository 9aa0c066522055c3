"""Initial models from particles alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.errors import UserError
from relion4plugin.jobs.initialmodel_parameters import InitialModelParameters
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.native import refinement_runner
from relion4plugin.jobs.relion.refinement import ReadingOptions, compute_words, continue_words, ctf_words, reading_words

_MAP = "initial_model.mrc"


@dataclass(frozen=True)
class InitialModelOptions(ReadingOptions, InitialModelParameters):
    """One initial model with all options of RELION's job."""


def _refine_words(o: OptionText, place: str, is_continue: bool) -> list[str]:
    words = ["relion_refine", *continue_words(o, is_continue), "--o", f"{place}run", *o.option("--iter", "nr_iter")]
    if not is_continue:
        words += ["--grad", "--denovo_3dref", "--i", o.require("fn_img", "a STAR file of particles"), *ctf_words(o)]
        words += [*o.option("--K", "nr_classes"), "--sym", "C1" if o.yes("do_run_C1") else o["sym_name"]]
        words += [*o.switch("--flatten_solvent", "do_solvent"), "--zero_mask"]
    words += [*reading_words(o), "--pad", "1", *o.option("--particle_diameter", "particle_diameter")]
    words += ["--oversampling", "1", "--healpix_order", "1", "--offset_range", "6", "--offset_step", "2", "--auto_sampling"]
    return [*words, *o.option("--tau2_fudge", "tau_fudge"), *compute_words(o)]


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    if o.whole("nr_mpi", 1) > 1:
        raise UserError(f"nr_mpi is {o['nr_mpi']}, but VDAM runs as one process: set nr_mpi to 1 and use nr_threads")
    symmetry = o["sym_name"] if o.yes("do_run_C1") and o["sym_name"].upper() != "C1" else "C1"
    model = f"{place}run_it{o.whole('nr_iter'):03d}_model.star"
    align = ["relion_align_symmetry", "--i", model, "--o", place + _MAP, "--sym", symmetry, "--apply_sym", "--select_largest_class"]
    # The job is over when the map is aligned, not when the first program says so.
    marker = f"{place}RELION_JOB_EXIT_SUCCESS"
    return (_refine_words(o, place, is_continue), ["rm", "-f", marker], align, ["touch", marker])


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    n_classes = o.whole("nr_classes")
    root = f"{place}run_it{o.whole('nr_iter'):03d}"
    names = [place + _MAP, *(f"{root}_class{k + 1:03d}.mrc" for k in range(n_classes if n_classes > 1 else 0))]
    return dict.fromkeys(names, f"{kinds.MAP}.relion.initialmodel")


TYPE = JobType(
    label="relion.initialmodel",
    folder="InitialModel",
    title="Initial model",
    parameters=InitialModelOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["fn_img"], kinds.PARTICLES)),
    outputs=_outputs,
    continues=ContinueKind.RESUMABLE,
    native=lambda o: refinement_runner("initialmodel", (_MAP,)),
    shares_work=True,
)
