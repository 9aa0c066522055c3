"""What a run found about each particle, read from its data file for registration as a Scipion set."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from relion4plugin.errors import UserError
from relion4plugin.scipion.geometry import alignment_matrices, projection_matrices

if TYPE_CHECKING:
    from pandas import DataFrame

    from relion4plugin.files.particles import ParticleSet

ITEM_LABELS: Mapping[str, type] = {
    "rlnNormCorrection": float,
    "rlnLogLikeliContribution": float,
    "rlnMaxValueProbDistribution": float,
    "rlnNrOfSignificantSamples": int,
    "rlnRandomSubset": int,
}
# Scipion attributes of a class, named as the RELION labels that they hold, and the columns of the table of classes.
CLASS_SCORES = {
    "rlnClassDistribution": "distribution",
    "rlnAccuracyRotations": "accuracy_rotations",
    "rlnAccuracyTranslationsAngst": "accuracy_translations",
    "rlnEstimatedResolution": "resolution",
}


@dataclass(frozen=True, eq=False)
class ParticleResults:
    """Results of n particles.

    Attributes
    ----------
    row_of : dict
        Object id of a particle to its row in the arrays.
    class_number : int array (n,)
        1-based class of each particle, 0 for none; the same number is the class's id.
    transforms : array (n, 4, 4)
        Scipion's alignment matrices: 2D, or of projections.
    items : dict
        STAR label to values (n,).
    """

    row_of: dict[int, int]
    class_number: NDArray[np.int64]
    transforms: NDArray[np.float64]
    items: dict[str, list[Any]]


def results_of_rows(data: "ParticleSet", ids: NDArray[np.int64], projection: bool) -> ParticleResults:
    """Return what the rows of a particle file say about the particles of a set.

    Parameters
    ----------
    data : ParticleSet
        With poses.
    ids : int array (n,)
        Object id of each row.
    projection : bool
        Whether the poses are projection directions or in-plane alignments.

    Raises
    ------
    UserError
        If a column is missing.
    """
    origins = np.stack([data.column(f"rlnOrigin{axis}Angst") for axis in "XY"], axis=1) / data.pixel_size
    angles = np.stack([data.column(label) for label in _angle_labels(projection)], axis=1)
    return _results(data.table, ids, data.column("rlnClassNumber", 1.0), _transforms(angles, origins, projection))


def read_particle_results(data_star: Path, pixel_size: float, projection: bool) -> ParticleResults:
    """Read a data file that was made from a Scipion set.

    Parameters
    ----------
    data_star : Path
        With rlnImageId, the object ids.
    pixel_size : float
        Of the particles, A.
    projection : bool
        Whether the poses are projection directions (rot, tilt, psi) or in-plane alignments (psi).

    Raises
    ------
    UserError
        If the file is damaged or the particles lost their ``rlnImageId`` or poses.
    """
    from relion4plugin.files.run_files import rows
    from relion4plugin.files.star import read_star

    angles = _angle_labels(projection)
    particles = rows(read_star(data_star), "particles", ("rlnOriginXAngst", "rlnOriginYAngst", *angles), data_star, "results of a run")
    if "rlnImageId" not in particles:
        raise UserError(f"{data_star} has no column rlnImageId; use Restart to repeat the run")
    origins = _columns(particles, ("rlnOriginXAngst", "rlnOriginYAngst")) / pixel_size
    numbers = particles["rlnClassNumber"] if "rlnClassNumber" in particles else np.ones(len(particles))
    return _results(particles, particles["rlnImageId"], numbers, _transforms(_columns(particles, angles), origins, projection))


def _results(table: "DataFrame", ids: Iterable[int], numbers: ArrayLike, transforms: NDArray[np.float64]) -> ParticleResults:
    return ParticleResults(
        row_of={int(item): row for row, item in enumerate(ids)},
        class_number=np.asarray(numbers, dtype=np.int64),
        transforms=transforms,
        items={label: [kind(value) for value in table[label]] for label, kind in ITEM_LABELS.items() if label in table},
    )


def _angle_labels(projection: bool) -> tuple[str, ...]:
    return ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi") if projection else ("rlnAnglePsi",)


def _columns(particles: "DataFrame", labels: tuple[str, ...]) -> NDArray[np.float64]:
    return np.stack([np.asarray(particles[label], dtype=np.float64) for label in labels], axis=1)


def _transforms(angles: NDArray[np.float64], origins_px: NDArray[np.float64], projection: bool) -> NDArray[np.float64]:
    if not projection:
        return alignment_matrices(angles[:, 0], origins_px)
    return projection_matrices(angles, np.pad(origins_px, ((0, 0), (0, 1))))
