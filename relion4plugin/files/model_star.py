"""Results of a 2D classification run, as RELION (3.1 to 5.0) and this package write them."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.run_files import class_counts, existing, has_iteration, iteration_of, project_file, rows, sibling, single_row
from relion4plugin.files.star import read_star

_WHAT = "a file of a 2D classification"
_MODEL = "a model file of a 2D classification"


@dataclass(frozen=True, eq=False)
class Class2DResults:
    """One iteration of a 2D classification.

    Attributes
    ----------
    iteration : int
        Number of the iteration.
    data_star, model_star, classes_path : Path
        Particles, model and the stack of class averages.
    classes : DataFrame
        One row for each class: class_number (from 1), slice_index (0-based, in `classes_path`), distribution (share of
        posterior weight), resolution (A), accuracy_rotations (deg), accuracy_translations (A; NaN where not written),
        n_particles (count of rlnClassNumber).
    pixel_size : float
        A, of the class averages.
    current_resolution : float
        A.
    """

    iteration: int
    data_star: Path
    model_star: Path
    classes_path: Path
    classes: pd.DataFrame
    pixel_size: float
    current_resolution: float


def _find_model(run: Path, iteration: int | None) -> Path:
    """Find the model file of a run folder (the last complete iteration unless one is named) or of an optimiser file."""
    if not run.exists():
        raise UserError(f"{run}: no such file or folder; expected a 2D classification folder or its run_itNNN_optimiser.star")
    if not run.is_dir():
        model = existing(sibling(run, "model"))
        if model is None or (iteration is not None and iteration_of(model) != iteration):
            raise UserError(f"{run}: no model file of the wanted iteration beside it; expected run_itNNN_model.star")
        return model
    models = {iteration_of(path): path for path in run.iterdir() if "_model.star" in path.name and has_iteration(path)}
    if iteration is not None:
        if iteration not in models:
            raise UserError(f"{run}: no model of iteration {iteration}, found {sorted(models) or 'none'}; choose one of these")
        return models[iteration]
    complete = [number for number, path in models.items() if existing(sibling(path, "data")) is not None]
    if not complete:
        raise UserError(f"{run}: no finished iteration; expected run_itNNN_model.star and run_itNNN_data.star")
    return models[max(complete)]


def _reference_stack(names: pd.Series, model: Path) -> tuple[Path, np.ndarray]:
    """Locate the stack of class averages; the names in the model are relative to the project folder."""
    parts = [str(name).rpartition("@") for name in names]
    stacks = {part[2] for part in parts}
    if len(stacks) != 1 or not all(part[0].isdigit() for part in parts):
        raise UserError(f"{model}: rlnReferenceImage is not one stack of 2D classes ('{names.iloc[0]}'); give a 2D classification")
    return project_file(stacks.pop(), model, "class averages"), np.array([int(part[0]) - 1 for part in parts])


def read_class2d_results(run: str | os.PathLike[str], iteration: int | None = None) -> Class2DResults:
    """Read the outcome of a 2D classification.

    Parameters
    ----------
    run : path-like
        The job folder, or a run_itNNN_optimiser.star (or model, or data) file.
    iteration : int, optional
        The iteration; the last finished one of a folder if not given.

    Returns
    -------
    Class2DResults
        Paths and the table of classes.

    Raises
    ------
    UserError
        If files, tables or columns are missing.
    """
    model = _find_model(Path(run), iteration)
    data = existing(sibling(model, "data"))
    if data is None:
        raise UserError(f"{sibling(model, 'data')}: no such file; expected the particles that belong to {model.name}")
    blocks = read_star(model)
    general = single_row(blocks, "model_general", model, _MODEL)
    for label in ("rlnPixelSize", "rlnCurrentResolution"):
        if label not in general:
            raise UserError(f"{model}: data_model_general has no {label}; expected {_MODEL}")
    table = rows(blocks, "model_classes", ("rlnReferenceImage", "rlnClassDistribution", "rlnEstimatedResolution"), model, _WHAT)
    particles = rows(read_star(data), "particles", ("rlnClassNumber",), data, _WHAT)
    stack, slices = _reference_stack(table["rlnReferenceImage"], model)
    n_classes = len(table)
    missing = np.full(n_classes, np.nan)
    counts = class_counts(particles["rlnClassNumber"], n_classes, data)
    classes = pd.DataFrame(
        {
            "class_number": np.arange(1, n_classes + 1),
            "slice_index": slices,
            "distribution": table["rlnClassDistribution"].to_numpy(dtype=np.float64),
            "resolution": table["rlnEstimatedResolution"].to_numpy(dtype=np.float64),
            "accuracy_rotations": np.asarray(table.get("rlnAccuracyRotations", missing), dtype=np.float64),
            "accuracy_translations": np.asarray(table.get("rlnAccuracyTranslationsAngst", missing), dtype=np.float64),
            "n_particles": counts,
        }
    )
    return Class2DResults(
        iteration=iteration_of(model),
        data_star=data,
        model_star=model,
        classes_path=stack,
        classes=classes,
        pixel_size=float(general["rlnPixelSize"]),
        current_resolution=float(general["rlnCurrentResolution"]),
    )
