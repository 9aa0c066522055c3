"""Samples of a 3D search, particle by particle, and the pairs (particle, class, orientation) they belong to."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from relion4plugin.refinement.kernels.options import SAFE


@dataclass(frozen=True)
class Samples:
    """Significant coarse samples of n particles, those of one (class, slice, variant) together."""

    start: np.ndarray  # int64 (n + 1,)
    grid_class: np.ndarray  # int32 (S,)
    coarse: np.ndarray  # int32 (S,), slice of the grid or point of the lattice
    variant: np.ndarray  # int8 (S,)
    shift: np.ndarray  # int32 (S,), coarse shift
    prior: np.ndarray  # float32 (S,), log prior of class and orientation

    def part(self, first: int, last: int) -> "Samples":
        """Return the samples of some particles."""
        rows = slice(int(self.start[first]), int(self.start[last]))
        start = self.start[first : last + 1] - self.start[first]
        return Samples(start, self.grid_class[rows], self.coarse[rows], self.variant[rows], self.shift[rows], self.prior[rows])


@dataclass(frozen=True)
class Pairs:
    """Pairs and their fine samples, particle by particle."""

    particle: np.ndarray  # int32 (pairs,)
    grid_class: np.ndarray  # int32 (pairs,)
    child: np.ndarray  # int64 (pairs,), fine slice or lattice point
    variant: np.ndarray  # int8 (pairs,)
    prior: np.ndarray  # float32 (pairs,)
    sample_start: np.ndarray  # int64 (pairs + 1,)
    sample_shift: np.ndarray  # int32 (samples,), fine shift
    particle_samples: np.ndarray  # int64 (n + 1,), first sample of each particle


@njit(**SAFE)
def _count_pairs(start, grid_class, coarse, variant):
    """Number the pairs: index of the pair of each sample, and the total."""
    pair = np.empty(len(grid_class), np.int64)
    number = -1
    for i in range(len(start) - 1):
        for s in range(start[i], start[i + 1]):
            if (
                s == start[i]
                or grid_class[s] != grid_class[s - 1]
                or coarse[s] != coarse[s - 1]
                or variant[s] != variant[s - 1]
            ):
                number += 1
            pair[s] = number
    return pair, number + 1


@njit(**SAFE)
def _expand(start, pair, n_pairs, shift, children, shift_children):
    """Lay out the fine pairs and samples: children of a pair next to each other, each with all its fine shifts."""
    first = np.zeros(n_pairs + 1, np.int64)
    for s in range(len(pair)):
        first[pair[s] + 1] += 1
    for j in range(n_pairs):
        first[j + 1] += first[j]
    source = np.empty(n_pairs * children, np.int64)
    sample_start = np.zeros(n_pairs * children + 1, np.int64)
    sample_shift = np.empty(len(pair) * children * shift_children, np.int32)
    position = 0
    for j in range(n_pairs):
        for c in range(children):
            source[j * children + c] = first[j]
            for s in range(first[j], first[j + 1]):
                for d in range(shift_children):
                    sample_shift[position] = shift[s] * shift_children + d
                    position += 1
            sample_start[j * children + c + 1] = position
    return source, sample_start, sample_shift


def expand_children(samples: Samples, children: int, shift_children: int) -> Pairs:
    """Make the fine pairs of significant coarse samples.

    Parameters
    ----------
    children : fine orientations of a coarse one
    shift_children : fine shifts of a coarse one
    """
    pair, n_pairs = _count_pairs(samples.start, samples.grid_class, samples.coarse, samples.variant)
    source, sample_start, sample_shift = _expand(samples.start, pair, n_pairs, samples.shift, children, shift_children)
    owner = np.repeat(np.arange(len(samples.start) - 1, dtype=np.int32), np.diff(samples.start))
    child = samples.coarse[source].astype(np.int64) * children + np.tile(np.arange(children), n_pairs)
    return Pairs(
        owner[source],
        samples.grid_class[source],
        child,
        samples.variant[source],
        samples.prior[source],
        sample_start,
        sample_shift,
        samples.start * (children * shift_children),
    )

