"""Training and validation samples without a job or a structure in common."""

import numpy as np
import scipy.sparse

from relion4plugin.errors import UserError
from relion4plugin.ranker.samples import Samples


def sample_groups(samples: Samples) -> np.ndarray:
    """Group number int64 ``(n,)`` of each sample: samples that share a job or a structure, also through others, are one group."""
    _, job = np.unique(samples.job, return_inverse=True)
    _, structure = np.unique(samples.structure, return_inverse=True)
    n_jobs, n_structures = int(job.max(initial=-1)) + 1, int(structure.max(initial=-1)) + 1
    links = scipy.sparse.coo_matrix((np.ones(len(job)), (job, n_jobs + structure)), shape=(n_jobs + n_structures,) * 2)
    component: np.ndarray = scipy.sparse.csgraph.connected_components(links, directed=False)[1]
    return component[job].astype(np.int64)


def split_samples(samples: Samples, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Divide samples into training and validation so that no job and no structure is in both.

    Samples with a column ``split`` keep what it says; those that are neither "train" nor "valid" take no part. Otherwise whole
    groups are drawn at random until the fraction is reached.

    Parameters
    ----------
    samples
        Labelled classes.
    fraction
        Share of samples to validate with; 0 for none.
    seed
        Of the draw.

    Returns
    -------
    tuple
        Masks ``(n,)`` of training and of validation samples.

    Raises
    ------
    UserError
        If all samples are of one group, or the column divides a job or a structure.
    """
    split = samples.extra.get("split")
    if split is not None:
        train, valid = split == "train", split == "valid"
        _check_apart(samples, train, valid)
        return (train, valid) if fraction > 0 else (train | valid, np.zeros(len(samples), bool))
    if fraction <= 0:
        return np.ones(len(samples), bool), np.zeros(len(samples), bool)
    groups = sample_groups(samples)
    names, counts = np.unique(groups, return_counts=True)
    if len(names) < 2:
        raise UserError(
            "all training samples share jobs or structures, so none can be kept for validation: add other data sets, "
            "or give --valid_fraction 0"
        )
    order = np.random.default_rng(seed).permutation(len(names))
    before = np.concatenate([[0], np.cumsum(counts[order])[:-1]])
    n_chosen = min(max(1, int(np.sum(before < fraction * len(samples)))), len(names) - 1)
    valid = np.isin(groups, names[order[:n_chosen]])
    return ~valid, valid


def _check_apart(samples: Samples, train: np.ndarray, valid: np.ndarray) -> None:
    for what, column in (("job", samples.job), ("structure", samples.structure)):
        shared = np.intersect1d(column[valid], column[train])
        if len(shared):
            raise UserError(f"{what} {shared[0]} is in both training and validation samples; put it into one of them")
