"""The STAR files of a class selection, as RELION 4's class ranker leaves them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.own_labels import JOB_SCORE
from relion4plugin.files.particles import ParticleSet, write_particles
from relion4plugin.files.run_files import project_file, rows, single_row
from relion4plugin.files.star import read_star, write_star
from relion4plugin.ranker.class_run import ClassRun
from relion4plugin.ranker.ranked_run import RankedRun
from relion4plugin.ranker.recentre import centres_of_mass, moved_origins, recentred
from relion4plugin.ranker.regroup import regrouped

_WHAT = "a file of a 2D classification"
_KEPT = ("rlnEstimatedResolution", "rlnOverallFourierCompleteness", "rlnClassPriorOffsetX", "rlnClassPriorOffsetY")
CENTRED_STACK = "class_averages.mrcs"
PARTICLES, CLASS_AVERAGES, BACKUP = "particles.star", "class_averages.star", "backup_selection.star"
ROOT = "rank"


@dataclass(frozen=True)
class RankFiles:
    """Files of a selection."""

    particles: Path
    class_averages: Path
    optimiser: Path
    model: Path
    data: Path
    backup: Path


def files_of(out_dir: Path, root: str = ROOT) -> RankFiles:
    """Name the files of a selection in a job directory."""
    model, data, optimiser = (out_dir / f"{root}_{kind}.star" for kind in ("model", "data", "optimiser"))
    return RankFiles(out_dir / PARTICLES, out_dir / CLASS_AVERAGES, optimiser, model, data, out_dir / BACKUP)


def write_outputs(ranked: RankedRun, out_dir: Path, recentre: bool = False, n_groups: int = 0) -> RankFiles:
    """Write all files of a selection; the optimiser file comes last.

    Parameters
    ----------
    ranked
        Scores and selection.
    out_dir
        Existing job directory.
    recentre
        Selected class averages are written anew, moved to their centre of mass, and particle origins follow.
    n_groups
        Particles get so many groups of similar intensity scale in place of their own; 0 leaves them.

    Returns
    -------
    RankFiles

    Raises
    ------
    UserError
        If the run has no table of groups that is needed, or the disk is full.
    """
    files, run = files_of(out_dir), ranked.run
    averages = class_averages_table(ranked)
    kept = run.data.select(ranked.particle_mask)
    if recentre and len(ranked.selected):
        averages, kept = _centred(ranked, averages, kept, out_dir)
    if n_groups > 0 and len(kept):
        kept = _with_new_groups(run, kept, n_groups)
    write_star(files.backup, {"": pd.DataFrame({"rlnSelected": ranked.labels})})
    write_star(files.model, {"model_classes": model_classes_table(ranked)})
    write_particles(files.data, run.data)
    write_star(files.class_averages, {"": averages})
    write_particles(files.particles, kept)
    write_star(files.optimiser, {"optimiser_general": _redirected(run, files)})
    return files


def model_classes_table(ranked: RankedRun) -> pd.DataFrame:
    """All classes with their scores, in class order; other columns as the run wrote them."""
    run = ranked.run
    table = rows(dict(run.model_tables), "model_classes", (), run.model_path, _WHAT)
    columns: dict[str, Any] = {
        "rlnReferenceImage": reference_names(run),
        "rlnClassScore": ranked.scores,
        "rlnClassDistribution": run.pdf,
        "rlnAccuracyRotations": run.accuracy_rotation,
        "rlnAccuracyTranslationsAngst": run.accuracy_translation,
    }
    kept = {label: table[label].to_numpy() for label in _KEPT if label in table}
    return pd.DataFrame({**columns, **kept, **_job_scores(ranked)})


def class_averages_table(ranked: RankedRun) -> pd.DataFrame:
    """The selected classes in the order of the selection, with the accuracies that the score was made from."""
    run, features, chosen = ranked.run, ranked.features, ranked.selected
    rotation, translation, resolution = run.accuracy_rotation.copy(), run.accuracy_translation.copy(), run.resolution.copy()
    rotation[features.classes] = features.accuracy_rotation
    translation[features.classes] = features.accuracy_translation
    resolution[features.classes] = features.resolution
    return pd.DataFrame(
        {
            "rlnReferenceImage": reference_names(run)[chosen],
            "rlnPredictedClassScore": ranked.scores[chosen],
            "rlnClassDistribution": run.pdf[chosen],
            "rlnAccuracyRotations": rotation[chosen],
            "rlnAccuracyTranslationsAngst": translation[chosen],
            "rlnEstimatedResolution": resolution[chosen],
            **{label: values[chosen] for label, values in _job_scores(ranked).items()},
        }
    )


def _job_scores(ranked: RankedRun) -> dict[str, np.ndarray]:
    """Return the column (K,) of scores in this job, none where the weights give none."""
    return {} if ranked.job_scores is None else {JOB_SCORE: ranked.job_scores}


def reference_names(run: ClassRun) -> np.ndarray:
    """Images of the classes (K,): as the run names them where that file exists, else where they were found."""
    parts = [str(name).rpartition("@") for name in run.reference_names]
    found = {file: file if Path(file).is_file() else str(project_file(file, run.model_path, "class averages")) for _, _, file in parts}
    return np.array([f"{number}@{found[file]}" for number, _, file in parts], dtype=object)


def read_backup(path: Path, n_classes: int) -> np.ndarray:
    """Read a backup_selection.star: one label per class, 0 to 6; int64 (K,).

    Raises
    ------
    UserError
        If it is not such a file, or its rows are not as many as the `n_classes` of the run.
    """
    columns = [block["rlnSelected"] for block in read_star(path).values() if "rlnSelected" in block]
    if not columns:
        raise UserError(f"{path}: no column rlnSelected; expected a backup_selection.star, as the report or RELION writes it")
    labels = pd.to_numeric(pd.Series(np.atleast_1d(columns[0])), errors="coerce")
    if not labels.isin(range(7)).all():
        raise UserError(f"{path}: rlnSelected must be 0 (left out) or 1 to 6 in every row; correct it")
    if len(labels) != n_classes:
        raise UserError(f"{path}: {len(labels)} rows, but the run has {n_classes} classes; give the selection of this run")
    return labels.to_numpy(np.int64)


def _redirected(run: ClassRun, files: RankFiles) -> dict[str, Any]:
    general = single_row(dict(run.optimiser_tables), "optimiser_general", run.optimiser_path, _WHAT)
    return {**general, "rlnModelStarFile": files.model.as_posix(), "rlnExperimentalDataStarFile": files.data.as_posix()}


def _centred(ranked: RankedRun, averages: pd.DataFrame, kept: ParticleSet, out_dir: Path) -> tuple[pd.DataFrame, ParticleSet]:
    run, stack = ranked.run, out_dir / CENTRED_STACK
    centres = centres_of_mass(run.classes)
    write_stack(stack, recentred(run.classes[ranked.selected], centres[ranked.selected]), run.pixel_size)
    mask = ranked.particle_mask
    origins = moved_origins(run.origins[mask], run.psi[mask], centres[run.class_number[mask] - 1], run.pixel_size)
    names = [f"{i + 1:06d}@{stack.as_posix()}" for i in range(len(averages))]
    return (
        averages.assign(rlnReferenceImage=names),
        kept.with_columns({"rlnOriginXAngst": origins[:, 0], "rlnOriginYAngst": origins[:, 1]}),
    )


def _with_new_groups(run: ClassRun, kept: ParticleSet, n_groups: int) -> ParticleSet:
    what = "a model file with the intensity scale of each group, as --scale leaves it"
    table = rows(dict(run.model_tables), "model_groups", ("rlnGroupNumber", "rlnGroupScaleCorrection"), run.model_path, what)
    numbers, scales = table["rlnGroupNumber"].to_numpy(np.int64), table["rlnGroupScaleCorrection"].to_numpy(np.float64)
    groups = kept.column("rlnGroupNumber").astype(np.int64)
    unknown = np.setdiff1d(groups, numbers)
    if len(unknown):
        raise UserError(f"{run.data_path}: group {unknown[0]} is not in data_model_groups of {run.model_path}; give the files of one run")
    new = regrouped(groups, numbers, scales, n_groups)
    return kept.with_columns({"rlnGroupNumber": new, "rlnGroupName": np.array([f"group_{number:02d}" for number in new], object)})
