"""The results of a 3D run, read from its RELION files for registration as Scipion sets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relion4plugin.scipion.particle_results import CLASS_SCORES, ParticleResults, read_particle_results


@dataclass(frozen=True, eq=False)
class Result3D:
    """One state of a run: an iteration, or the final files of an auto-refinement.

    Attributes
    ----------
    particles : ParticleResults
        With projection alignments.
    sizes : int array (K,)
        Particles of each class.
    scores : dict
        STAR label to values (K,).
    maps : tuple of Path
        One map per class.
    half_maps : tuple of Path
        Maps of the two halves of an auto-refinement, empty for other runs.
    fsc : tuple of arrays
        Spatial frequencies (1/A) and FSC between the halves per shell; empty arrays for other runs.
    pixel_size : float
        Of the maps, A.
    """

    particles: ParticleResults
    sizes: NDArray[np.int64]
    scores: dict[str, list[float]]
    maps: tuple[Path, ...]
    half_maps: tuple[Path, ...]
    fsc: tuple[NDArray[np.float64], NDArray[np.float64]]
    pixel_size: float


def read_result3d(folder: Path, pixel_size: float, iteration: int | None = None) -> Result3D:
    """Read an iteration of a run, or its final or newest files.

    Parameters
    ----------
    folder : Path
        Where the run wrote its files.
    pixel_size : float
        Of the particles, A.
    iteration : int, optional
        Iteration to read; the final files of an auto-refinement, else the newest iteration, if not given.

    Raises
    ------
    UserError
        Files are missing or damaged, or the particles lost their ``rlnImageId``.
    """
    from relion4plugin.files.model3d_star import Refine3DResults, read_3d_results

    run = read_3d_results(folder, iteration)
    halves = run if isinstance(run, Refine3DResults) else None
    empty = np.zeros(0)
    frequencies = np.arange(run.box // 2 + 1) / (run.box * run.pixel_size)  # those of the file are rounded
    return Result3D(
        particles=read_particle_results(run.data_star, pixel_size, projection=True),
        sizes=run.classes["n_particles"].to_numpy(),
        scores={label: [float(v) for v in run.classes[column]] for label, column in CLASS_SCORES.items()},
        maps=run.maps,
        half_maps=halves.half_maps if halves is not None else (),
        fsc=(frequencies, halves.fsc) if halves is not None else (empty, empty),
        pixel_size=run.pixel_size,
    )
