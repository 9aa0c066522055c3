"""Continue a run from the files of one of its iterations."""

from dataclasses import fields
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model, Poses


def load(optimiser: Path, settings: RefinementSettings, particles: SortedParticles, grid: PaddedGrid) -> tuple[int, Model, Poses]:
    """Read iteration number, model and poses.

    Raises
    ------
    UserError
        If files are missing, or belong to other particles or settings.
    """
    table = read_star(optimiser).get("optimiser_general")
    if not isinstance(table, dict) or "rlnCurrentIteration" not in table:
        raise UserError(
            f"{optimiser}: expected the data_optimiser_general of a run_itNNN_optimiser.star; name the file of the last iteration"
        )
    stem = str(optimiser)[: -len("_optimiser.star")]
    state = Path(f"{stem}_state.npz")
    if not state.is_file():
        raise UserError(f"{state}: not there, expected beside {optimiser.name}; only runs of this program can be continued")
    with np.load(state, allow_pickle=False) as values:
        poses = Poses(**{f.name: values[f"poses_{f.name}"] for f in fields(Poses)})
        model_values = {key[6:]: values[key] for key in values.files if key.startswith("model_")}
    references = _images(f"{stem}_classes.mrcs")
    if len(poses.psi) != len(particles.table) or references.shape != (settings.n_classes, grid.box, grid.box):
        raise UserError(
            f"{optimiser}: has {len(poses.psi)} particles and {len(references)} classes of {references.shape[-1]} px, this run has "
            f"{len(particles.table)} particles, {settings.n_classes} classes and {grid.box} px; continue with the input it was started with"
        )
    scalars = {key: value.item() if value.ndim == 0 else value for key, value in model_values.items()}
    model = Model(references=references, **scalars)
    if Path(f"{stem}_1moment.mrcs").is_file():
        shape = (2, model.n_classes, grid.size, grid.size // 2 + 1)
        model.moment1 = _images(f"{stem}_1moment.mrcs").view(np.complex64).reshape(shape)
        model.moment2 = np.ascontiguousarray(_images(f"{stem}_2moment.mrcs").view(np.complex64).real).reshape(shape[1:])
    return int(table["rlnCurrentIteration"]), model, poses


def _images(path: str) -> np.ndarray:
    images, _ = read_mrc(path)
    return np.ascontiguousarray(images if images.ndim == 3 else images[None], dtype=np.float32)
