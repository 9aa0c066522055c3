"""What the report shows of a 2D classification run, read from its files."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.iterations import read_iterations
from relion4plugin.files.model_star import Class2DResults, read_class2d_results
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import Block, read_star

RECORDS = "run_iterations.jsonl"
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
class Class2DRun:
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
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.images)

    @property
    def box_size(self) -> int:
        """Edge of the class averages, px."""
        return int(self.images.shape[-1])

    @property
    def finished(self) -> bool:
        """Whether the last iteration is shown."""
        return self.iteration >= self.n_iterations

    @property
    def order(self) -> list[int]:
        """Classes (0-based) by falling distribution."""
        return [int(k) for k in np.argsort(-self.distribution, kind="stable")]

    @property
    def iterations(self) -> list[float]:
        """Iteration numbers of the records."""
        return [float(record["iteration"]) for record in self.records]

    def values(self, key: str) -> list[float | None]:
        """Return one figure over the records; None where a record lacks it or it is not finite."""
        return [_finite(record.get(key)) for record in self.records]

    def total(self, key: str) -> float | None:
        """Sum of a figure over the records, or None when no record has it."""
        known = [v for v in self.values(key) if v is not None]
        return sum(known) if known else None


def read_run(directory: Path) -> Class2DRun:
    """Read the newest finished iteration of a run directory.

    Raises
    ------
    UserError
        If there is none, or one of its files is missing or damaged.
    """
    results = read_class2d_results(directory)
    model, data = read_star(results.model_star), read_star(results.data_star)
    optimiser = _companion(results, "optimiser")
    particles = _frame(data, "particles", results.data_star)
    general, table = _values(model, "model_general", results.model_star), results.classes
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
        optics_rows=_optics_rows(data, particles, results.data_star),
        group_rows=_group_rows(model, particles),
        settings=_settings(optimiser, results),
        records=_records(directory, results.iteration),
    )


def _companion(results: Class2DResults, kind: str) -> dict[str, Any]:
    """General table of the optimiser or sampling file of the same iteration."""
    path = results.model_star.with_name(f"{results.model_star.name.partition('_model.star')[0]}_{kind}.star")
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the {kind} file that belongs to {results.model_star.name}")
    return _values(read_star(path), f"{kind}_general", path)


def _values(blocks: dict[str, Block], name: str, path: Path) -> dict[str, Any]:
    block = blocks.get(name)
    if isinstance(block, pd.DataFrame) and len(block) == 1:
        return {str(key): value for key, value in block.iloc[0].items()}
    if not isinstance(block, dict):
        raise UserError(f"{path}: no table data_{name}; expected a file of a 2D classification")
    return block


def _frame(blocks: dict[str, Block], name: str, path: Path) -> pd.DataFrame:
    block = blocks.get(name)
    if isinstance(block, dict):
        return pd.DataFrame([block])
    if block is None:
        raise UserError(f"{path}: no table data_{name}; expected a file of a 2D classification")
    return block


def _records(directory: Path, last: int) -> tuple[dict[str, Any], ...]:
    """Records up to the iteration shown: of a number that was run twice (after a restart) the newer one."""
    path = directory / RECORDS
    if not path.is_file():
        return ()
    numbered = {int(r["iteration"]): r for r in read_iterations(path) if "iteration" in r}
    return tuple(numbered[i] for i in sorted(numbered) if i <= last or last == max(numbered))


def _optics_rows(data: dict[str, Block], particles: pd.DataFrame, path: Path) -> tuple[tuple[str, ...], ...]:
    if "optics" not in data:  # RELION 3.0
        return ()
    optics = _frame(data, "optics", path)
    members = particles["rlnOpticsGroup"].value_counts() if "rlnOpticsGroup" in particles else pd.Series(dtype=int)
    labels = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize")
    rows = []
    for _, group in optics.iterrows():
        number = int(group.get("rlnOpticsGroup", 1))
        name = str(group.get("rlnOpticsGroupName", f"group {number}"))
        rows.append((name, *(_text(group.get(label, "–")) for label in labels), f"{int(members.get(number, 0)):,}"))
    return tuple(rows)


def _group_rows(model: dict[str, Block], particles: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Scale groups of the model, largest first, with their members."""
    groups = model.get("model_groups")
    if groups is None:
        return ()
    table = pd.DataFrame([groups]) if isinstance(groups, dict) else groups
    members = particles["rlnGroupNumber"].value_counts() if "rlnGroupNumber" in particles else pd.Series(dtype=int)
    rows = []
    for _, group in table.iterrows():
        count = int(group["rlnGroupNrParticles"]) if "rlnGroupNrParticles" in group else int(members.get(group.get("rlnGroupNumber"), 0))
        rows.append((count, (str(group.get("rlnGroupName", "–")), f"{count:,}", _text(group.get("rlnGroupScaleCorrection", "–")))))
    return tuple(row for _, row in sorted(rows, key=lambda item: -item[0]))


def _settings(optimiser: dict[str, Any], results: Class2DResults) -> tuple[tuple[str, str], ...]:
    found = dict(optimiser)
    if results.iteration > 0:  # there is no sampling file for iteration 0
        found |= _companion(results, "sampling")
    return tuple((name, _setting(label, found[label])) for label, name in SETTING_NAMES.items() if label in found)


def _setting(label: str, value: Any) -> str:
    if label.startswith("rlnDo"):
        return "yes" if int(value) else "no"
    return str(int(value)) if label == "rlnRandomSeed" else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, (int, float, np.integer, np.floating)) else str(value)


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
