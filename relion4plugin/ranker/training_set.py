"""Labelled samples from whatever holds them: this program's archives, EMPIAR-10812's tables, a training dictionary, job folders."""

from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.progress import Progress
from relion4plugin.ranker.labelled_jobs import read_labelled_jobs
from relion4plugin.ranker.merged_table import job_of, read_merged_table
from relion4plugin.ranker.samples import Samples, concatenate, read_samples

_DICTIONARY = {"images": "x", "features": "xp", "score": "y"}
_EXPECTED = "expected samples (.npz), a table of normalised features (.star), a training dictionary (.pt) or a folder of labelled jobs"


def read_training_set(paths: list[Path], progress: Progress, image_root: Path | None = None) -> tuple[Samples, tuple[str, ...]]:
    """Read and join training sets of any kind.

    Parameters
    ----------
    paths
        Files or folders.
    progress
        Receiver of progress.
    image_root
        Folder of the image stacks that tables name, None for the folder of the table.

    Returns
    -------
    tuple
        The samples, and remarks on what was left out.

    Raises
    ------
    UserError
        If something is missing, damaged or unlabelled.
    """
    parts: list[Samples] = []
    remarks: list[str] = []
    for path in paths:
        part, left_out = _read_one(path, progress, image_root)
        parts.append(part)
        remarks += left_out
    samples = concatenate(parts)
    values = np.concatenate([samples.images.reshape(len(samples), -1), samples.features, samples.score[:, None]], axis=1)
    if len(samples) == 0 or not np.isfinite(values).all():
        fault = "hold no class" if len(samples) == 0 else "hold values that are not numbers"
        raise UserError(f"the training samples of {', '.join(map(str, paths))} {fault}; give labelled 2D classifications")
    return samples, tuple(remarks)


def _read_one(path: Path, progress: Progress, image_root: Path | None) -> tuple[Samples, tuple[str, ...]]:
    if path.is_dir():
        return read_labelled_jobs(path, progress)
    if not path.is_file():
        raise UserError(f"training set {path}: no such file or folder; {_EXPECTED}")
    if path.suffix == ".npz":
        return read_samples(path), ()
    if path.suffix == ".star":
        return read_merged_table(path, image_root or path.parent)
    return read_dictionary(path), ()


def read_dictionary(path: Path) -> Samples:
    """Read the data set that RELION's training script serialises; tensors and text only, nothing in it is executed.

    Its own division into training and validation is kept as the column ``split``.

    Raises
    ------
    UserError
        If the file is another one, or would run code.
    """
    from relion4plugin.ranker.plain_torch import load_plain

    content = load_plain(path.read_bytes(), f"training set {path}", _EXPECTED)
    parts = []
    for split in ("train", "valid"):
        wanted = [f"{split}_{key}" for key in (*_DICTIONARY.values(), "referenceImage")]
        missing = [key for key in wanted if key not in content]
        if missing:
            raise UserError(f"training set {path}: no entry '{missing[0]}'; {_EXPECTED}")
        arrays = {name: np.asarray(content[f"{split}_{key}"], np.float32) for name, key in _DICTIONARY.items()}
        reference = np.array([str(name) for name in content[f"{split}_referenceImage"]], dtype=str)
        jobs = np.array([job_of(name) for name in reference], dtype=str)
        try:
            parts.append(
                Samples(
                    images=arrays["images"].reshape(-1, *arrays["images"].shape[-2:]),
                    features=arrays["features"],
                    score=arrays["score"].reshape(-1),
                    job=jobs,
                    reference=reference,
                    structure=jobs,
                    extra={"split": np.full(len(reference), split)},
                )
            )
        except ValueError as error:
            raise UserError(f"training set {path}: {split} part: {error}; {_EXPECTED}") from error
    return concatenate(parts)
