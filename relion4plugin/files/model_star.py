"""Results of a 2D classification run, as RELION (3.1 to 5.0) and this package write them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import Block, read_star

_ITERATION = re.compile(r"_it(\d{3,})_(?:model|optimiser|data)\.star(?:\.gz)?$")


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


def _iteration_of(path: Path) -> int:
    match = _ITERATION.search(path.name)
    if match is None:
        raise UserError(f"{path}: no iteration number in the name; expected a file such as run_it025_optimiser.star")
    return int(match[1])


def _existing(path: Path) -> Path | None:
    """Return the path, or its gzip form, whichever is there."""
    return next((candidate for candidate in (path, Path(f"{path}.gz")) if candidate.is_file()), None)


def _find_model(run: Path, iteration: int | None) -> Path:
    """Find the model file of a run folder (the last complete iteration unless one is named) or of an optimiser file."""
    if not run.exists():
        raise UserError(f"{run}: no such file or folder; expected a 2D classification folder or its run_itNNN_optimiser.star")
    if not run.is_dir():
        model = _existing(run.with_name(re.sub(r"_(optimiser|data|model)\.star(\.gz)?$", "_model.star", run.name)))
        if model is None or (iteration is not None and _iteration_of(model) != iteration):
            raise UserError(f"{run}: no model file of the wanted iteration beside it; expected run_itNNN_model.star")
        return model
    models = {_iteration_of(path): path for path in run.iterdir() if path.name.count("_model.star") and _ITERATION.search(path.name)}
    if iteration is not None:
        if iteration not in models:
            raise UserError(f"{run}: no model of iteration {iteration}, found {sorted(models) or 'none'}; choose one of these")
        return models[iteration]
    complete = [number for number, path in models.items() if _existing(_data_path(path)) is not None]
    if not complete:
        raise UserError(f"{run}: no finished iteration; expected run_itNNN_model.star and run_itNNN_data.star")
    return models[max(complete)]


def _data_path(model: Path) -> Path:
    return model.with_name(re.sub(r"_model\.star(\.gz)?$", "_data.star", model.name))


def _row(blocks: dict[str, Block], name: str, path: Path) -> dict[str, Any]:
    block = blocks.get(name)
    if isinstance(block, pd.DataFrame) and len(block) == 1:
        return {str(key): value for key, value in block.iloc[0].items()}
    if not isinstance(block, dict) or not block:
        raise UserError(f"{path}: no table data_{name}; expected a model file of a 2D classification")
    return block


def _table(blocks: dict[str, Block], name: str, required: tuple[str, ...], path: Path) -> pd.DataFrame:
    block = blocks.get(name)
    table = pd.DataFrame([block]) if isinstance(block, dict) and block else block
    if not isinstance(table, pd.DataFrame):
        raise UserError(f"{path}: no table data_{name}; expected a file of a 2D classification")
    for label in required:
        if label not in table:
            raise UserError(f"{path}: data_{name} has no column {label}; expected a file of a 2D classification")
    return table


def _reference_stack(names: pd.Series, model: Path) -> tuple[Path, np.ndarray]:
    """Locate the stack of class averages; the names in the model are relative to the project folder."""
    parts = [str(name).rpartition("@") for name in names]
    stacks = {part[2] for part in parts}
    if len(stacks) != 1 or not all(part[0].isdigit() for part in parts):
        raise UserError(f"{model}: rlnReferenceImage is not one stack of 2D classes ('{names.iloc[0]}'); give a 2D classification")
    name = Path(stacks.pop())
    for candidate in (model.parent / name.name, Path.cwd() / name):
        if candidate.is_file():
            return candidate, np.array([int(part[0]) - 1 for part in parts])
    raise UserError(f"{model}: class averages {name} not found in the current folder nor beside the model; start in the project folder")


def _class_counts(numbers: pd.Series, n_classes: int, data: Path) -> np.ndarray:
    """Count the particles of each class; 0 stands for a particle without a class yet."""
    values = pd.to_numeric(numbers, errors="coerce").to_numpy(dtype=np.float64)
    valid = (values >= 0) & (values <= n_classes)
    if not valid.all():
        row = int(np.flatnonzero(~valid)[0])
        raise UserError(
            f"{data}: particle {row + 1} has rlnClassNumber {numbers.iloc[row]}, expected 0 to {n_classes}; give the files of one run"
        )
    return np.bincount(values.astype(np.int64), minlength=n_classes + 1)[1:]


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
    data = _existing(_data_path(model))
    if data is None:
        raise UserError(f"{_data_path(model)}: no such file; expected the particles that belong to {model.name}")
    blocks = read_star(model)
    general = _row(blocks, "model_general", model)
    for label in ("rlnPixelSize", "rlnCurrentResolution"):
        if label not in general:
            raise UserError(f"{model}: data_model_general has no {label}; expected a model file of a 2D classification")
    rows = _table(blocks, "model_classes", ("rlnReferenceImage", "rlnClassDistribution", "rlnEstimatedResolution"), model)
    particles = _table(read_star(data), "particles", ("rlnClassNumber",), data)
    stack, slices = _reference_stack(rows["rlnReferenceImage"], model)
    n_classes = len(rows)
    missing = np.full(n_classes, np.nan)
    counts = _class_counts(particles["rlnClassNumber"], n_classes, data)
    classes = pd.DataFrame(
        {
            "class_number": np.arange(1, n_classes + 1),
            "slice_index": slices,
            "distribution": rows["rlnClassDistribution"].to_numpy(dtype=np.float64),
            "resolution": rows["rlnEstimatedResolution"].to_numpy(dtype=np.float64),
            "accuracy_rotations": np.asarray(rows.get("rlnAccuracyRotations", missing), dtype=np.float64),
            "accuracy_translations": np.asarray(rows.get("rlnAccuracyTranslationsAngst", missing), dtype=np.float64),
            "n_particles": counts,
        }
    )
    return Class2DResults(
        iteration=_iteration_of(model),
        data_star=data,
        model_star=model,
        classes_path=stack,
        classes=classes,
        pixel_size=float(general["rlnPixelSize"]),
        current_resolution=float(general["rlnCurrentResolution"]),
    )
