"""Selection of 2D classes by their scores as a job: checks, run, and RELION's command line."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.jobdir import JobDirectory
from relion4plugin.jobs.map_jobs import prepare_map_output, recorded_command, require_file
from relion4plugin.jobs.parameters import check, format_value, from_job_options, to_job_options
from relion4plugin.jobs.rank_parameters import RankParameters
from relion4plugin.progress import Progress
from relion4plugin.ranker.available import require_torch

if TYPE_CHECKING:
    from relion4plugin.ranker.ranked_run import RankedRun, SelectionRule
    from relion4plugin.ranker.weights import Ranker

__all__ = ["JOB_TYPE", "RankOutputs", "RankParameters", "from_options", "relion_command", "rule_of", "run", "validate"]

JOB_TYPE = "relion.select.class2dauto"
_FILES = ("particles.star", "class_averages.star", "class_averages.mrcs", "backup_selection.star")
_NODES = {
    "particles.star": "ParticlesData.star.relion",
    "class_averages.star": "ImagesData.star.relion.classaverages",
    "rank_optimiser.star": "ProcessData.star.relion.optimiser.autoselect",
}
_OTHER_SELECTIONS = ("do_select_values", "do_discard", "do_split", "do_remove_duplicates")


@dataclass(frozen=True)
class RankOutputs:
    """Files and figures of a finished selection.

    `threshold` is None where scores did not decide or no class was good; `n_scored` are the classes with more than ten
    particles; `kept` is the folder of the training data, `report` the page, where there is one. `ranked` and `ranker` hold
    what was computed, for a report.
    """

    particles: Path
    class_averages: Path
    optimiser: Path
    rule: str
    threshold: float | None
    n_classes: int
    n_scored: int
    n_selected: int
    n_particles: int
    n_selected_particles: int
    best_score: float
    weights: str
    remarks: tuple[str, ...]
    kept: Path | None = None
    report: Path | None = None
    ranked: "RankedRun | None" = field(default=None, repr=False)
    ranker: "Ranker | None" = field(default=None, repr=False)

    def summary(self) -> dict[str, Any]:
        """Everything that can be printed as JSON."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in ("ranked", "ranker")}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def from_options(options: Mapping[str, str], where: str = "job.star") -> RankParameters:
    """Build the parameters from job.star options of RELION 4 or 5, or our own.

    RELION's jobs select by a threshold, and take the number of classes only where no number of particles is given.

    Raises
    ------
    UserError
        If a value has the wrong type, or the job selects in another way than by scores.
    """
    known = dict(options)
    others = [name for name in _OTHER_SELECTIONS if known.get(name, "No") == "Yes"]
    if others or known.get("do_class_ranker", "No") != "Yes":
        reason = f"{others[0]} is Yes" if others else "do_class_ranker is not Yes"
        raise UserError(f"{where}: {reason}, but only selections of 2D classes by score are made here; set do_class_ranker to Yes alone")
    parameters = from_job_options(RankParameters, {"select_by": "score", **options}, where)
    if "select_by" not in options and parameters.select_nr_parts > 0:
        return dataclasses.replace(parameters, select_nr_classes=-1)
    return parameters


def rule_of(parameters: RankParameters) -> "SelectionRule":
    """Translate to the rule of selection."""
    from relion4plugin.ranker.ranked_run import SelectionRule
    from relion4plugin.ranker.selection import Minimum

    p = parameters
    return SelectionRule(
        kind=p.select_by,
        min_score=p.rank_threshold,
        max_score=p.max_score,
        relative=p.relative_thresholds,
        top_fraction=p.top_fraction,
        minimum=Minimum(p.select_nr_parts, p.select_nr_classes),
    )


def validate(parameters: RankParameters) -> tuple[str, ...]:
    """Check what can be known without reading the classification.

    Returns
    -------
    tuple of str
        Remarks on choices that work but may surprise.

    Raises
    ------
    UserError
        For the first mistake found.
    """
    p = parameters
    check(p)
    require_torch()
    if not p.do_class_ranker:
        raise UserError("do_class_ranker is No: this command selects by scores only; leave the option out")
    require_file(p.fn_model, "2D classification", "--i")
    if not p.fn_model.removesuffix(".gz").endswith("optimiser.star"):
        raise UserError(f"2D classification {p.fn_model}: give its run_itNNN_optimiser.star with --i")
    for path, what, option in ((p.fn_weights, "weights", "--weights"), (p.fn_selection, "selection by hand", "--selection")):
        if path:
            require_file(path, what, option)
    if p.rank_threshold > p.max_score:
        raise UserError(f"min_score {p.rank_threshold:g} is above max_score {p.max_score:g}: exchange them")
    if p.select_by == "number" and not p.fn_selection and max(p.select_nr_parts, p.select_nr_classes) < 1:
        raise UserError("--select number needs a number: give --select_min_nr_particles or --select_min_nr_classes")
    if p.keep_training and not p.fn_selection:
        raise UserError("--keep_training keeps a selection by hand: give one with --selection")
    return ("a selection by hand is given: thresholds and minimum numbers are not used",) if p.fn_selection else ()


def relion_command(parameters: RankParameters, out_dir: Path) -> list[str]:
    """Return the words of RELION's own command for the same job; it only knows thresholds and minimum numbers."""
    p = parameters
    words = ["relion_class_ranker", "--opt", p.fn_model, "--o", f"{out_dir.as_posix()}/", "--fn_sel_parts", "particles.star"]
    words += ["--fn_sel_classavgs", "class_averages.star"]
    for option, number in (("--select_min_nr_particles", p.select_nr_parts), ("--select_min_nr_classes", p.select_nr_classes)):
        words += [option, str(number)] if number > 0 else []
    words += ["--fn_root", "rank", "--do_granularity_features", "--auto_select", "--min_score", format_value(p.rank_threshold)]
    return words + (["--relative_thresholds"] if p.relative_thresholds else [])


def run(
    parameters: RankParameters, out_dir: Path, progress: Progress, job_star: bool = True, overwrite: bool = False
) -> RankOutputs:
    """Score and select, leaving a RELION job directory (see `class2d.run` for the arguments).

    Raises
    ------
    UserError
        If anything is wrong with the classification, the weights, the options or the disk.
    """
    from relion4plugin.ranker.class_run import read_class_run
    from relion4plugin.ranker.outputs import read_backup, write_outputs
    from relion4plugin.ranker.ranked_run import require_scorable
    from relion4plugin.ranker.weights import load_weights

    p = parameters
    validate(p)
    ranker = load_weights(p.fn_weights or None)
    classified = read_class_run(p.fn_model)
    require_scorable(classified)
    labels = read_backup(Path(p.fn_selection), len(classified.pdf)) if p.fn_selection else None
    names = (*_FILES, *(f"rank_{kind}.star" for kind in ("model", "data", "optimiser")))
    prepare_map_output(out_dir, names, 1000 * len(classified.data) + classified.classes.nbytes, overwrite)
    with JobDirectory(
        out_dir,
        JobStar(JOB_TYPE, options=to_job_options(p)),
        command=recorded_command("rank", p, out_dir),
        inputs={p.fn_model: "ProcessData.star.relion.optimiser.class2d"},
        outputs={out_dir / name: kind for name, kind in _NODES.items()},
        progress=progress,
        enabled=job_star,
    ) as job:
        job.progress.start("Rank", 2)
        ranked = _ranked(p, classified, ranker, labels)
        job.progress.advance(1, f"{len(ranked.features.classes)} classes scored")
        write_outputs(ranked, out_dir, p.do_recenter, p.nr_groups if p.do_regroup else 0)
        kept = _keep(p, ranked, labels)
        job.progress.advance(1, f"{len(ranked.selected)} classes selected")
        job.progress.finish()
    return _outputs(ranked, ranker, out_dir, kept)


def _ranked(p: RankParameters, classified: Any, ranker: "Ranker", labels: np.ndarray | None) -> "RankedRun":
    from relion4plugin.ranker.features import compute_features
    from relion4plugin.ranker.ranked_run import apply_labels, apply_rule, score_classes

    features = compute_features(classified, granularity=not ranker.own)
    scores = score_classes(classified, features, ranker)
    if labels is None:
        return apply_rule(classified, features, scores, rule_of(p))
    return apply_labels(classified, features, scores, labels, p.fn_selection)


def _keep(p: RankParameters, ranked: "RankedRun", labels: np.ndarray | None) -> Path | None:
    from relion4plugin.ranker.kept_jobs import keep_job

    if not p.keep_training or labels is None:
        return None
    return keep_job(ranked.run, labels, p.job_score if p.job_score >= 0 else None, Path(p.keep_training))


def _outputs(ranked: "RankedRun", ranker: "Ranker", out_dir: Path, kept: Path | None) -> RankOutputs:
    from relion4plugin.ranker.outputs import files_of

    files = files_of(out_dir)
    return RankOutputs(
        particles=files.particles,
        class_averages=files.class_averages,
        optimiser=files.optimiser,
        rule=ranked.rule,
        threshold=float(ranked.threshold) if math.isfinite(ranked.threshold) else None,
        n_classes=len(ranked.scores),
        n_scored=len(ranked.features.classes),
        n_selected=len(ranked.selected),
        n_particles=len(ranked.run.data),
        n_selected_particles=int(ranked.particle_mask.sum()),
        best_score=float(ranked.scores.max()),
        weights=str(ranker.path),
        remarks=ranked.remarks,
        kept=kept,
        ranked=ranked,
        ranker=ranker,
    )
