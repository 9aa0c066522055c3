"""Samples from folders of 2D classifications that someone has labelled.

A folder counts where it holds backup_selection.star, with one label per class, and

- the classification itself (run_optimiser.star, or that of the last iteration), as in EMPIAR-10812, or
- the job.star of a selection job, which names the classification.

Labels are RELION's 0 to 6 where job_score.txt holds the score of the data set. Without that file they are the 0 and 1 of a
selection by hand: selected classes are labelled 2 (fair), the least of what a user keeps, and the data set is scored by its best
selected class and the share of its particles that were selected.
"""

from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.run_files import existing, has_iteration, iteration_of
from relion4plugin.files.star import read_star
from relion4plugin.progress import Progress
from relion4plugin.ranker.class_run import ClassRun, read_class_run
from relion4plugin.ranker.features import compute_features
from relion4plugin.ranker.kept_jobs import guessed_job_score
from relion4plugin.ranker.labels import SELECTED_LABEL, class_scores
from relion4plugin.ranker.outputs import read_backup
from relion4plugin.ranker.samples import Samples, concatenate

SELECTION, JOB_SCORE, STRUCTURE = "backup_selection.star", "job_score.txt", "structure.txt"


def read_labelled_jobs(root: Path, progress: Progress) -> tuple[Samples, tuple[str, ...]]:
    """Read all labelled classifications in a folder and its sub-folders; features and images are computed anew.

    Jobs of one structure never part at the division into training and validation: name it in the first line of a file
    structure.txt beside the selection. Without that file a job is a structure of its own.

    Parameters
    ----------
    root
        The folder.
    progress
        Receiver of progress, one step per job.

    Returns
    -------
    tuple
        Samples, with columns ``label``, ``job_score``, ``particles`` and ``resolution`` (A); and remarks on what was left out.

    Raises
    ------
    UserError
        If there is no labelled job, or one is incomplete.
    """
    folders = [path.parent for path in sorted(root.rglob(SELECTION))]
    parts: list[Samples] = []
    remarks = []
    progress.start("Labelled jobs", len(folders))
    for folder in folders:
        optimiser = _optimiser_of(folder)
        if optimiser is None:
            remarks.append(f"{folder}: left out, its selection was made by a class ranker and not by hand")
        else:
            part = labelled_samples(read_class_run(optimiser), folder, folder.relative_to(root).as_posix())
            parts += [part] if len(part) else []
        progress.advance(1, folder.name)
    progress.finish()
    if not parts:
        raise UserError(f"training set {root}: no labelled job; expected folders with {SELECTION} and a 2D classification or a job.star")
    return concatenate(parts), tuple(remarks)


def labelled_samples(run: ClassRun, folder: Path, job: str) -> Samples:
    """Return the samples of a classification with the labels of a folder: classes of more than ten particles.

    Parameters
    ----------
    run
        The classification.
    folder
        Holds the labels, and where known the scores of job and structure.
    job
        Name of the job.

    Raises
    ------
    UserError
        If there are more or fewer labels than classes, or a label or score is out of range.
    """
    labels = read_backup(folder / SELECTION, len(run.classes))
    score_file = folder / JOB_SCORE
    if score_file.is_file():
        score = _job_score(score_file)
    else:
        if not np.isin(labels, (0, 1)).all():
            raise UserError(f"{folder / SELECTION}: labels above 1 need the score of the data set: write 0 to 1 into {score_file}")
        labels = np.where(labels == 1, SELECTED_LABEL, 0)
        score = guessed_job_score(run, labels)
    targets = class_scores(labels, run.resolution, score)
    features = compute_features(run)
    chosen, n = features.classes, len(features)
    structure_file = folder / STRUCTURE
    structure = _first_line(structure_file) if structure_file.is_file() else job
    return Samples(
        images=features.images,
        features=features.normalised,
        score=targets[chosen].astype(np.float32),
        job=np.full(n, job),
        reference=run.reference_names[chosen],
        structure=np.full(n, structure),
        extra={
            "label": labels[chosen],
            "job_score": np.full(n, score),
            "particles": features.particles,
            "resolution": features.resolution,
        },
    )


def _first_line(path: Path) -> str:
    return (path.read_text(encoding="utf-8").strip().splitlines() or [""])[0].strip()


def _job_score(path: Path) -> float:
    text = _first_line(path)
    try:
        score = float(text)
    except ValueError:
        raise UserError(f"{path}: its first line is '{text}', expected the score of the data set, 0 to 1") from None
    if not 0.0 <= score <= 1.0:
        raise UserError(f"{path}: the score of the data set is {text}, expected 0 to 1")
    return score


def _optimiser_of(folder: Path) -> Path | None:
    """Find the classification that was labelled; None where a ranker selected."""
    whole = existing(folder / "run_optimiser.star")
    if whole is not None:
        return whole
    iterations = [path for path in folder.glob("run_*optimiser.star*") if has_iteration(path)]
    if iterations:
        return max(iterations, key=iteration_of)
    options = _job_options(folder / "job.star")
    if options.get("do_class_ranker", "No") == "Yes":
        return None
    name = options.get("fn_model", "")
    if not name:
        raise UserError(f"{folder}: neither a 2D classification nor a job.star with fn_model beside {SELECTION}; copy the job here")
    optimiser = name.replace("_model.star", "_optimiser.star")  # RELION 3.1 selects from a model file
    places = [parent / optimiser for parent in (Path.cwd(), *folder.resolve().parents)]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise UserError(f"{folder}/job.star: its classification {optimiser} is not in a project folder above; keep them together")
    return found


def _job_options(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    table = read_star(path).get("joboptions_values")
    columns = ("rlnJobOptionVariable", "rlnJobOptionValue")
    if table is None or isinstance(table, dict) or not set(columns) <= set(table.columns):
        return {}
    return dict(zip(map(str, table[columns[0]]), map(str, table[columns[1]]), strict=True))
