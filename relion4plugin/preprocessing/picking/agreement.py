"""How well picks agree with picks that are known to be right."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_bipartite_matching
from scipy.spatial import cKDTree


@dataclass(frozen=True)
class Agreement:
    """Numbers of picks, of true particles, and of pairs of one each."""

    n_picks: int
    n_true: int
    n_matched: int

    @property
    def precision(self) -> float:
        """Part of the picks that are particles; 1 without picks."""
        return self.n_matched / self.n_picks if self.n_picks else 1.0

    @property
    def recall(self) -> float:
        """Part of the particles that were picked; 1 where there are none."""
        return self.n_matched / self.n_true if self.n_true else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.n_matched / (self.n_picks + self.n_true) if self.n_picks + self.n_true else 1.0

    def __add__(self, other: "Agreement") -> "Agreement":
        return Agreement(self.n_picks + other.n_picks, self.n_true + other.n_true, self.n_matched + other.n_matched)


def matches(picks: np.ndarray, truth: np.ndarray, distance: float) -> np.ndarray:
    """Pair picks with true particles: each at most once, as many pairs as possible.

    Parameters
    ----------
    picks, truth : float (n, 2), (m, 2)
        Positions in px.
    distance : float
        Largest distance of a pair, in px.

    Returns
    -------
    int (n,)
        Index of the true particle of each pick, -1 for none.
    """
    if not len(picks) or not len(truth):
        return np.full(len(picks), -1, dtype=np.int64)
    near = cKDTree(picks).sparse_distance_matrix(cKDTree(truth), distance, output_type="coo_matrix")
    graph = csr_matrix((np.ones(near.nnz), (near.row, near.col)), shape=near.shape)
    return maximum_bipartite_matching(graph, perm_type="column").astype(np.int64)


def agreement(picks: np.ndarray, truth: np.ndarray, distance: float) -> Agreement:
    """Count picks, particles and pairs (see `matches`)."""
    return Agreement(len(picks), len(truth), int(np.count_nonzero(matches(picks, truth, distance) >= 0)))
