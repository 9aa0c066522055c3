"""An initial model refined by two independent halves of its particles, for as long as it takes to settle.

Most models settle in a few iterations. One whose gradient descent stopped on the way to the structure is told by halves that hardly
outgrow the resolution they share; EM then still finds the way, slowly, while the halves agree a little further each time.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from relion4plugin.files.iterations import read_iterations
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import ParticleSet, read_particles
from relion4plugin.imaging.filters import resolution_at
from relion4plugin.progress import Progress
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.output import RefinementResult
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.start import MIN_PER_HALF

REFINE_FOLDER = "halves"
LOWPASS_DIAMETERS = 6.0  # particle diameters per resolution at which halves part
SIGNIFICANTS = 200
HALF_FSC = 0.143
SETTLED_SHARE = 0.5  # of the resolution at which halves part: a map that they resolve to it, or finer, has settled
EXTENSION = 3  # times the iterations asked for, at most, of a map that has not
STRIDE = 2  # iterations between decisions to go on: single ones go up and down
LEAST_GAIN = 0.1  # shells, by which the sum of the halves' FSC has to grow in a stride


@dataclass(frozen=True, eq=False)
class RefinedHalves:
    """The refined map and how far its halves agree.

    Attributes
    ----------
    map : float32 (N, N, N)
        Mean of both halves, each filtered by their correlation.
    fsc : float64 (N//2+1,)
        Between the halves.
    resolution : float
        A, at FSC 0.143.
    lowpass : float
        A, from where on the halves are independent.
    """

    map: np.ndarray
    fsc: np.ndarray
    resolution: float
    lowpass: float


def parting_resolution(particle_diameter: float) -> float:
    """Return the resolution (A) up to which the halves of a particle of this diameter (A) share their map."""
    return particle_diameter / LOWPASS_DIAMETERS


def refine_by_halves(
    settings: RefinementSettings, particles: ParticleSet, result: RefinementResult, class_number: int, folder: Path, iterations: int,
    progress: Progress,
) -> RefinedHalves:
    """Refine one class of a run by EM with two independent halves that share only its low resolution.

    Parameters
    ----------
    settings : RefinementSettings
        Of the VDAM run.
    particles : ParticleSet
        Of that run.
    result : RefinementResult
        Of that run.
    class_number : int
        From 1.
    folder : Path
        Of that run; the files come into a folder inside it.
    iterations : int
        At least; up to three times as many while an unsettled map improves.
    progress : Progress
    """
    lowpass = parting_resolution(settings.particle_diameter)
    mine = particles.select(_rows_of_class(particles, read_particles(result.data_star), class_number))
    halves = replace(
        settings, algorithm=Algorithm.EM, auto_refine=True, auto_sampling=False, n_classes=1, n_iterations=EXTENSION * iterations,
        tau2_fudge=1.0, reference=str(result.maps[class_number - 1]), initial_lowpass=lowpass, low_resol_join=lowpass, healpix_order=2,
        auto_local_healpix_order=settings.max_healpix_order + 1, auto_ignore_angles=True, max_significants=SIGNIFICANTS,
        firstiter_cc=False, non_negative=False, center_classes=False,
    )  # fmt: skip
    out = folder / REFINE_FOLDER
    final = refine(halves, mine, out, progress, stop_after=iterations)
    if not is_settled(read_curves(out)[-1], mine.pixel_size, lowpass):
        final = _refine_further(halves, mine, out, progress, final)
    fsc = read_curves(out)[-1]
    # once converged, one map holds both halves, and theirs are not filtered
    volumes = [read_mrc(path)[0] for path in (final.maps if final.finished else final.half_maps)]
    return RefinedHalves(np.mean(volumes, axis=0, dtype=np.float32), fsc, half_resolution(fsc, mine.pixel_size), lowpass)


def half_resolution(fsc: np.ndarray, pixel_size: float) -> float:
    """Return the resolution (A) to which halves of an even box agree, from their FSC (N//2+1,) and the pixel size (A)."""
    return resolution_at(fsc, HALF_FSC, pixel_size, 2 * (len(fsc) - 1))


def is_settled(fsc: np.ndarray, pixel_size: float, lowpass: float) -> bool:
    """Tell whether halves resolve clearly more than they share (`lowpass`, A)."""
    return half_resolution(fsc, pixel_size) <= SETTLED_SHARE * lowpass


def _refine_further(
    settings: RefinementSettings, particles: ParticleSet, out: Path, progress: Progress, final: RefinementResult
) -> RefinementResult:
    """Go on with a refinement while it gains, has not converged, and has iterations left."""
    gains = True
    while gains and not final.finished and final.iteration < settings.n_iterations:
        stop = final.iteration + STRIDE
        final = refine(settings, particles, out, progress, resume=final.optimiser_star, stop_after=stop)
        gains = still_gains(read_curves(out))
    return final


def still_gains(curves: np.ndarray) -> bool:
    """Tell whether the last iterations have brought halves to a better agreement than all before them.

    Parameters
    ----------
    curves : float (n, N//2+1)
        FSC of each iteration.
    """
    agreed = curves.sum(axis=1)
    return bool(agreed[-STRIDE:].max() >= agreed[:-STRIDE].max() + LEAST_GAIN)


def read_curves(folder: Path) -> np.ndarray:
    """Return the FSC of each iteration of a refinement, float64 (n, N//2+1)."""
    return np.array([record["fsc"] for record in read_iterations(folder / "run_iterations.jsonl")])


def _rows_of_class(particles: ParticleSet, given: ParticleSet, class_number: int) -> np.ndarray:
    """Rows of `particles` whose image is assigned to a class in `given`, or all where too few are."""
    assigned = given.table["rlnImageName"][given.column("rlnClassNumber").astype(int) == class_number]
    rows = np.flatnonzero(particles.table["rlnImageName"].isin(set(assigned)).to_numpy())
    return rows if len(rows) >= 2 * MIN_PER_HALF else np.arange(len(particles))
