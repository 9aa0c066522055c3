"""A classification with a selection made by hand, kept as training data in the layout of EMPIAR-10812."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.particles import write_particles
from relion4plugin.files.run_files import existing, rows, sibling, single_row
from relion4plugin.files.star import read_star, write_star
from relion4plugin.ranker.class_run import ClassRun
from relion4plugin.ranker.target import job_score

_WHAT = "a file of a 2D classification"
_NAME_LENGTH = 12  # as in EMPIAR-10812


def guessed_job_score(run: ClassRun, labels: np.ndarray) -> float:
    """Score of a data set from what was selected: its best estimated resolution and its share of the particles.

    Parameters
    ----------
    run
        The classification.
    labels
        int (K,): 0 for classes left out.

    Returns
    -------
    float
        0 to 1, on the scale of `target.job_score`; 0 without selected classes.
    """
    chosen = labels > 0
    if not chosen.any():
        return 0.0
    share = float(np.isin(run.class_number, np.flatnonzero(chosen) + 1).mean())
    return job_score(float(run.resolution[chosen].min()), share, run.pixel_size)


def keep_job(run: ClassRun, labels: np.ndarray, score: float | None, folder: Path) -> Path:
    """Copy a classification and its labels into a folder of training jobs.

    The job's folder is named after its content, so that a corrected selection replaces the one before.

    Parameters
    ----------
    run
        The classification.
    labels
        int (K,): 0 left out, 1 selected; or graded: 1 best, 5 good, 2 fair, 3 or 4 poor.
    score
        Score of the data set, 0 to 1, with which labels count as grades. None: grades beyond 1 get a guessed score; a plain
        selection goes without, by which training knows it.
    folder
        Where training jobs are kept; made if it does not exist.

    Returns
    -------
    Path
        The folder of this job.

    Raises
    ------
    UserError
        If the folder cannot be written.
    """
    job = folder / _name(run)
    try:
        job.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the training folder {job}: {error.strerror}; give another --keep_training") from error
    write_stack(job / "run_class.mrcs", run.classes, run.pixel_size)
    general = single_row(dict(run.optimiser_tables), "optimiser_general", run.optimiser_path, _WHAT)
    named = {"rlnModelStarFile": "run_model.star", "rlnExperimentalDataStarFile": "run_data.star"}
    classes = rows(dict(run.model_tables), "model_classes", (), run.model_path, _WHAT)
    images = [f"{k + 1:06d}@run_class.mrcs" for k in range(len(classes))]
    write_star(job / "run_model.star", {**run.model_tables, "model_classes": classes.assign(rlnReferenceImage=images)})
    write_particles(job / "run_data.star", run.data)
    sampling = existing(sibling(run.optimiser_path, "sampling"))
    if sampling is not None:
        write_star(job / "run_sampling.star", read_star(sampling))
        named["rlnOrientSamplingStarFile"] = "run_sampling.star"
    write_star(job / "backup_selection.star", {"": pd.DataFrame({"rlnSelected": labels})})
    if score is None and (labels > 1).any():
        score = guessed_job_score(run, labels)
    if score is None:
        (job / "job_score.txt").unlink(missing_ok=True)
    else:
        atomic_write_text(job / "job_score.txt", f"{score:.4f}\n")
    write_star(job / "run_optimiser.star", {"optimiser_general": {**general, **named}})
    return job


def _name(run: ClassRun) -> str:
    sha = hashlib.sha256(np.ascontiguousarray(run.classes, "<f4").tobytes())
    sha.update(np.ascontiguousarray(run.pdf, "<f8").tobytes())
    return sha.hexdigest()[:_NAME_LENGTH]
