"""Results of a 3D run (initial model, 3D classification, auto-refinement), as RELION (3.1 to 5.0) and this package write them."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.run_files import class_counts, existing, has_iteration, iteration_of, project_file, rows, sibling, single_row
from relion4plugin.files.star import Block, read_star

_WHAT = "a file of a 3D refinement"
_SPECTRA = {
    "shell": "rlnSpectralIndex",
    "frequency": "rlnResolution",
    "ssnr": "rlnSsnrMap",
    "fsc": "rlnGoldStandardFsc",
    "tau2": "rlnReferenceTau2",
    "sigma2": "rlnReferenceSigma2",
    "completeness": "rlnFourierCompleteness",
}
_CLASS_COLUMNS = {
    "distribution": "rlnClassDistribution",
    "resolution": "rlnEstimatedResolution",
    "accuracy_rotations": "rlnAccuracyRotations",
    "accuracy_translations": "rlnAccuracyTranslationsAngst",
    "completeness": "rlnOverallFourierCompleteness",
}


@dataclass(frozen=True, eq=False)
class Class3DResults:
    """One iteration of a run with K references.

    Attributes
    ----------
    iteration : int
        Number of the iteration.
    data_star, model_star : Path
        Particles and model; of an unfinished auto-refinement the model of half 1.
    sampling_star : Path or None
        Directions and search ranges; iteration 0 has none.
    maps : tuple of Path
        One map per class; of an unfinished auto-refinement that of half 1.
    classes : DataFrame
        One row per class: class_number (from 1), n_particles (count of rlnClassNumber), distribution (share of posterior
        weight), resolution (A), accuracy_rotations (deg), accuracy_translations (A), completeness; NaN where not written.
    spectra : tuple of DataFrame
        Per class, one row per shell: shell, frequency (1/A), ssnr, fsc, tau2, sigma2, completeness; NaN where not written.
    box : int
        Edge of the maps, px.
    pixel_size, current_resolution : float
        A.
    """

    iteration: int
    data_star: Path
    model_star: Path
    sampling_star: Path | None
    maps: tuple[Path, ...]
    classes: pd.DataFrame
    spectra: tuple[pd.DataFrame, ...]
    box: int
    pixel_size: float
    current_resolution: float


@dataclass(frozen=True, eq=False)
class Refine3DResults(Class3DResults):
    """One iteration of an auto-refinement.

    Attributes
    ----------
    half_maps : tuple of Path
        Maps of the two halves: unfiltered when the refinement has converged, regularised before.
    converged : bool
        Whether these are the final files, refined from both halves together.
    """

    half_maps: tuple[Path, Path]
    converged: bool

    @property
    def fsc(self) -> np.ndarray:
        """Correlation between the halves per shell, float64 (box/2+1,)."""
        return self.spectra[0]["fsc"].to_numpy(dtype=np.float64)


@dataclass(frozen=True)
class _Found:
    """The model file of one state of a run; iteration None stands for the final files of an auto-refinement."""

    iteration: int | None
    model: Path

    @property
    def halves(self) -> bool:
        return self.iteration is None or "_half1_" in self.model.name


def _states(folder: Path) -> dict[int | None, _Found]:
    """All states of a folder that have both a model and a data file."""
    found: dict[int | None, _Found] = {}
    for path in folder.iterdir():
        if "_model.star" in path.name and "_half2_" not in path.name and has_iteration(path):
            found[iteration_of(path)] = _Found(iteration_of(path), path)
    final = existing(folder / "run_model.star")
    if final is not None:
        found[None] = _Found(None, final)
    return {key: state for key, state in found.items() if existing(sibling(state.model, "data")) is not None}


def _find(run: Path, iteration: int | None) -> _Found:
    if not run.exists():
        raise UserError(f"{run}: no such file or folder; expected the folder of a 3D refinement or its run_itNNN_optimiser.star")
    if not run.is_dir():
        model = existing(sibling(run, "half1_model")) or existing(sibling(run, "model"))
        number = iteration_of(run) if has_iteration(run) else None
        if model is None or (iteration is not None and number != iteration):
            raise UserError(f"{run}: no model file of the wanted iteration beside it; expected run_itNNN_model.star")
        return _Found(number, model)
    states = _states(run)
    if iteration is not None:
        if iteration not in states:
            numbers = sorted(number for number in states if number is not None)
            raise UserError(f"{run}: no files of iteration {iteration}, found {numbers or 'none'}; choose one of these")
        return states[iteration]
    if not states:
        raise UserError(f"{run}: no finished iteration; expected run_itNNN_model.star (or _half1_model.star) and run_itNNN_data.star")
    return states[max(states, key=lambda number: float("inf") if number is None else number)]


def is_3d_run(folder: str | os.PathLike[str]) -> bool:
    """Whether a folder holds a finished iteration of a run with 3D references."""
    states = _states(Path(folder))
    if not states:
        return False
    model = next(iter(states.values())).model
    return int(single_row(read_star(model), "model_general", model, "a model file").get("rlnReferenceDimensionality", 2)) == 3


def read_3d_results(run: str | os.PathLike[str], iteration: int | None = None) -> Class3DResults:
    """Read the outcome of a 3D run.

    Parameters
    ----------
    run : path-like
        The job folder, or a run_itNNN_optimiser.star (or model, or data) file, or the final run_optimiser.star.
    iteration : int, optional
        The iteration; of a folder the final files of an auto-refinement, else the last finished iteration, if not given.

    Returns
    -------
    Class3DResults
        A Refine3DResults if the run is an auto-refinement.

    Raises
    ------
    UserError
        If files, tables or columns are missing.
    """
    state = _find(Path(run), iteration)
    model, data = state.model, existing(sibling(state.model, "data"))
    if data is None:
        raise UserError(f"{sibling(model, 'data')}: no such file; expected the particles that belong to {model.name}")
    blocks = read_star(model)
    general = single_row(blocks, "model_general", model, _WHAT)
    if int(general.get("rlnReferenceDimensionality", 2)) != 3:
        raise UserError(f"{model}: the references have 2 dimensions; give the folder of a 3D refinement")
    for label in ("rlnPixelSize", "rlnCurrentResolution", "rlnOriginalImageSize"):
        if label not in general:
            raise UserError(f"{model}: data_model_general has no {label}; expected {_WHAT}")
    table = rows(blocks, "model_classes", ("rlnReferenceImage", "rlnClassDistribution", "rlnEstimatedResolution"), model, _WHAT)
    common: dict[str, Any] = {
        "iteration": _final_iteration(model) if state.iteration is None else state.iteration,
        "data_star": data,
        "model_star": model,
        "sampling_star": existing(sibling(model, "sampling")),
        "maps": tuple(project_file(str(name), model, "map") for name in table["rlnReferenceImage"]),
        "classes": _class_table(table, data),
        "spectra": tuple(_spectra(blocks, k + 1, model) for k in range(len(table))),
        "box": int(general["rlnOriginalImageSize"]),
        "pixel_size": float(general["rlnPixelSize"]),
        "current_resolution": float(general["rlnCurrentResolution"]),
    }
    if not state.halves:
        return Class3DResults(**common)
    return Refine3DResults(**common, half_maps=_half_maps(state, common["maps"][0]), converged=state.iteration is None)


def _final_iteration(model: Path) -> int:
    """Last iteration of a finished auto-refinement: by its optimiser file, else the newest numbered file."""
    optimiser = existing(sibling(model, "optimiser"))
    if optimiser is not None:
        general = single_row(read_star(optimiser), "optimiser_general", optimiser, _WHAT)
        if "rlnCurrentIteration" in general:
            return int(general["rlnCurrentIteration"])
    return max((iteration_of(path) for path in model.parent.iterdir() if has_iteration(path)), default=0)


def _class_table(table: pd.DataFrame, data: Path) -> pd.DataFrame:
    n_classes = len(table)
    particles = rows(read_star(data), "particles", (), data, _WHAT)
    # RELION's auto-refinement of one class may leave the class out.
    numbers = particles["rlnClassNumber"] if "rlnClassNumber" in particles else pd.Series(np.ones(len(particles), dtype=np.int64))
    columns: dict[str, Any] = {"class_number": np.arange(1, n_classes + 1), "n_particles": class_counts(numbers, n_classes, data)}
    missing = np.full(n_classes, np.nan)
    columns |= {name: np.asarray(table.get(label, missing), dtype=np.float64) for name, label in _CLASS_COLUMNS.items()}
    return pd.DataFrame(columns)


def _spectra(blocks: dict[str, Block], number: int, model: Path) -> pd.DataFrame:
    table = rows(blocks, f"model_class_{number}", ("rlnSpectralIndex", "rlnResolution"), model, _WHAT)
    missing = np.full(len(table), np.nan)
    return pd.DataFrame({name: np.asarray(table.get(label, missing), dtype=np.float64) for name, label in _SPECTRA.items()})


def _half_maps(state: _Found, first: Path) -> tuple[Path, Path]:
    if state.iteration is None:
        paths = [state.model.with_name(f"run_half{half}_class001_unfil.mrc") for half in (1, 2)]
    else:
        paths = [first, first.with_name(first.name.replace("_half1_", "_half2_"))]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path}: no such file; expected the maps of both halves beside {state.model.name}")
    return paths[0], paths[1]


def fsc_history(folder: str | os.PathLike[str], most: int = 6) -> dict[int, np.ndarray]:
    """FSC between the halves over the iterations of an auto-refinement, read from its model files.

    Parameters
    ----------
    folder : path-like
        Of the run.
    most : int
        At most so many iterations, evenly spread, the first and the last among them.

    Returns
    -------
    dict
        Iteration to float64 (box/2+1,), ascending; empty for another kind of run and for iteration 0, which has no FSC.
    """
    states = {n: state for n, state in _states(Path(folder)).items() if n is not None and n > 0 and state.halves}
    numbers = sorted(number for number in states if number is not None)
    if len(numbers) > most:
        numbers = [numbers[i] for i in np.unique(np.linspace(0, len(numbers) - 1, most).round().astype(int))]
    return {n: _spectra(read_star(states[n].model), 1, states[n].model)["fsc"].to_numpy() for n in numbers}
