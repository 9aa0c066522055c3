"""Tables about a run that every report shows: settings, optics groups, scale groups, and the records of its iterations."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.iterations import read_iterations
from relion4plugin.files.run_files import rows, sibling, single_row
from relion4plugin.files.star import Block, read_star

RECORDS = "run_iterations.jsonl"
WHAT = "a file of a refinement"  # in messages on files that lack something


NOT_ESTIMATED = 999.0
ESTIMATES = frozenset({"resolution", "accuracy_rotation", "accuracy_translation"})  # are 999 where they could not be made


class RecordedRun:
    """What every run has: K classes, and the records of ``run_iterations.jsonl``, which a run of RELION lacks."""

    counts: np.ndarray  # int (K,): particles assigned
    distribution: np.ndarray  # (K,): share of the posterior weight
    class_resolution: np.ndarray  # (K,), A
    accuracy_rotations: np.ndarray  # (K,), deg
    accuracy_offsets: np.ndarray  # (K,), A
    optics_rows: tuple[tuple[str, ...], ...]
    group_rows: tuple[tuple[str, ...], ...]
    settings: tuple[tuple[str, str], ...]
    records: tuple[dict[str, Any], ...]

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return len(self.distribution)

    @property
    def order(self) -> list[int]:
        """Classes (0-based) by falling distribution."""
        return [int(k) for k in np.argsort(-self.distribution, kind="stable")]

    @property
    def iterations(self) -> list[float]:
        """Iteration numbers of the records."""
        return [float(record["iteration"]) for record in self.records]

    def values(self, key: str) -> list[float | None]:
        """Return one figure over the records; None where a record lacks it, it is not finite, or 999 says that it was not estimated."""
        found = [_finite(record.get(key)) for record in self.records]
        return [None if key in ESTIMATES and v is not None and v >= NOT_ESTIMATED else v for v in found]

    def total(self, key: str) -> float | None:
        """Sum of a figure over the records, or None when no record has it."""
        known = [v for v in self.values(key) if v is not None]
        return sum(known) if known else None


def companion(model: Path, kind: str) -> dict[str, Any]:
    """Return the general table of the optimiser or sampling file of the same iteration as a model file.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    path = sibling(model, kind)
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the {kind} file that belongs to {model.name}")
    return single_row(read_star(path), f"{kind}_general", path, WHAT)


def read_records(directory: Path, last: int) -> tuple[dict[str, Any], ...]:
    """Return the records up to the iteration shown: of a number that was run twice (after a restart) the newer one."""
    path = directory / RECORDS
    if not path.is_file():
        return ()
    numbered = {int(r["iteration"]): r for r in read_iterations(path) if "iteration" in r}
    return tuple(numbered[i] for i in sorted(numbered) if i <= last or last == max(numbered))


def optics_rows(data: dict[str, Block], particles: pd.DataFrame, path: Path) -> tuple[tuple[str, ...], ...]:
    """Name, voltage, aberration, contrast, pixel size and number of particles of each optics group; empty for RELION 3.0."""
    if "optics" not in data:  # RELION 3.0
        return ()
    optics = rows(data, "optics", (), path, WHAT)
    members = particles["rlnOpticsGroup"].value_counts() if "rlnOpticsGroup" in particles else pd.Series(dtype=int)
    labels = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize")
    found = []
    for _, group in optics.iterrows():
        number = int(group.get("rlnOpticsGroup", 1))
        name = str(group.get("rlnOpticsGroupName", f"group {number}"))
        found.append((name, *(as_text(group.get(label, "–")) for label in labels), f"{int(members.get(number, 0)):,}"))
    return tuple(found)


def group_rows(model: dict[str, Block], particles: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    """Return the scale groups of a model, largest first: name, number of particles, scale."""
    groups = model.get("model_groups")
    if groups is None:
        return ()
    table = pd.DataFrame([groups]) if isinstance(groups, dict) else groups
    members = particles["rlnGroupNumber"].value_counts() if "rlnGroupNumber" in particles else pd.Series(dtype=int)
    found = []
    for _, group in table.iterrows():
        count = int(group["rlnGroupNrParticles"]) if "rlnGroupNrParticles" in group else int(members.get(group.get("rlnGroupNumber"), 0))
        found.append((count, (str(group.get("rlnGroupName", "–")), f"{count:,}", as_text(group.get("rlnGroupScaleCorrection", "–")))))
    return tuple(row for _, row in sorted(found, key=lambda item: -item[0]))


def settings_rows(found: Mapping[str, Any], names: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return name and value of the settings found, in the order of `names` (label to name in words)."""
    return tuple((name, _setting(label, found[label])) for label, name in names.items() if label in found)


def _setting(label: str, value: Any) -> str:
    if label.startswith("rlnDo"):
        return "yes" if int(value) else "no"
    return str(int(value)) if label == "rlnRandomSeed" else as_text(value)


def as_text(value: Any) -> str:
    """Write a value of a STAR file."""
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, (int, float, np.integer, np.floating)) else str(value)


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None
