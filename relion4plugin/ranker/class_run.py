"""A finished 2D classification as the ranker sees it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import StackReader
from relion4plugin.files.particles import ParticleSet, read_particles
from relion4plugin.files.run_files import class_counts, existing, project_file, rows, sibling, single_row
from relion4plugin.files.star import Block, read_star
from relion4plugin.imaging.filters import NO_RESOLUTION

SMALLEST_BOX = 16  # px
UNKNOWN_ACCURACY = 999.0
_WHAT = "a file of a 2D classification"


@dataclass(frozen=True, eq=False)
class ClassRun:
    """One iteration of a 2D classification with K classes of N x N px and n particles.

    Attributes
    ----------
    optimiser_path, model_path, data_path : Path
        The files that were read.
    job_name : str
        Name of the job's folder.
    classes : float32 (K, N, N)
        Class averages, particles bright.
    pixel_size : float
        A, of the class averages.
    particle_diameter : float
        A.
    current_size : int
        Image size in px up to which frequencies were used.
    pdf : float64 (K,)
        Share of the posterior weight.
    resolution : float64 (K,)
        Estimated resolution, A; 999 where even the first shell is below the noise.
    accuracy_rotation, accuracy_translation : float64 (K,)
        deg and A; 999 where the run did not estimate them.
    ssnr : float64 (K, N/2+1) or None
        Signal-to-noise ratio per shell.
    sigma2_noise : float64 (N/2+1,)
        Noise power per shell of the first optics group.
    ctf_until_first_peak : bool
        Whether the CTF was ignored up to its first peak.
    reference_names : str (K,)
        Images of the classes as the model file names them.
    class_number : int64 (n,)
        From 1; 0 for a particle without a class.
    psi : float64 (n,)
        In-plane angle, deg.
    origins : float64 (n, 2)
        Shift (x, y) that centres each particle, A.
    data : ParticleSet
        The particles.
    optimiser_tables, model_tables : mapping
        All tables of both files, for writing them back.
    """

    optimiser_path: Path
    model_path: Path
    data_path: Path
    job_name: str
    classes: np.ndarray
    pixel_size: float
    particle_diameter: float
    current_size: int
    pdf: np.ndarray
    resolution: np.ndarray
    accuracy_rotation: np.ndarray
    accuracy_translation: np.ndarray
    ssnr: np.ndarray | None
    sigma2_noise: np.ndarray
    ctf_until_first_peak: bool
    reference_names: np.ndarray
    class_number: np.ndarray
    psi: np.ndarray
    origins: np.ndarray
    data: ParticleSet
    optimiser_tables: Mapping[str, Block]
    model_tables: Mapping[str, Block]

    @property
    def particles(self) -> np.ndarray:
        """Particles of each class as the sum of their posterior weights, float64 (K,)."""
        return self.pdf * len(self.data)


def read_class_run(optimiser_star: str | os.PathLike[str]) -> ClassRun:
    """Read a finished 2D classification of RELION (3.1 to 5.0) or of this package.

    Parameters
    ----------
    optimiser_star : path-like
        run_itNNN_optimiser.star; model and particles lie beside it or where it says, relative to the current folder.

    Returns
    -------
    ClassRun

    Raises
    ------
    UserError
        If a file, table or column is missing, the run is not a 2D classification or did not correct for the CTF, or the class
        averages are smaller than 16 px or hold values that are not numbers.
    """
    path = Path(optimiser_star)
    optimiser_tables = read_star(path)
    optimiser = single_row(optimiser_tables, "optimiser_general", path, "the optimiser file of a 2D classification")
    if not _number(optimiser, "rlnDoCorrectCtf", path):
        raise UserError(f"{path}: the run did not correct for the CTF; the ranker needs class averages corrected for it: run 2D with --ctf")
    model_path = _file_of_run(path, optimiser, "model", "rlnModelStarFile")
    data_path = _file_of_run(path, optimiser, "data", "rlnExperimentalDataStarFile")
    model_tables = read_star(model_path)
    model = _model_values(model_tables, model_path)
    data = read_particles(data_path)
    class_number = data.column("rlnClassNumber").astype(np.int64)
    class_counts(pd.Series(class_number), len(model["classes"]), data_path)
    return ClassRun(
        optimiser_path=path,
        model_path=model_path,
        data_path=data_path,
        job_name=path.resolve().parent.name,
        particle_diameter=_number(optimiser, "rlnParticleDiameter", path),
        ctf_until_first_peak=bool(_number(optimiser, "rlnDoIgnoreCtfUntilFirstPeak", path, 0)),
        class_number=class_number,
        psi=data.column("rlnAnglePsi"),
        origins=np.stack([data.column("rlnOriginXAngst"), data.column("rlnOriginYAngst")], axis=-1),
        data=data,
        optimiser_tables=optimiser_tables,
        model_tables=model_tables,
        **model,
    )


def _model_values(tables: dict[str, Block], path: Path) -> dict[str, Any]:
    """Fields of `ClassRun` that come from the model file and the stack of class averages."""
    general = single_row(tables, "model_general", path, _WHAT)
    dimension = _number(general, "rlnReferenceDimensionality", path, 2)
    if dimension != 2:
        raise UserError(f"{path}: a run with {dimension:g}D references; expected the optimiser file of a 2D classification")
    table = rows(tables, "model_classes", ("rlnReferenceImage", "rlnClassDistribution"), path, _WHAT)
    pixel_size = _number(general, "rlnPixelSize", path)
    classes = _class_averages(table["rlnReferenceImage"], path)
    ssnr = _ssnr(tables, len(table))
    accuracy_rotation, accuracy_translation = _accuracies(table, pixel_size, path)
    return {
        "classes": classes,
        "pixel_size": pixel_size,
        "current_size": int(_number(general, "rlnCurrentImageSize", path)),
        "pdf": _column(table, "rlnClassDistribution", path),
        "resolution": _resolutions(table, ssnr, classes.shape[-1], pixel_size, path),
        "accuracy_rotation": accuracy_rotation,
        "accuracy_translation": accuracy_translation,
        "ssnr": ssnr,
        "sigma2_noise": _noise(tables, classes.shape[-1], path),
        "reference_names": table["rlnReferenceImage"].astype(str).to_numpy(dtype=str),
    }


def _number(values: Mapping[str, Any], label: str, path: Path, default: float | None = None) -> float:
    if label not in values and default is not None:
        return default
    try:
        return float(values[label])
    except KeyError:
        raise UserError(f"{path}: no {label} in this file; expected {_WHAT}") from None
    except ValueError:
        raise UserError(f"{path}: {label} is '{values[label]}', expected a number; correct the file") from None


def _column(table: pd.DataFrame, label: str, path: Path, missing: float | None = None) -> np.ndarray:
    """Return a column of the classes; `missing` stands for values written as nan."""
    values = pd.to_numeric(table[label], errors="coerce").to_numpy(dtype=np.float64)
    wrong = np.isnan(values)
    if missing is not None and table[label].dtype.kind in "iuf":
        return np.where(wrong, missing, values)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(f"{path}: row {row + 1} has {label} '{table[label].iloc[row]}', expected a number; correct the file")
    return values


def _file_of_run(optimiser: Path, values: Mapping[str, Any], kind: str, label: str) -> Path:
    """Find the model or particles: beside the optimiser file, else where it says."""
    beside = existing(sibling(optimiser, kind))
    if beside is not None:
        return beside
    name = str(values.get(label, "None"))
    if name == "None":
        raise UserError(f"{sibling(optimiser, kind)}: no such file; expected the {kind} file of {optimiser.name} beside it")
    return project_file(name, optimiser, f"{kind} file")


def _class_averages(names: pd.Series, model: Path) -> np.ndarray:
    """Read the images of the classes in their order, float32 (K, N, N)."""
    parts = [str(name).rpartition("@") for name in names]
    if not all(number.isdigit() for number, _, _ in parts):
        raise UserError(f"{model}: rlnReferenceImage '{names.iloc[0]}' is not an image in a stack; give a 2D classification")
    stacks, files = pd.factorize(np.array([file for _, _, file in parts], dtype=object))
    reader = StackReader([project_file(str(file), model, "class averages") for file in files])
    classes = reader.read(stacks, np.array([int(number) - 1 for number, _, _ in parts]))
    reader.close()
    box = classes.shape[-1]
    if box < SMALLEST_BOX or box % 2:
        raise UserError(f"{model}: class averages of {box} px; expected an even number of at least {SMALLEST_BOX} px")
    if not np.isfinite(classes).all():
        bad = int(np.flatnonzero(~np.isfinite(classes).all(axis=(1, 2)))[0])
        raise UserError(f"{model}: class average {bad + 1} holds values that are not numbers; run the classification again")
    return classes


def _accuracies(table: pd.DataFrame, pixel_size: float, model: Path) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of rotations (deg) and translations (A); RELION 3.0 wrote the latter in px."""
    scales = {"rlnAccuracyTranslationsAngst": 1.0, "rlnAccuracyTranslations": pixel_size}
    label = next((label for label in scales if label in table), None)
    if "rlnAccuracyRotations" not in table or label is None:
        missing = "rlnAccuracyRotations" if label is not None else "rlnAccuracyTranslationsAngst"
        raise UserError(f"{model}: data_model_classes has no column {missing}; expected {_WHAT}")
    unknown = UNKNOWN_ACCURACY
    rotation = _column(table, "rlnAccuracyRotations", model, unknown)
    translation = _column(table, label, model, unknown)
    return rotation, np.where(translation < unknown, translation * scales[label], unknown)


def _ssnr(tables: Mapping[str, Block], n_classes: int) -> np.ndarray | None:
    """Signal-to-noise ratio of all classes (K, shells), where the file has it."""
    found = [tables.get(f"model_class_{k + 1}") for k in range(n_classes)]
    columns = [block["rlnSsnrMap"] for block in found if isinstance(block, pd.DataFrame) and "rlnSsnrMap" in block]
    return np.stack([column.to_numpy(dtype=np.float64) for column in columns]) if len(columns) == n_classes else None


def resolution_from_ssnr(ssnr: np.ndarray, box: int, pixel_size: float) -> np.ndarray:
    """Resolution of the last shell before the SSNR falls below one.

    Parameters
    ----------
    ssnr : float (K, shells)
    box : int
        px
    pixel_size : float
        A

    Returns
    -------
    float64 (K,)
        A; 999 where the first shell is below one, twice the pixel size where none is.
    """
    below = ssnr[:, 1:] < 1
    last = below.argmax(axis=1)
    shell_resolution = np.divide(box * pixel_size, last, out=np.full(len(ssnr), NO_RESOLUTION), where=last > 0)
    return np.where(below.any(axis=1), shell_resolution, 2 * pixel_size)


def _resolutions(table: pd.DataFrame, ssnr: np.ndarray | None, box: int, pixel_size: float, model: Path) -> np.ndarray:
    label = "rlnEstimatedResolution"
    # RELION writes inf for a class without any resolved shell, 0 or nan where it does not know
    written = np.minimum(_column(table, label, model, 0.0), NO_RESOLUTION) if label in table else np.zeros(len(table))
    if (written > 0).all():
        return written
    if ssnr is None:
        raise UserError(f"{model}: neither {label} nor rlnSsnrMap tells the resolution of every class; expected {_WHAT}")
    return np.where(written > 0, written, resolution_from_ssnr(ssnr, box, pixel_size))


def _noise(tables: dict[str, Block], box: int, model: Path) -> np.ndarray:
    """Noise power per shell of the first optics group (RELION 3.1: of the first micrograph group)."""
    name = next((name for name in ("model_optics_group_1", "model_group_1") if name in tables), "model_optics_group_1")
    values = _column(rows(tables, name, ("rlnSigma2Noise",), model, _WHAT), "rlnSigma2Noise", model)
    if len(values) < box // 2 + 1:
        raise UserError(f"{model}: data_{name} has {len(values)} shells, expected {box // 2 + 1} for class averages of {box} px")
    return values[: box // 2 + 1]
