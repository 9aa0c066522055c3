"""A finished class selection as its files tell it, for viewers, and the file of a selection made by hand."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.own_labels import JOB_SCORE

SUMMARY = "rank.json"
BY_HAND = "selection_by_hand.star"
REPORT = "report.html"
DECIDING = "the score that decided"


@dataclass(frozen=True, eq=False)
class RankedFiles:
    """Scores and selection of K classes of N x N px.

    Attributes
    ----------
    images : float32 (K, N, N)
        Class averages.
    scores : float64 (K,)
        -999 where a class has too few particles for a score.
    labels : int64 (K,)
        0 for classes that are left out.
    sizes : int64 (K,)
        Particles of each class.
    resolution : float64 (K,)
        A; NaN where the run does not know it.
    threshold : float or None
        Score from which on classes were selected, None where scores did not decide.
    rule : str
        How they were selected.
    job_scores : float64 (K,) or None
        Scores in this job, -999 for none; None where the weights give none.
    """

    images: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray
    resolution: np.ndarray
    threshold: float | None
    rule: str
    job_scores: np.ndarray | None = None

    @property
    def deciding(self) -> np.ndarray:
        """The scores by which classes were selected, float64 (K,)."""
        return self.scores if self.job_scores is None or self.rule == "score" else self.job_scores

    def order(self, by: str = DECIDING) -> np.ndarray:
        """Return the 0-based classes, best first by one of `ORDERS`.

        Raises
        ------
        UserError
            If the weights gave no score in this job, and it is asked for.
        """
        values = ORDERS[by](self)
        if values is None:
            raise UserError("the weights of this run give no score in the job: choose another order")
        return np.argsort(-values, kind="stable")

    @property
    def scored(self) -> np.ndarray:
        """Which classes have a score, bool (K,)."""
        return np.asarray(self.scores > -900)


ORDERS: dict[str, Callable[[RankedFiles], np.ndarray | None]] = {
    DECIDING: lambda ranked: ranked.deciding,
    "score": lambda ranked: ranked.scores,
    "score in this job": lambda ranked: ranked.job_scores,
    "particles": lambda ranked: ranked.sizes,
    "resolution": lambda ranked: -np.nan_to_num(ranked.resolution, nan=np.inf),
}


def read_ranked(folder: Path) -> RankedFiles:
    """Read the folder of a finished selection.

    Raises
    ------
    UserError
        If files are missing or damaged.
    """
    from relion4plugin.files.run_files import class_counts, rows
    from relion4plugin.files.star import read_star
    from relion4plugin.ranker.outputs import files_of, read_backup

    files, what = files_of(folder), "a file of a class selection"
    summary = _summary(folder / SUMMARY)
    model = rows(read_star(files.model), "model_classes", ("rlnReferenceImage", "rlnClassScore"), files.model, what)
    data = rows(read_star(files.data), "particles", ("rlnClassNumber",), files.data, what)
    unknown = np.full(len(model), np.nan)
    return RankedFiles(
        images=_images(model["rlnReferenceImage"].tolist(), files.model),
        scores=model["rlnClassScore"].to_numpy(np.float64),
        labels=read_backup(files.backup, len(model)),
        sizes=class_counts(data["rlnClassNumber"], len(model), files.data),
        resolution=model["rlnEstimatedResolution"].to_numpy(np.float64) if "rlnEstimatedResolution" in model else unknown,
        threshold=summary.get("threshold"),
        rule=str(summary.get("rule", "")),
        job_scores=model[JOB_SCORE].to_numpy(np.float64) if JOB_SCORE in model else None,
    )


def write_by_hand(folder: Path, labels: np.ndarray) -> Path:
    """Write the labels (K,) of a selection made by hand beside a selection's files; returns the file."""
    import pandas as pd

    from relion4plugin.files.star import write_star

    path = folder / BY_HAND
    write_star(path, {"": pd.DataFrame({"rlnSelected": np.asarray(labels, np.int64)})})
    return path


def _summary(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run the selection again") from error


def _images(names: list[str], model: Path) -> np.ndarray:
    from relion4plugin.files.mrc import StackReader
    from relion4plugin.files.run_files import project_file

    parts = [name.partition("@") for name in names]
    stacks = list(dict.fromkeys(stack for _, _, stack in parts))
    reader = StackReader([project_file(stack, model, "class averages") for stack in stacks])
    images = reader.read(np.array([stacks.index(stack) for _, _, stack in parts]), np.array([int(index) - 1 for index, _, _ in parts]))
    reader.close()
    return np.asarray(images, np.float32)
