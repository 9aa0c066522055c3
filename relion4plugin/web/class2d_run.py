"""What the report shows of a 2D classification run, read from its files."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.model_star import read_class2d_results
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.run_files import rows, single_row
from relion4plugin.files.star import read_star
from relion4plugin.web.run_details import WHAT, RecordedRun, companion, group_rows, optics_rows, read_records, settings_rows

# Optimiser and sampling labels worth showing, with their names in words.
SETTING_NAMES = {
    "rlnParticleDiameter": "Mask diameter (Å)",
    "rlnTau2FudgeArg": "Regularisation T",
    "rlnPsiStep": "In-plane angle, coarse step (°)",
    "rlnOffsetRange": "Offset range (Å)",
    "rlnOffsetStep": "Offset, coarse step (Å)",
    "rlnAdaptiveOversampleOrder": "Oversampling",
    "rlnAdaptiveOversampleFraction": "Adaptive fraction",
    "rlnHighresLimitExpectation": "Resolution limit of the alignment (Å, -1: none)",
    "rlnSgdInitialSubsetSize": "Initial mini-batch",
    "rlnSgdFinalSubsetSize": "Final mini-batch",
    "rlnSgdClassInactivityThreshold": "Inactivity threshold",
    "rlnDoCorrectCtf": "CTF correction",
    "rlnDoIgnoreCtfUntilFirstPeak": "CTF ignored until its first peak",
    "rlnDoCorrectNorm": "Normalisation correction",
    "rlnDoCorrectScale": "Scale correction",
    "rlnDoZeroMask": "Mask with zeros",
    "rlnDoSolventFlattening": "Flatten solvent",
    "rlnDoCenterClasses": "Centre classes",
    "rlnDoSkipAlign": "Skip alignment",
    "rlnRandomSeed": "Random seed",
}


@dataclass(frozen=True, eq=False)
class Class2DRun(RecordedRun):
    """One iteration of a run; arrays over classes have length K, lengths are in A and angles in degrees."""

    directory: Path
    iteration: int
    n_iterations: int
    algorithm: str  # "VDAM" or "EM"
    images: np.ndarray  # float32 (K, N, N)
    counts: np.ndarray  # int (K,): particles assigned
    distribution: np.ndarray
    class_resolution: np.ndarray
    accuracy_rotations: np.ndarray
    accuracy_offsets: np.ndarray
    pixel_size: float
    resolution: float
    tau2_fudge: float
    n_particles: int
    n_micrographs: int  # 0 where the particles do not name any
    optics_rows: tuple[tuple[str, ...], ...]
    group_rows: tuple[tuple[str, ...], ...]
    settings: tuple[tuple[str, str], ...]
    records: tuple[dict[str, Any], ...]  # of run_iterations.jsonl; empty for a run of RELION

    @property
    def box_size(self) -> int:
        """Edge of the class averages, px."""
        return int(self.images.shape[-1])

    @property
    def finished(self) -> bool:
        """Whether the last iteration is shown."""
        return self.iteration >= self.n_iterations


def read_run(directory: Path) -> Class2DRun:
    """Read the newest finished iteration of a run directory.

    Raises
    ------
    UserError
        If there is none, or one of its files is missing or damaged.
    """
    results = read_class2d_results(directory)
    model, data = read_star(results.model_star), read_star(results.data_star)
    optimiser = companion(results.model_star, "optimiser")
    settings = optimiser if results.iteration == 0 else optimiser | companion(results.model_star, "sampling")  # none for iteration 0
    particles = rows(data, "particles", (), results.data_star, WHAT)
    general, table = single_row(model, "model_general", results.model_star, WHAT), results.classes
    stack, _ = read_mrc(results.classes_path)
    slices = table["slice_index"].to_numpy()
    if stack.ndim != 3 or slices.max() >= len(stack):
        raise UserError(f"{results.classes_path}: holds {len(stack)} images but the model names {slices.max() + 1}; expected one per class")
    return Class2DRun(
        directory=directory.resolve(),
        iteration=results.iteration,
        n_iterations=int(optimiser.get("rlnNumberOfIterations", results.iteration)),
        algorithm="VDAM" if int(optimiser.get("rlnDoGradientRefine", 0)) else "EM",
        images=stack[slices],
        counts=table["n_particles"].to_numpy(),
        distribution=np.nan_to_num(table["distribution"].to_numpy()),
        class_resolution=table["resolution"].to_numpy(),
        accuracy_rotations=table["accuracy_rotations"].to_numpy(),
        accuracy_offsets=table["accuracy_translations"].to_numpy(),
        pixel_size=results.pixel_size,
        resolution=results.current_resolution,
        tau2_fudge=float(general.get("rlnTau2FudgeFactor", math.nan)),
        n_particles=len(particles),
        n_micrographs=int(particles["rlnMicrographName"].nunique()) if "rlnMicrographName" in particles else 0,
        optics_rows=optics_rows(data, particles, results.data_star),
        group_rows=group_rows(model, particles),
        settings=settings_rows(settings, SETTING_NAMES),
        records=read_records(directory, results.iteration),
    )
