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
CLASS_LABELS = ("rlnClassDistribution", "rlnAccuracyRotations", "rlnAccuracyTranslationsAngst", "rlnEstimatedResolution")


@dataclass(frozen=True)
class Class2DResult:
    """Final state of a run.

    Attributes
    ----------
    row_of : dict
        Object id of a particle to its row in the arrays.
    class_number : int array (n,)
        1-based class, which is also the slice of `averages`.
    transforms : array (n, 4, 4)
        Scipion's 2D alignment matrices.
    items : dict
        STAR label to values (n,), for the particles.
    sizes : int array (K,)
        Particles of each class.
    classes : dict
        STAR label to values (K,).
    averages : Path
        MRC stack of K class averages.
    """

    row_of: dict[int, int]
    class_number: NDArray[np.int64]
    transforms: NDArray[np.float64]
    items: dict[str, list[Any]]
    sizes: NDArray[np.int64]
    classes: dict[str, list[float]]
    averages: Path


def read_result(folder: Path, iteration: int, pixel_size: float) -> Class2DResult:
    """Read ``run_itNNN_data.star`` and ``run_itNNN_model.star`` of a run.

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
        Files are missing or the particles lost their ``rlnImageId``.
    """
    from relion4plugin.files.star import read_star

    root = folder / f"run_it{iteration:03d}"
    for name in ("data.star", "model.star", "classes.mrcs"):
        if not Path(f"{root}_{name}").is_file():
            raise UserError(f"{root}_{name} is missing; use Restart to repeat the classification")
    particles = read_star(f"{root}_data.star")["particles"]
    for label in ("rlnImageId", "rlnClassNumber"):
        if label not in particles:
            raise UserError(f"{root}_data.star has no column {label}; use Restart to repeat the classification")
    table = read_star(f"{root}_model.star")["model_classes"]
    numbers = np.asarray(particles["rlnClassNumber"], dtype=np.int64)
    origins = np.stack([np.asarray(particles[label], dtype=np.float64) for label in ("rlnOriginXAngst", "rlnOriginYAngst")], axis=1)
    n_classes = len(table)
    if numbers.min() < 0 or numbers.max() > n_classes:
        raise UserError(f"{root}_data.star names class {numbers.max()} but the model has {n_classes}; use Restart to repeat the run")
    return Class2DResult(
        row_of={int(item): row for row, item in enumerate(particles["rlnImageId"])},
        class_number=numbers,
        transforms=alignment_matrices(np.asarray(particles["rlnAnglePsi"], dtype=np.float64), origins / pixel_size),
        items={label: [kind(v) for v in particles[label]] for label, kind in ITEM_LABELS.items() if label in particles},
        sizes=np.bincount(numbers, minlength=n_classes + 1)[1:],
        classes={label: [float(v) for v in table[label]] for label in CLASS_LABELS if label in table},
        averages=Path(f"{root}_classes.mrcs"),
    )
