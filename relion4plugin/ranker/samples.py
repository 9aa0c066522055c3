"""The training set in memory and in one file: images, features, target scores and what is known about each class."""

import dataclasses
import hashlib
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path

FORMAT_VERSION = 1
IMAGE_SIZE = 64
N_FEATURES = 24
_EXTRA = "extra_"
_COLUMNS = ("features", "score", "job", "reference", "structure")


@dataclass(frozen=True)
class Samples:
    """Labelled class averages, one row per class.

    Attributes
    ----------
    images
        float32 ``(n, 64, 64)``: particle-sized crops, particles bright, grey values as in the class averages.
    features
        float32 ``(n, 24)``, normalised, not clipped.
    score
        float32 ``(n,)``: target, 0 (useless) to 1 (the best classes of an excellent data set).
    job, reference, structure
        Text ``(n,)``: the 2D classification, the image of the class (``000012@run_classes.mrcs``) and the macromolecule.
    extra
        Further columns ``(n,)`` by name, such as ``category``, ``particles``, ``purity``.
    """

    images: np.ndarray
    features: np.ndarray
    score: np.ndarray
    job: np.ndarray
    reference: np.ndarray
    structure: np.ndarray
    extra: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.score)
        shapes = {"images": (n, IMAGE_SIZE, IMAGE_SIZE), "features": (n, N_FEATURES), **dict.fromkeys(("score", *_COLUMNS[2:]), (n,))}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")
        for name, column in self.extra.items():
            if column.shape != (n,):
                raise ValueError(f"extra column {name} has shape {column.shape}, expected {(n,)}")

    def __len__(self) -> int:
        return len(self.score)

    def select(self, rows: np.ndarray) -> "Samples":
        """Return some of the rows, given as a mask ``(n,)`` or as indices."""
        rows = np.asarray(rows)
        values = {f.name: getattr(self, f.name)[rows] for f in dataclasses.fields(self) if f.name != "extra"}
        return Samples(**values, extra={name: column[rows] for name, column in self.extra.items()})

    def digest(self) -> str:
        """Return a SHA-256 of images, features and scores: the identity of a training set in a model card."""
        sha = hashlib.sha256()
        for values in (self.images, self.features, self.score):
            sha.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
        return sha.hexdigest()


def concatenate(parts: Sequence[Samples]) -> Samples:
    """Join training sets; an extra column that a part lacks is NaN there, or empty if it is text.

    Raises
    ------
    UserError
        If there is nothing to join.
    """
    if not parts:
        raise UserError("no training samples: expected at least one labelled 2D classification")
    values = {f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in dataclasses.fields(Samples) if f.name != "extra"}
    names = list(dict.fromkeys(name for p in parts for name in p.extra))
    return Samples(**values, extra={name: _join_column(parts, name) for name in names})


def _join_column(parts: Sequence[Samples], name: str) -> np.ndarray:
    known = [p.extra[name] for p in parts if name in p.extra]
    blank: str | float = "" if any(column.dtype.kind in "US" for column in known) else np.nan
    return np.concatenate([p.extra[name] if name in p.extra else np.full(len(p), blank) for p in parts])


def write_samples(path: str | os.PathLike[str], samples: Samples, compact: bool = False) -> None:
    """Write a training set as one compressed NumPy archive, whole or not at all.

    Parameters
    ----------
    path
        File to write (.npz).
    samples
        The training set.
    compact
        Keep images as 8-bit numbers between the extremes of each image: a quarter of the size, with an error of at most
        1/510 of the image's range.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    arrays: dict[str, Any] = {name: _storable(getattr(samples, name)) for name in _COLUMNS}
    arrays.update({_EXTRA + name: _storable(column) for name, column in samples.extra.items()})
    if compact:
        low = samples.images.min(axis=(1, 2)) if len(samples) else np.zeros(0, np.float32)
        step = (samples.images.max(axis=(1, 2)) - low) / 255 if len(samples) else np.zeros(0, np.float32)
        safe = np.where(step > 0, step, 1)[:, None, None]
        levels = np.rint((samples.images - low[:, None, None]) / safe)
        arrays.update(images=levels.astype(np.uint8), image_low=low.astype(np.float32), image_step=step.astype(np.float32))
    else:
        arrays["images"] = samples.images.astype(np.float32)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, format_version=np.array(FORMAT_VERSION), **arrays)


def _storable(values: np.ndarray) -> np.ndarray:
    return values.astype(str) if values.dtype.kind == "O" else values


def read_samples(path: str | os.PathLike[str]) -> Samples:
    """Read a training set written by `write_samples`; nothing in the file is executed.

    Raises
    ------
    UserError
        If the file is missing, is no such archive, or was written by a newer version.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"training set {path}: no such file; expected samples in a .npz archive")
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise ValueError("one array, not an archive")
        with loaded as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"training set {path}: not an archive of samples ({error}); make it with train-ranker or copy it again") from error
    return _from_arrays(arrays, path)


def _from_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> Samples:
    missing = [name for name in ("format_version", "images", *_COLUMNS) if name not in arrays]
    if missing:
        raise UserError(f"training set {path}: no array '{missing[0]}'; expected samples written by train-ranker")
    version = int(arrays["format_version"])
    if version > FORMAT_VERSION:
        raise UserError(f"training set {path}: format {version} is newer than this program's {FORMAT_VERSION}: update it")
    images = arrays["images"].astype(np.float32)
    if "image_low" in arrays:
        images = images * arrays["image_step"][:, None, None] + arrays["image_low"][:, None, None]
    extra = {name[len(_EXTRA) :]: values for name, values in arrays.items() if name.startswith(_EXTRA)}
    try:
        return Samples(
            images=images,
            features=arrays["features"].astype(np.float32),
            score=arrays["score"].astype(np.float32),
            job=arrays["job"],
            reference=arrays["reference"],
            structure=arrays["structure"],
            extra=extra,
        )
    except ValueError as error:
        raise UserError(f"training set {path}: {error}; make it again") from error
