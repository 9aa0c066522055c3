"""The results of a 2D classification, read from its RELION files for registration as Scipion sets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relion4plugin.errors import UserError
from relion4plugin.scipion.particle_results import CLASS_SCORES, ParticleResults, read_particle_results


@dataclass(frozen=True, eq=False)
class Class2DResult:
    """One iteration of a run.

    Attributes
    ----------
    particles : ParticleResults
        The class of a particle is also the class's slice in `averages`.
    sizes : int array (K,)
        Particles of each class.
    scores : dict
        STAR label to values (K,).
    averages : Path
        MRC stack of K class averages.
    """

    particles: ParticleResults
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

    run = read_class2d_results(folder, iteration)
    if (run.classes["slice_index"].to_numpy() != np.arange(len(run.classes))).any():
        raise UserError(f"{run.model_star} numbers its classes otherwise than their stack; use Restart to repeat the classification")
    return Class2DResult(
        particles=read_particle_results(run.data_star, pixel_size, projection=False),
        sizes=run.classes["n_particles"].to_numpy(),
        scores={label: [float(v) for v in run.classes[column]] for label, column in CLASS_SCORES.items()},
        averages=run.classes_path,
    )
