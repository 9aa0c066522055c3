"""The maps that a model file of a 3D run names."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star


@dataclass(frozen=True)
class ModelMap:
    """One class of a 3D run: number (from 1), file, share of posterior weight, resolution in A and A per voxel (0 if unknown)."""

    number: int
    path: Path
    distribution: float
    resolution: float
    pixel_size: float


def read_model_maps(model: Path) -> list[ModelMap]:
    """Read which maps belong to a run_itNNN_model.star.

    Raises
    ------
    UserError
        If it is not the model file of a 3D run, or a map is missing.
    """
    blocks = read_star(model)
    table, general = blocks.get("model_classes"), blocks.get("model_general")
    if isinstance(table, dict):
        table = pd.DataFrame([table])
    needed = ("rlnReferenceImage", "rlnClassDistribution", "rlnEstimatedResolution")
    if not isinstance(table, pd.DataFrame) or not len(table):
        raise UserError(f"{model}: no table data_model_classes; expected a run_itNNN_model.star of a 3D run, or give a map")
    for label in needed:
        if label not in table:
            raise UserError(f"{model}: data_model_classes has no column {label}; expected the model file of a 3D run")
    if str(table["rlnReferenceImage"].iloc[0]).count("@"):
        raise UserError(f"{model}: its classes are images, not maps; give the model file of a 3D run")
    row = general.iloc[0].to_dict() if isinstance(general, pd.DataFrame) and len(general) else general
    pixel_size = float(row.get("rlnPixelSize", 0.0)) if isinstance(row, dict) else 0.0
    values = table[list(needed)].itertuples(index=False)
    return [
        ModelMap(number, _locate(model, str(name)), float(share), float(resolution), pixel_size)
        for number, (name, share, resolution) in enumerate(values, start=1)
    ]


def _locate(model: Path, name: str) -> Path:
    """Names in a model are relative to the project folder; a copied run has its maps beside the model."""
    for candidate in (model.parent / Path(name).name, Path(name)):
        if candidate.is_file():
            return candidate
    raise UserError(f"{model}: map {name} not found in the current folder nor beside the model; start in the project folder")
