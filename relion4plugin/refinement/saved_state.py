"""What a run keeps at full precision beside its STAR files, so that a continued run equals an uninterrupted one.

``run_itNNN_state.npz`` holds models (without references), poses, sampling and changes; ``run_itNNN_moments.npz`` the
moments of a 3D gradient descent: only the voxels that were ever reached, of the last two written iterations.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path
from relion4plugin.refinement.autosampling import SamplingState
from relion4plugin.refinement.state import Changes, Model, Poses

KEPT_MOMENTS = 2  # written iterations
_IN_OTHER_FILES = ("references", "moment1", "moment2")
_MODELS = ("model_", "half2_")
_MOMENTS = re.compile(r"_it(\d{3,})_moments\.npz$")


@dataclass(frozen=True)
class SavedState:
    """Content of a state file; `sampling` and `changes` are None in 2D, `half` where there are no gold-standard halves."""

    models: list[dict[str, Any]]  # values of `Model` without references and moments
    poses: Poses
    sampling: SamplingState | None
    changes: Changes | None
    half: np.ndarray | None  # int8 (n,), 0 or 1
    has_moments: bool  # in a moments file


def save_state(
    path: Path, models: Sequence[Model], poses: Poses, sampling: SamplingState | None, changes: Changes, half: np.ndarray | None
) -> None:
    """Write a state file; `sampling` and `changes` only in 3D, where `sampling` is given."""
    values: dict[str, Any] = {f"poses_{key}": value for key, value in vars(poses).items()}
    for prefix, model in zip(_MODELS, models, strict=False):
        values |= {prefix + key: value for key, value in vars(model).items() if key not in _IN_OTHER_FILES}
    if sampling is not None:
        values |= {f"sampling_{key}": value for key, value in vars(sampling).items()}
        values |= {f"changes_{key}": value for key, value in vars(changes).items()}
        values["has_moments"] = models[0].moment1 is not None
    if half is not None:
        values["half"] = half
    _save(path, values)


def read_state(path: Path) -> SavedState:
    """Read a state file.

    Raises
    ------
    UserError
        If it is missing.
    """
    if not path.is_file():
        optimiser = path.name.replace("_state.npz", "_optimiser.star")
        raise UserError(f"{path}: not there, expected beside {optimiser}; only runs of this program can be continued")
    with np.load(path, allow_pickle=False) as stored:
        values = {key: stored[key] for key in stored.files}
    poses = Poses(**{f.name: values[f"poses_{f.name}"] for f in fields(Poses)})
    models = [part for part in (_part(values, prefix) for prefix in _MODELS) if part]
    sampling, changes = _part(values, "sampling_"), _part(values, "changes_")
    return SavedState(
        models,
        poses,
        SamplingState(**sampling) if sampling else None,
        Changes(**changes) if changes else None,
        values.get("half"),
        bool(values.get("has_moments", False)),
    )


def _part(values: dict[str, np.ndarray], prefix: str) -> dict[str, Any]:
    """Return values of one object, numbers as numbers."""
    part = {key[len(prefix) :]: value for key, value in values.items() if key.startswith(prefix)}
    return {key: value.item() if value.ndim == 0 else value for key, value in part.items()}


def save_moments(path: Path, model: Model) -> None:
    """Write the moments (K, M, M, M//2+1) of a model, leaving out voxels where they still have their first values, 0 and 1."""
    assert model.moment1 is not None and model.moment2 is not None
    shape = model.moment2.shape
    reached = np.zeros(shape[1:], bool)
    for k in range(len(model.moment2)):
        reached |= model.moment2[k] != 1
        for first in model.moment1[:, k]:
            reached |= first != 0
    inside = {"first": model.moment1[..., reached], "second": model.moment2[..., reached]}
    _save(path, {"shape": np.array(shape), "reached": np.packbits(reached), **inside})


def read_moments(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read moments: complex64 (2, K, M, M, M//2+1) and float32 (K, M, M, M//2+1)."""
    with np.load(path, allow_pickle=False) as stored:
        shape = tuple(int(n) for n in stored["shape"])
        count = int(np.prod(shape[1:]))
        reached = np.unpackbits(stored["reached"], count=count).view(bool).reshape(shape[1:])
        first, second = np.zeros((2, *shape), np.complex64), np.ones(shape, np.float32)
        first[..., reached], second[..., reached] = stored["first"], stored["second"]
    return first, second


def remove_old_moments(out_dir: Path, iteration: int) -> None:
    """Delete the moments of all but the last two written iterations up to `iteration`."""
    numbered = sorted((number, path) for number, path in _moment_files(out_dir) if number <= iteration)
    for _, path in numbered[:-KEPT_MOMENTS]:
        path.unlink()


def restartable(out_dir: Path) -> list[Path]:
    """Return the optimiser files of iterations whose moments are there, the last one last."""
    optimisers = [path.with_name(path.name.replace("_moments.npz", "_optimiser.star")) for _, path in sorted(_moment_files(out_dir))]
    return [path for path in optimisers if path.is_file()]


def _moment_files(out_dir: Path) -> Iterator[tuple[int, Path]]:
    for path in out_dir.glob("run_it*_moments.npz"):
        match = _MOMENTS.search(path.name)
        if match:
            yield int(match[1]), path


def _save(path: Path, values: dict[str, Any]) -> None:
    with atomic_path(path) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **values)
