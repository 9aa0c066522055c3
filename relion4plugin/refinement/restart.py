"""Continue a run from the files of one of its iterations."""

from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.refinement.output import map_names, model_stems
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.saved_state import SavedState, read_moments, read_state, restartable
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model

_SUFFIX = "_optimiser.star"


def load_run(optimiser: Path, settings: RefinementSettings, particles: SortedParticles, grid: PaddedGrid) -> RunState:
    """Read everything that an iteration hands to the next.

    Raises
    ------
    UserError
        If files are missing, or belong to other particles or settings, or the run has converged.
    """
    table = read_star(optimiser).get("optimiser_general")
    if not isinstance(table, dict) or "rlnCurrentIteration" not in table or not optimiser.name.endswith(_SUFFIX):
        raise UserError(
            f"{optimiser}: expected the data_optimiser_general of a run_itNNN_optimiser.star; name the file of the last iteration"
        )
    if int(table.get("rlnHasConverged", 0)):
        raise UserError(f"{optimiser}: this refinement has converged, nothing is left to continue; start a new one from its map")
    stem = str(optimiser)[: -len(_SUFFIX)]
    state = read_state(Path(f"{stem}_state.npz"))
    _check_kind(optimiser, settings, state)
    n_classes, n_particles = len(state.models[0]["pdf_class"]), len(state.poses.class_number)
    references = [_references(part, settings.dimension, n_classes) for part in model_stems(stem, settings)]
    box = references[0].shape[-1]
    if (n_particles, n_classes, box) != (len(particles.table), settings.n_classes, grid.box):
        raise UserError(
            f"{optimiser}: has {n_particles} particles and {n_classes} classes of {box} px, this run has {len(particles.table)} "
            f"particles, {settings.n_classes} classes and {grid.box} px; continue with the input it was started with"
        )
    models = [Model(references=maps, **values) for maps, values in zip(references, state.models, strict=True)]
    if settings.dimension == 2:
        _load_images_of_moments(stem, models[0], grid)
    elif state.has_moments:
        _load_moments(optimiser, Path(f"{stem}_moments.npz"), models[0])
    return RunState(int(table["rlnCurrentIteration"]), models, state.poses, state.sampling, state.changes, state.half)


def _check_kind(optimiser: Path, settings: RefinementSettings, state: SavedState) -> None:
    """Refuse the files of another kind of run."""

    def kind(dimension: int, n_models: int) -> str:
        return "an auto-refinement" if n_models > 1 else f"a {dimension}D classification or initial model"

    found = kind(2 if state.sampling is None else 3, len(state.models))
    wanted = kind(settings.dimension, 2 if settings.auto_refine else 1)
    if found != wanted:
        raise UserError(f"{optimiser}: of {found}, expected that of {wanted}; continue it with the kind of job that it was started with")


def _references(stem: str, dimension: int, n_classes: int) -> np.ndarray:
    """Read the references of a model, float32 (K, N, N) or (K, N, N, N)."""
    if dimension == 2:
        return _images(f"{stem}_classes.mrcs")
    return np.stack([_images(name) for name in map_names(stem, n_classes)])


def _images(path: str) -> np.ndarray:
    return np.ascontiguousarray(read_mrc(path)[0], dtype=np.float32)


def _load_images_of_moments(stem: str, model: Model, grid: PaddedGrid) -> None:
    if Path(f"{stem}_1moment.mrcs").is_file():
        shape = (2, model.n_classes, grid.size, grid.size // 2 + 1)
        model.moment1 = _images(f"{stem}_1moment.mrcs").view(np.complex64).reshape(shape)
        model.moment2 = np.ascontiguousarray(_images(f"{stem}_2moment.mrcs").view(np.complex64).real).reshape(shape[1:])


def _load_moments(optimiser: Path, path: Path, model: Model) -> None:
    if not path.is_file():
        others = restartable(path.parent)
        advice = f"continue from {others[-1].name}" if others else "start the run again"
        raise UserError(f"{optimiser}: {path.name} is gone, only the last two written iterations keep their gradient moments; {advice}")
    model.moment1, model.moment2 = read_moments(path)
