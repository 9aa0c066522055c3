"""What the report shows of a 3D run (initial model, classification, auto-refinement), read from its files."""

import math
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.files.initial_model import Verdict, read_verdict
from relion4plugin.files.model3d_star import Class3DResults, Refine3DResults, fsc_history, read_3d_results
from relion4plugin.files.run_files import existing, rows, sibling, single_row
from relion4plugin.files.star import read_star
from relion4plugin.files.view_directions import direction_counts
from relion4plugin.web.run_details import WHAT, RecordedRun, companion, group_rows, optics_rows, read_records, settings_rows

# Optimiser and sampling labels worth showing, with their names in words.
SETTING_NAMES = {
    "rlnParticleDiameter": "Mask diameter (Å)",
    "rlnSymmetryGroup": "Symmetry",
    "rlnTau2FudgeArg": "Regularisation T",
    "rlnHealpixOrderOriginal": "HEALPix order at the start",
    "rlnHealpixOrder": "HEALPix order",
    "rlnPsiStep": "In-plane angle, coarse step (°)",
    "rlnOffsetRange": "Offset range (Å)",
    "rlnOffsetStep": "Offset, coarse step (Å)",
    "rlnAdaptiveOversampleOrder": "Oversampling",
    "rlnAutoLocalSearchesHealpixOrder": "HEALPix order of local searches",
    "rlnJoinHalvesUntilThisResolution": "Halves joined up to (Å, -1: never)",
    "rlnHighresLimitExpectation": "Resolution limit of the alignment (Å, -1: none)",
    "rlnSgdInitialSubsetSize": "Initial mini-batch",
    "rlnSgdFinalSubsetSize": "Final mini-batch",
    "rlnDoCorrectCtf": "CTF correction",
    "rlnDoIgnoreCtfUntilFirstPeak": "CTF ignored until its first peak",
    "rlnDoCorrectNorm": "Normalisation correction",
    "rlnDoCorrectScale": "Scale correction",
    "rlnDoZeroMask": "Mask with zeros",
    "rlnDoSolventFlattening": "Flatten solvent",
    "rlnSolventMaskName": "Solvent mask",
    "rlnDoSolventFscCorrection": "FSC corrected for the mask",
    "rlnDoSkipAlign": "Skip alignment",
    "rlnRandomSeed": "Random seed",
}
FEW_DIRECTIONS = 4000  # below this, directions are counted on a coarser grid


class Kind(Enum):
    """What a 3D run was for."""

    INITIAL_MODEL = "3D initial model"
    CLASSIFICATION = "3D classification"
    REFINEMENT = "3D auto-refinement"


@dataclass(frozen=True, eq=False)
class Run3D(RecordedRun):
    """One iteration of a run; arrays over classes have length K, lengths are in A and angles in degrees."""

    directory: Path
    kind: Kind
    results: Class3DResults
    n_iterations: int
    finished: bool
    algorithm: str  # "VDAM" or "EM"
    symmetry: str
    healpix_order: int | None  # coarse
    oversampling: int
    tau2_fudge: float
    directions: tuple[np.ndarray | None, ...]  # per class: particles per HEALPix pixel, None where it has none
    verdict: Verdict | None
    initial_map: Path | None  # the aligned map of an initial model
    fsc_by_iteration: dict[int, np.ndarray]  # of an auto-refinement
    n_particles: int
    n_micrographs: int  # 0 where the particles do not name any
    distribution: np.ndarray
    optics_rows: tuple[tuple[str, ...], ...]
    group_rows: tuple[tuple[str, ...], ...]
    settings: tuple[tuple[str, str], ...]
    records: tuple[dict[str, Any], ...]  # of run_iterations.jsonl; empty for a run of RELION

    @property
    def iteration(self) -> int:
        """Number of the iteration shown."""
        return self.results.iteration

    @property
    def refinement(self) -> Refine3DResults | None:
        """The results of an auto-refinement, None for another kind of run."""
        return self.results if isinstance(self.results, Refine3DResults) else None

    @property
    def counts(self) -> np.ndarray:
        """Particles of each class, int (K,)."""
        return self.results.classes["n_particles"].to_numpy()

    @property
    def class_resolution(self) -> np.ndarray:
        """Estimated resolution of each class (A), float64 (K,)."""
        return self.results.classes["resolution"].to_numpy()

    @property
    def accuracy_rotations(self) -> np.ndarray:
        """Estimated accuracy of the angles of each class (deg), float64 (K,)."""
        return self.results.classes["accuracy_rotations"].to_numpy()

    @property
    def accuracy_offsets(self) -> np.ndarray:
        """Estimated accuracy of the offsets of each class (A), float64 (K,)."""
        return self.results.classes["accuracy_translations"].to_numpy()

    @property
    def frequencies(self) -> np.ndarray:
        """Spatial frequency of each shell (1/A), float64 (N/2+1,)."""
        return np.arange(self.results.box // 2 + 1) / (self.results.box * self.results.pixel_size)

    @property
    def angular_step(self) -> float | None:
        """Finest angular step (deg); None before the first iteration."""
        return None if self.healpix_order is None else 60.0 / 2 ** (self.healpix_order + self.oversampling)


def read_3d_run(directory: Path) -> Run3D:
    """Read the final files, or else the newest finished iteration, of a run directory.

    Raises
    ------
    UserError
        If there is none, or one of its files is missing or damaged.
    """
    results = read_3d_results(directory)
    model, data = read_star(results.model_star), read_star(results.data_star)
    particles = rows(data, "particles", (), results.data_star, WHAT)
    general = single_row(model, "model_general", results.model_star, WHAT)
    optimiser = _optimiser(results)
    grid = results.sampling_star
    sampling = {} if grid is None else single_row(read_star(grid), "sampling_general", grid, WHAT)
    converged = isinstance(results, Refine3DResults) and results.converged
    n_iterations = int(optimiser.get("rlnNumberOfIterations", results.iteration))
    symmetry = str(sampling.get("rlnSymmetryGroup", "C1"))
    initial = directory / "initial_model.mrc"
    return Run3D(
        directory=directory.resolve(),
        kind=_kind(results, directory, optimiser),
        results=results,
        n_iterations=n_iterations,
        finished=converged if isinstance(results, Refine3DResults) else results.iteration >= n_iterations,
        algorithm="VDAM" if int(optimiser.get("rlnDoGradientRefine", 0)) else "EM",
        symmetry=symmetry,
        healpix_order=int(sampling["rlnHealpixOrder"]) if "rlnHealpixOrder" in sampling else None,
        oversampling=int(optimiser.get("rlnAdaptiveOversampleOrder", 1)),
        tau2_fudge=float(general.get("rlnTau2FudgeFactor", math.nan)),
        directions=_directions(particles, len(results.maps), symmetry),
        verdict=read_verdict(directory),
        initial_map=initial if initial.is_file() else None,
        fsc_by_iteration=_fsc_by_iteration(results, directory),
        n_particles=len(particles),
        n_micrographs=int(particles["rlnMicrographName"].nunique()) if "rlnMicrographName" in particles else 0,
        distribution=np.nan_to_num(results.classes["distribution"].to_numpy()),
        optics_rows=optics_rows(data, particles, results.data_star),
        group_rows=group_rows(model, particles),
        settings=settings_rows(optimiser | sampling, SETTING_NAMES),
        records=read_records(directory, results.iteration),
    )


def _optimiser(results: Class3DResults) -> dict[str, Any]:
    """General table of the optimiser file; a finished auto-refinement may have been copied without its own."""
    if isinstance(results, Refine3DResults) and existing(sibling(results.model_star, "optimiser")) is None:
        numbered = sorted(results.model_star.parent.glob("run_it*_optimiser.star"))
        if numbered:
            return single_row(read_star(numbered[-1]), "optimiser_general", numbered[-1], WHAT)
    return companion(results.model_star, "optimiser")


def _kind(results: Class3DResults, directory: Path, optimiser: dict[str, Any]) -> Kind:
    """By the job's own type where it is written, else by the algorithm."""
    if isinstance(results, Refine3DResults):
        return Kind.REFINEMENT
    job = directory / "job.star"
    if job.is_file():
        name = str(single_row(read_star(job), "job", job, "a job file").get("rlnJobTypeLabel", ""))
        if name.startswith(("relion.initialmodel", "relion.class3d")):
            return Kind.INITIAL_MODEL if name.startswith("relion.initialmodel") else Kind.CLASSIFICATION
    return Kind.INITIAL_MODEL if int(optimiser.get("rlnDoGradientRefine", 0)) else Kind.CLASSIFICATION


def _directions(particles: pd.DataFrame, n_classes: int, symmetry: str) -> tuple[np.ndarray | None, ...]:
    if not {"rlnAngleRot", "rlnAngleTilt"} <= set(particles.columns):
        return (None,) * n_classes
    rot, tilt = (particles[label].to_numpy(dtype=np.float64) for label in ("rlnAngleRot", "rlnAngleTilt"))
    numbers = particles["rlnClassNumber"].to_numpy() if "rlnClassNumber" in particles else np.ones(len(particles))
    found: list[np.ndarray | None] = []
    for number in range(1, n_classes + 1):
        chosen = numbers == number
        order = 3 if chosen.sum() >= FEW_DIRECTIONS else 2
        found.append(direction_counts(rot[chosen], tilt[chosen], order=order, symmetry=symmetry) if chosen.any() else None)
    return tuple(found)


def _fsc_by_iteration(results: Class3DResults, directory: Path) -> dict[int, np.ndarray]:
    """FSC of some iterations, from the model files that are there: RELION's runs have no records."""
    return fsc_history(directory) if isinstance(results, Refine3DResults) else {}
