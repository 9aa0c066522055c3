"""Particles of many small scale groups in a few larger ones of similar scale."""

import numpy as np


def regrouped(groups: np.ndarray, numbers: np.ndarray, scales: np.ndarray, n_groups: int) -> np.ndarray:
    """Join groups of similar intensity scale, so that each new group has about the same number of particles.

    Groups are sorted by scale; a new one begins as soon as the present one holds its share of the particles. A group is
    never divided.

    Parameters
    ----------
    groups
        int (n,): group number of each particle.
    numbers, scales
        int (g,) and float (g,): all group numbers and their scales.
    n_groups
        Groups wanted, at least 1.

    Returns
    -------
    int64 (n,)
        New group numbers from 1, at most `n_groups` of them.

    Raises
    ------
    ValueError
        If a particle has a group that is not listed.
    """
    unknown = np.setdiff1d(groups, numbers)
    if len(unknown):
        raise ValueError(f"group {unknown[0]} is not listed")
    order = np.argsort(scales, kind="stable")
    counts = np.array([np.count_nonzero(groups == number) for number in numbers[order]], np.int64)
    # The middle of a group on the axis of all particles says which share it belongs to.
    middle = np.cumsum(counts) - counts / 2
    share = np.minimum((middle * n_groups / max(len(groups), 1)).astype(np.int64), n_groups - 1)
    _, dense = np.unique(share[counts > 0], return_inverse=True)
    new = dict(zip(numbers[order][counts > 0].tolist(), (dense + 1).tolist(), strict=True))
    return np.array([new[group] for group in np.asarray(groups).tolist()], np.int64)
