"""A set of particles written as a RELION 3.1 STAR file, in bulk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.progress import Progress
from relion4plugin.scipion.geometry import alignment_poses, mirrored, projection_poses
from relion4plugin.scipion.images import mrc_image_names, read_images
from relion4plugin.scipion.optics import OpticsValues, optics_table, optics_values
from relion4plugin.scipion.sets import SetColumns, read_columns

if TYPE_CHECKING:
    from pandas import DataFrame

CTF_COLUMNS = {
    "_ctfModel._defocusU": "rlnDefocusU",
    "_ctfModel._defocusV": "rlnDefocusV",
    "_ctfModel._defocusAngle": "rlnDefocusAngle",
    "_ctfModel._phaseShift": "rlnPhaseShift",
}
COORDINATE_COLUMNS = {"_coordinate._x": "rlnCoordinateX", "_coordinate._y": "rlnCoordinateY"}
# Results of earlier runs and what is written from Scipion's own attributes; every other _rln* attribute is carried over as it is.
NOT_CARRIED = frozenset(
    {
        "rlnImageName",
        "rlnImageId",
        "rlnMicrographName",
        "rlnCoordinateX",
        "rlnCoordinateY",
        "rlnDefocusU",
        "rlnDefocusV",
        "rlnDefocusAngle",
        "rlnPhaseShift",
        "rlnAngleRot",
        "rlnAngleTilt",
        "rlnAnglePsi",
        "rlnOriginXAngst",
        "rlnOriginYAngst",
        "rlnClassNumber",
        "rlnGroupNumber",
        "rlnNormCorrection",
        "rlnLogLikeliContribution",
        "rlnMaxValueProbDistribution",
        "rlnNrOfSignificantSamples",
        "rlnOpticsGroup",
    }
)


@dataclass(frozen=True)
class SetInfo:
    """What the conversion must know of a set beyond its items' columns.

    Attributes
    ----------
    path, prefix : str
        SQLite file and table prefix.
    optics : OpticsValues
        Microscope, pixel size and box, and the optics groups if an importer kept them.
    alignment : str
        ``none``, ``2D`` or ``projection``.
    """

    path: str
    prefix: str
    optics: OpticsValues
    alignment: str


def set_info(particles: Any) -> SetInfo:
    """Describe a SetOfParticles (without iterating it).

    Raises
    ------
    UserError
        The set does not know its box size, as happens when its images are not there.
    """
    dimensions = particles.getDimensions()
    if not dimensions:
        raise UserError(f"{particles.getFileName()}: the box size is unknown, its images cannot be read; repeat the run that made it")
    return SetInfo(
        path=particles.getFileName(),
        prefix=particles.getPrefix() or "",
        optics=optics_values(particles, dimensions[0]),
        alignment="2D" if particles.hasAlignment2D() else "projection" if particles.hasAlignmentProj() else "none",
    )


def write_particles_star(info: SetInfo, star: Path, progress: Progress, need_poses: bool = False) -> int:
    """Write the enabled particles of a set to a STAR file with optics, CTF, poses and ``rlnImageId``.

    Images that are not MRC are converted to stacks beside the STAR file.

    Parameters
    ----------
    info : SetInfo
        The set.
    star : Path
        File to write; paths in it are relative to the current directory, as Scipion runs in the project folder.
    progress : Progress
        Receives the conversion of images.
    need_poses : bool
        Whether the poses will be used as they are (no alignment search).

    Returns
    -------
    int
        Number of particles.

    Raises
    ------
    UserError
        No enabled particles, missing values, or poses that RELION cannot express.
    """
    from relion4plugin.files.star import write_star

    items = read_columns(info.path, prefix=info.prefix)
    if not len(items):
        raise UserError(f"{info.path}: the input set has no enabled particles; choose another input")
    write_star(
        star,
        {"optics": optics_table(info.optics, items), "particles": _particle_table(info, items, star.parent, progress, need_poses)},
    )
    return len(items)


def _particle_table(info: SetInfo, items: SetColumns, folder: Path, progress: Progress, need_poses: bool) -> "DataFrame":
    import pandas as pd

    columns: dict[str, Any] = {}
    for label, name in (COORDINATE_COLUMNS | CTF_COLUMNS).items():
        if label in items.columns and any(value is not None for value in items.columns[label]):
            columns[name] = _numbers(items, label, info.path)
    columns["rlnImageName"] = mrc_image_names(items.get("_index"), items.get("_filename"), folder, info.optics.pixel_size, progress)
    columns["rlnImageId"] = np.asarray(items.ids)
    micrographs = _micrograph_names(items)
    if micrographs is not None:
        columns["rlnMicrographName"] = micrographs
    columns["rlnOpticsGroup"] = np.asarray(items.get("_rlnOpticsGroup", 1), dtype=int)
    columns |= _poses(info, items, need_poses)
    for label, values in items.columns.items():
        name = label[1:]
        if label.startswith("_rln") and name not in NOT_CARRIED and all(value is not None for value in values):
            columns[name] = list(values)
    return pd.DataFrame(columns)


def _numbers(items: SetColumns, label: str, path: str) -> np.ndarray:
    values = items.columns[label]
    missing = [item for item, value in zip(items.ids, values, strict=True) if value is None]
    if missing:
        name = label.rsplit(".", 1)[-1].lstrip("_")
        raise UserError(f"{path}: {len(missing)} particles lack {name} (first: item {missing[0]}); remove them or estimate their CTF")
    return np.asarray(values, dtype=np.float64)


def _micrograph_names(items: SetColumns) -> Sequence[str] | None:
    for label in ("_coordinate._micName", "_micName", "_rlnMicrographName"):
        values = items.columns.get(label)
        if values is not None and all(values):
            return [str(value) for value in values]
    ids = items.columns.get("_micId")
    if ids is not None and all(value is not None for value in ids):
        return [f"mic_{value:06d}" for value in ids]
    return None


def _poses(info: SetInfo, items: SetColumns, need_poses: bool) -> dict[str, np.ndarray]:
    texts = items.columns.get("_transform._matrix")
    if info.alignment == "none" or texts is None or not all(texts):
        if need_poses:
            raise UserError(f"{info.path}: no alignment to keep; set 'Perform image alignment?' to Yes or choose aligned particles")
        return {}
    matrices = np.asarray(json.loads(f"[{','.join(texts)}]"), dtype=np.float64)
    pixel = info.optics.pixel_size or 1.0
    if info.alignment == "projection":
        angles, origins = projection_poses(matrices)
        named = {"rlnAngleRot": angles[:, 0], "rlnAngleTilt": angles[:, 1], "rlnAnglePsi": angles[:, 2]}
    elif mirrored(matrices).any():
        if need_poses:
            raise UserError(f"{info.path}: the alignment mirrors some particles, which RELION's poses cannot express; align them again")
        return {}
    else:
        psi, origins = alignment_poses(matrices)
        named = {"rlnAnglePsi": psi}
    return named | {"rlnOriginXAngst": origins[:, 0] * pixel, "rlnOriginYAngst": origins[:, 1] * pixel}


def write_averages(averages: Any, stack: Path) -> None:
    """Write a SetOfAverages as one MRC stack, in the order of its ids.

    Raises
    ------
    UserError
        An image cannot be read.
    """
    from relion4plugin.files.mrc import write_stack

    items = read_columns(averages.getFileName(), ("_index", "_filename"), averages.getPrefix() or "")
    images = read_images([(index or 1, name) for index, name in zip(items.get("_index"), items.get("_filename"), strict=True)])
    write_stack(stack, images, averages.getSamplingRate())
