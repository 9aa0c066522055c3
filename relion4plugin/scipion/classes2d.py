"""The results of a 2D classification, read from its RELION files for registration as Scipion sets."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relion4plugin.errors import UserError
from relion4plugin.scipion.geometry import alignment_matrices

ITEM_LABELS = {
    "rlnNormCorrection": float,
    "rlnLogLikeliContribution": float,
    "rlnMaxValueProbDistribution": float,
    "rlnNrOfSignificantSamples": int,
}
# Scipion attributes of a class, named as the RELION labels that they hold, and the columns of the table of classes.
CLASS_SCORES = {
    "rlnClassDistribution": "distribution",
    "rlnAccuracyRotations": "accuracy_rotations",
    "rlnAccuracyTranslationsAngst": "accuracy_translations",
    "rlnEstimatedResolution": "resolution",
}


@dataclass(frozen=True)
class Class2DResult:
    """One iteration of a run.

    Attributes
    ----------
    row_of : dict
        Object id of a particle to its row in the arrays.
    class_number : int array (n,)
        1-based class of each particle; the same number is the class's id and its slice in `averages`.
    transforms : array (n, 4, 4)
        Scipion's 2D alignment matrices.
    items : dict
        STAR label to values (n,), for the particles.
    sizes : int array (K,)
        Particles of each class.
    scores : dict
        STAR label to values (K,).
    averages : Path
        MRC stack of K class averages.
    """

    row_of: dict[int, int]
    class_number: NDArray[np.int64]
    transforms: NDArray[np.float64]
    items: dict[str, list[Any]]
    sizes: NDArray[np.int64]
    scores: dict[str, list[float]]
    averages: Path


def read_result(folder: Path, iteration: int, pixel_size: float) -> Class2DResult:
    """Read the files ``run_itNNN_*`` of an iteration.

    Parameters
    ----------
    folder : Path
        Where the run wrote its files.
    iteration : int
        Iteration to read.
    pixel_size : float
        Of the particles, A.

    Raises
    ------
    UserError
        Files are missing or damaged, or the particles lost their ``rlnImageId``.
    """
    from relion4plugin.files.model_star import read_class2d_results
    from relion4plugin.files.star import read_star

    run = read_class2d_results(folder, iteration)
    particles = read_star(run.data_star)["particles"]
    if "rlnImageId" not in particles:
        raise UserError(f"{run.data_star} has no column rlnImageId; use Restart to repeat the classification")
    origins = np.stack([np.asarray(particles[label], dtype=np.float64) for label in ("rlnOriginXAngst", "rlnOriginYAngst")], axis=1)
    if (run.classes["slice_index"].to_numpy() != np.arange(len(run.classes))).any():
        raise UserError(f"{run.model_star} numbers its classes otherwise than their stack; use Restart to repeat the classification")
    return Class2DResult(
        row_of={int(item): row for row, item in enumerate(particles["rlnImageId"])},
        class_number=np.asarray(particles["rlnClassNumber"], dtype=np.int64),
        transforms=alignment_matrices(np.asarray(particles["rlnAnglePsi"], dtype=np.float64), origins / pixel_size),
        items={label: [kind(v) for v in particles[label]] for label, kind in ITEM_LABELS.items() if label in particles},
        sizes=run.classes["n_particles"].to_numpy(),
        scores={label: [float(v) for v in run.classes[column]] for label, column in CLASS_SCORES.items()},
        averages=run.classes_path,
    )
