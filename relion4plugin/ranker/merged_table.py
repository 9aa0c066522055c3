"""Samples from a table of normalised features and its image stacks, as EMPIAR-10812 and RELION's ranker write them."""

from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import StackReader
from relion4plugin.files.star import read_star
from relion4plugin.ranker.samples import IMAGE_SIZE, N_FEATURES, Samples

COLUMNS = ("rlnReferenceImage", "rlnClassScore", "rlnSubImageStack", "rlnNormalizedFeatureVector")


def job_of(reference: str) -> str:
    """Return the job of a class: the folder in ``000012@job/run_class.mrcs``."""
    folder = Path(reference.rpartition("@")[2]).parent.as_posix()
    return folder if folder != "." else Path(reference.rpartition("@")[2]).name


def read_merged_table(path: Path, root: Path) -> tuple[Samples, tuple[str, ...]]:
    """Read the labelled classes of many jobs.

    Every slice of a stack is one sample with the features and the score of its row. Jobs count as structures of their own.

    Parameters
    ----------
    path
        STAR file with the columns `COLUMNS` in any table.
    root
        Folder to which the names of the stacks are relative.

    Returns
    -------
    tuple
        Samples, and a remark on rows without a label.

    Raises
    ------
    UserError
        If columns or stacks are missing, or a feature vector is malformed.
    """
    table = _table(path)
    scores = pd.to_numeric(table["rlnClassScore"], errors="coerce").to_numpy(np.float64)
    labelled = scores >= 0  # a job without a job score has -1 throughout
    table, scores = table[labelled], scores[labelled]
    images, row = _images([root / str(name) for name in table["rlnSubImageStack"]])
    reference = table["rlnReferenceImage"].astype(str).to_numpy(dtype=str)[row]
    jobs = np.array([job_of(name) for name in reference], dtype=str)
    remarks = (f"{path}: {int((~labelled).sum())} classes without a score were left out",) if not labelled.all() else ()
    vectors = _vectors(table["rlnNormalizedFeatureVector"], path)[row]
    return Samples(images, vectors, scores[row].astype(np.float32), jobs, reference, jobs), remarks


def _table(path: Path) -> pd.DataFrame:
    tables = [block for block in read_star(path).values() if isinstance(block, pd.DataFrame)]
    found = next((table for table in tables if set(COLUMNS) <= set(table.columns)), None)
    if found is None:
        raise UserError(f"training set {path}: no table with the columns {', '.join(COLUMNS)}; give features_normalized.star")
    return found


def _vectors(texts: pd.Series, path: Path) -> np.ndarray:
    vectors = np.empty((len(texts), N_FEATURES), np.float32)
    for i, text in enumerate(texts):
        try:
            vectors[i] = np.array(str(text).strip("[]").split(","), np.float64)
        except ValueError:
            raise UserError(
                f"training set {path}: rlnNormalizedFeatureVector of labelled row {i + 1} is not {N_FEATURES} numbers in brackets, "
                "joined by commas; write the table again"
            ) from None
    return vectors


def _images(stacks: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """All slices of all stacks float32 (m, 64, 64), and the row to which each belongs."""
    reader = StackReader(stacks)
    counts = np.array([reader.header(i).nz for i in range(len(stacks))], np.int64)
    for i in range(len(stacks)):
        if (reader.header(i).nx, reader.header(i).ny) != (IMAGE_SIZE, IMAGE_SIZE):
            raise UserError(f"{stacks[i]}: images of {reader.header(i).nx} px, expected {IMAGE_SIZE} px of the ranker's network")
    row = np.repeat(np.arange(len(stacks)), counts)
    first = np.cumsum(counts) - counts
    images = reader.read(row, np.arange(len(row)) - first[row])
    reader.close()
    return images.reshape(-1, IMAGE_SIZE, IMAGE_SIZE), row
