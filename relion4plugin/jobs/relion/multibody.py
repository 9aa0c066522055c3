"""Multi-body refinement and analysis of the movements of bodies."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import Commands, ContinueKind, JobType, nodes
from relion4plugin.jobs.option_text import OptionText
from relion4plugin.jobs.parameters import parameter
from relion4plugin.jobs.refinement_parameters import shared
from relion4plugin.jobs.relion import kinds
from relion4plugin.jobs.relion.refinement import ReadingOptions, compute_words, continue_words, menu_order, offset_words, reading_words
from relion4plugin.jobs.relion.running import running

_IO, _ANALYSIS = "I/O", "Analysis"
_ANY = 99998  # limits beyond it do not appear in names of files


@dataclass(frozen=True)
class MultiBodyOptions(ReadingOptions):
    """One multi-body refinement."""

    fn_in: str = parameter("", label="Optimiser", section=_IO, pattern="*_optimiser.star", help="Of the last iteration of a 3D refinement.")
    fn_cont: str = shared("fn_cont")
    fn_bodies: str = parameter("", label="Bodies", section=_IO, option="--multibody_masks", pattern="*.star", help="One row for each body.")
    do_subtracted_bodies: bool = parameter(
        True, label="Reconstruct subtracted bodies", section=_IO, option="--reconstruct_subtracted_bodies", help="Each without the others."
    )
    sampling: str = shared("sampling", default="1.8 degrees", label="Initial angular sampling")
    offset_range: float = shared("offset_range", default=3.0)
    offset_step: float = shared("offset_step", default=0.75)
    do_analyse: bool = parameter(True, label="Analyse movements", section=_ANALYSIS, help="Principal components of the movements.")
    nr_movies: int = parameter(3, label="Movies", section=_ANALYSIS, option="--k", minimum=0, help="Maps along so many components.")
    do_select: bool = parameter(False, label="Select particles", section=_ANALYSIS, help="By their position along a component.")
    select_eigenval: int = parameter(
        1, label="Component", section=_ANALYSIS, option="--select_eigenvalue", minimum=1, help="Counted from 1."
    )
    eigenval_min: float = parameter(
        -999.0, label="Smallest position", section=_ANALYSIS, option="--select_eigenvalue_min", help="That is kept."
    )
    eigenval_max: float = parameter(
        999.0, label="Largest position", section=_ANALYSIS, option="--select_eigenvalue_max", help="That is kept."
    )
    do_pad1: bool = shared("do_pad1")
    use_gpu: bool = running("use_gpu")
    gpu_ids: str = running("gpu_ids")
    nr_threads: int = running("nr_threads")


def _refines(o: OptionText, is_continue: bool) -> bool:
    """Whether there is anything to refine: a job that is continued may only analyse."""
    return not is_continue or bool(o["fn_cont"])


def _root(o: OptionText, is_continue: bool) -> str:
    if not is_continue or not o["fn_cont"]:
        return "run"
    iteration = Path(o["fn_cont"]).name.rpartition("_it")[2].partition("_optimiser")[0]
    if not iteration.isdecimal():
        raise UserError(f"fn_cont is '{o['fn_cont']}' but must be a file like run_it025_optimiser.star")
    return f"run_ct{int(iteration)}"


def _refine_words(o: OptionText, place: str, is_continue: bool) -> list[str]:
    start = continue_words(o, True) if is_continue else ["--continue", o.require("fn_in", "the optimiser file of a 3D refinement")]
    words = [o.program("relion_refine"), *start, "--o", place + _root(o, is_continue)]
    if not is_continue:
        order = str(menu_order(o, "sampling"))
        words += ["--solvent_correct_fsc", "--multibody_masks", o.require("fn_bodies", "a STAR file with the bodies")]
        words += ["--oversampling", "1", "--healpix_order", order, "--auto_local_healpix_order", order, *offset_words(o)]
    words += [*o.switch("--reconstruct_subtracted_bodies", "do_subtracted_bodies"), *reading_words(o)]
    return [*words, "--pad", "1" if o.yes("do_pad1") else "2", *compute_words(o)]


def _analysis_words(o: OptionText, place: str, is_continue: bool) -> list[str]:
    root = place + _root(o, is_continue)
    words = ["relion_flex_analyse", "--PCA_orient", "--model", f"{root}_model.star", "--data", f"{root}_data.star"]
    words += ["--bodies", o.require("fn_bodies", "a STAR file with the bodies"), "--o", f"{place}analyse"]
    words += ["--do_maps", *o.option("--k", "nr_movies")] if o.number("nr_movies") > 0 else []
    if o.yes("do_select"):
        if o.number("eigenval_min") >= o.number("eigenval_max"):
            raise UserError(f"eigenval_min {o['eigenval_min']} must be below eigenval_max {o['eigenval_max']}")
        words += [*o.option("--select_eigenvalue", "select_eigenval"), *o.option("--select_eigenvalue_min", "eigenval_min")]
        words += o.option("--select_eigenvalue_max", "eigenval_max")
    return words


def _commands(o: OptionText, place: str, is_continue: bool) -> Commands:
    if not _refines(o, is_continue) and not o.yes("do_analyse"):
        raise UserError("nothing to do: give fn_cont to go on refining, or set do_analyse to Yes")
    refine = [_refine_words(o, place, is_continue)] if _refines(o, is_continue) else []
    analyse = [_analysis_words(o, place, is_continue)] if o.yes("do_analyse") else []
    return (*refine, *analyse)


def _selected_name(o: OptionText) -> str:
    low, high = round(o.number("eigenval_min")), round(o.number("eigenval_max"))
    limits = (f"_min{low}" if low > -_ANY else "") + (f"_max{high}" if high < _ANY else "")
    return f"analyse_eval{o.whole('select_eigenval'):03d}_select{limits}.star"


def _outputs(o: OptionText, place: str, is_continue: bool) -> Mapping[str, str]:
    found = {}
    if _refines(o, is_continue):
        root = place + _root(o, is_continue)
        found = {f"{root}_half1_body{body + 1:03d}_unfil.mrc": f"{kinds.HALF_MAP}.multibody" for body in range(_n_bodies(o))}
    if not o.yes("do_analyse"):
        return found
    chosen = f"{kinds.PARTICLES}.flexanalysis.eigenselected"
    found |= {place + _selected_name(o): chosen} if o.yes("do_select") else {}
    return found | {f"{place}analyse_logfile.pdf": f"{kinds.LOG}.flexanalysis"}


def _n_bodies(o: OptionText) -> int:
    """Count the bodies; none where their file does not exist yet."""
    from relion4plugin.files.star_text import read_tables

    path = Path(o["fn_bodies"])
    return max((len(table.rows) for table in read_tables(path).values()), default=0) if path.is_file() else 0


TYPE = JobType(
    label="relion.multibody",
    folder="MultiBody",
    title="Multi-body refinement",
    parameters=MultiBodyOptions,
    commands=_commands,
    inputs=lambda o: nodes((o["fn_in"], f"{kinds.OPTIMISER}.refine3d")),
    outputs=_outputs,
    continues=ContinueKind.RESUMABLE,
    missing="multi-body refinement needs RELION's programs relion_refine and relion_flex_analyse for now",
)
