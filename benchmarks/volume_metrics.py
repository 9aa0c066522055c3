"""Quality of a map and of particle poses against a known structure: resolution after alignment, angular errors, junk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evaluation import matching_rows, particle_table

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.geometry.euler import angular_distance, euler_to_matrix
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.filters import fsc, resolution_at
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.postprocessing.align_maps import Agreement, agreement

HALF_FSC = 0.143
MASK_EDGE = 5.0  # px
FLIP_Z = np.diag([1.0, 1.0, -1.0])  # the other hand of a map, and of the frame of an image that shows the same projection
CLOSE = (10.0, 15.0)  # degrees
ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")


@dataclass(frozen=True)
class KnownStructure:
    """What a map is compared with."""

    map: Path
    symmetry: str = "C1"
    diameter: float = 0.0  # A, of a soft spherical mask on both maps; 0: no mask


def compare_map(found: Path, known: KnownStructure) -> Agreement:
    """Bring a map, or its other hand, onto the known one.

    Raises
    ------
    UserError
        If the pixel sizes differ or a map is empty.
    """
    volume, pixel_size = read_mrc(found)
    truth, expected = read_mrc(known.map)
    if abs(pixel_size - expected) > 1e-3 * expected:
        raise UserError(f"{found}: {pixel_size:g} A per voxel, expected the {expected:g} A of {known.map}; compare maps of one run")
    mask = _sphere(len(truth), known.diameter, expected) if known.diameter else None
    return agreement(volume, truth, expected, mirror=True, symmetry=known.symmetry, mask=mask)


def _sphere(box: int, diameter: float, pixel_size: float) -> np.ndarray:
    return soft_sphere(box, min(diameter / 2 / pixel_size, box / 2 - MASK_EDGE), MASK_EDGE)


def map_figures(found: Agreement) -> dict[str, Any]:
    """Figures of one comparison of maps."""
    return {
        "resolution": found.resolution,
        "mirrored": found.alignment.mirrored,
        "correlation": found.alignment.correlation,
        "fsc": np.round(found.fsc, 3),
    }


def half_map_resolution(half1: Path, half2: Path, diameter: float) -> tuple[float, np.ndarray]:
    """Resolution (A) at FSC 0.143 of two half maps inside the same soft sphere for all programs; and the curve."""
    (a, pixel_size), (b, _) = read_mrc(half1), read_mrc(half2)
    mask = _sphere(len(a), diameter, pixel_size)
    curve = np.asarray(fsc(a * mask, b * mask))
    return resolution_at(curve, HALF_FSC, pixel_size, len(a)), curve


def pose_errors(
    found: np.ndarray, truth: np.ndarray, symmetry: str, rotation: np.ndarray | None = None, mirrored: bool = False
) -> np.ndarray:
    """Angle between found and true orientations, the nearest of all that the symmetry makes equal.

    Parameters
    ----------
    found, truth : numpy.ndarray
        Rotation matrices, float (n, 3, 3).
    symmetry : str
        Point group of the true map.
    rotation : numpy.ndarray, optional
        Matrix A by which the (mirrored) found map was brought onto the true one; none: the maps are in one frame.
    mirrored : bool
        Whether the found map was of the other hand.

    Returns
    -------
    numpy.ndarray
        float64 (n,), degrees.
    """
    if mirrored:
        # a map mirrored along z shows the same images when the image frame's z is turned round too
        found = FLIP_Z @ found @ FLIP_Z
    if rotation is not None:
        found = found @ rotation.T
    return np.min([angular_distance(found, truth @ operator) for operator in point_group(symmetry)], axis=0)


def matrices(table: pd.DataFrame) -> np.ndarray:
    """Rotation matrices float64 (n, 3, 3) of a particle table.

    Raises
    ------
    UserError
        If it has no angles.
    """
    missing = [label for label in ANGLES if label not in table]
    if missing:
        raise UserError(f"the particle table lacks {', '.join(missing)}; give the particles of a finished 3D run")
    return np.asarray(euler_to_matrix(*(table[label].to_numpy(dtype=np.float64) for label in ANGLES)))


def pose_figures(
    data_star: Path, truth_star: Path, symmetry: str, found: Agreement | None, class_number: int | None = None
) -> dict[str, Any]:
    """Agreement of a run's poses with the truth, and where its junk went.

    Parameters
    ----------
    data_star, truth_star : Path
        Particles of the run; particles with true angles and, in simulations, rlnSimulatedIsParticle.
    symmetry : str
        Point group of the true map.
    found : Agreement or None
        How the run's map was brought onto the true one; None: they are in one frame.
    class_number : int, optional
        Class of that map (from 1); none: all.

    Returns
    -------
    dict
        pose_median (deg), pose_within_10, pose_within_15 (shares), of the true particles of the class; true_in_class (share of the
        true particles that are in it), class_purity (share of true particles among its members), junk_pmax and true_pmax (means).
    """
    truth = particle_table(truth_star)
    data = particle_table(data_star)
    data = data.iloc[matching_rows(data, truth, data_star)].reset_index(drop=True)
    genuine = truth["rlnSimulatedIsParticle"].to_numpy(dtype=int) > 0 if "rlnSimulatedIsParticle" in truth else np.ones(len(truth), bool)
    inside = np.ones(len(truth), bool) if class_number is None else data["rlnClassNumber"].to_numpy(dtype=int) == class_number
    judged = genuine & inside
    figures: dict[str, Any] = {
        "true_in_class": float(judged.sum() / max(genuine.sum(), 1)),
        "class_purity": float(judged.sum() / max(inside.sum(), 1)),
    }
    if "rlnMaxValueProbDistribution" in data and not genuine.all():
        pmax = data["rlnMaxValueProbDistribution"].to_numpy(dtype=float)
        figures |= {"junk_pmax": float(pmax[~genuine].mean()), "true_pmax": float(pmax[genuine].mean()) if genuine.any() else None}
    if judged.any():
        place = (None, False) if found is None else (found.alignment.rotation, found.alignment.mirrored)
        errors = pose_errors(matrices(data)[judged], matrices(truth)[judged], symmetry, *place)
        figures |= {"pose_median": float(np.median(errors))} | {f"pose_within_{limit:g}": float((errors < limit).mean()) for limit in CLOSE}
    return figures
