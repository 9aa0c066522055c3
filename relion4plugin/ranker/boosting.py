"""Gradient-boosted decision trees for a yes-or-no question, in NumPy.

Trees are grown one after the other on the gradient of the cross entropy, with second-order leaf values (Friedman 2001; Chen and
Guestrin 2016). All trees have the same depth, so that a model is four arrays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

UNUSED = -1  # column of a node that does not divide: everything goes left


@dataclass(frozen=True)
class BoostingSettings:
    """How trees are grown.

    Attributes
    ----------
    trees, depth
        Number of trees, and of questions from the root to a leaf.
    rate
        Factor on every leaf.
    levels
        Intervals of equal probability between which a column may be divided.
    ridge, least
        Added to the weight of a leaf, and the least weight of a leaf; both in units of weight times p(1 - p).
    columns, rows
        Share of columns and of rows that each tree sees.
    """

    trees: int = 150
    depth: int = 3
    rate: float = 0.06
    levels: int = 32
    ridge: float = 3.0
    least: float = 3.0
    columns: float = 0.5
    rows: float = 0.7


@dataclass(frozen=True, eq=False)
class BoostedTrees:
    """Trees whose leaves add up to the logarithm of the odds.

    Attributes
    ----------
    base
        float64 (1,): what all leaves are added to.
    column, limit
        int64 and float64 (trees, 2^depth - 1): a row whose value in the column reaches the limit goes right. Node i is followed
        by nodes 2i + 1 and 2i + 2.
    leaf
        float64 (trees, 2^depth).
    """

    base: np.ndarray
    column: np.ndarray
    limit: np.ndarray
    leaf: np.ndarray

    def probability(self, values: np.ndarray) -> np.ndarray:
        """Return the probability of yes, float64 (n,), for float (n, columns)."""
        odds = np.full(len(values), float(self.base[0]))
        rows = np.arange(len(values))
        for column, limit, leaf in zip(self.column, self.limit, self.leaf, strict=True):
            node = np.zeros(len(values), np.int64)
            while node[:1].size and node[0] < len(column):
                asked = column[node]
                node = 2 * node + 1 + ((asked != UNUSED) & (values[rows, asked] >= limit[node]))
            odds += leaf[node - len(column)]
        return np.asarray(1 / (1 + np.exp(-odds)))


def grow_trees(values: np.ndarray, target: np.ndarray, weight: np.ndarray, settings: BoostingSettings, seed: int) -> BoostedTrees:
    """Fit trees to a target by weighted cross entropy.

    Parameters
    ----------
    values
        float (n, columns), finite.
    target
        float (n,): 0 for no, 1 for yes, or something between.
    weight
        float (n,): of each row, about 1.
    settings
        How to grow.
    seed
        Of the rows and columns that each tree sees.

    Raises
    ------
    ValueError
        If all targets are 0, or all are 1.
    """
    mean = float(np.average(target, weights=weight))
    if not 0 < mean < 1:
        raise ValueError("targets are all the same")
    random = np.random.default_rng(seed)
    inner = np.linspace(0, 1, settings.levels + 1)[1:-1]
    limits = [np.unique(np.quantile(column, inner)) for column in values.T]
    binned = np.stack([np.searchsorted(edges, column, "right") for edges, column in zip(limits, values.T, strict=True)])
    odds = np.full(len(target), np.log(mean / (1 - mean)))
    base = odds[:1].copy()
    grown = []
    for _ in range(settings.trees):
        p = 1 / (1 + np.exp(-odds))
        slope, curve = weight * (target - p), weight * p * (1 - p)
        seen = random.random(len(target)) < settings.rows
        columns = np.flatnonzero(random.random(len(limits)) < settings.columns)
        tree = _Tree(settings, binned, slope, curve, seen, columns)
        odds += tree.leaf[tree.node]
        grown.append(tree)
    column = np.stack([tree.column for tree in grown])
    limit = np.stack([[limits[c][cut] if c != UNUSED else 0.0 for c, cut in zip(t.column, t.cut, strict=True)] for t in grown])
    return BoostedTrees(base, column, limit, np.stack([tree.leaf for tree in grown]))


def mean_of(sets: Sequence[BoostedTrees]) -> BoostedTrees:
    """Join sets of trees, so that the logarithm of the odds is the mean of theirs."""
    column, limit, leaf = (np.concatenate([getattr(trees, name) for trees in sets]) for name in ("column", "limit", "leaf"))
    return BoostedTrees(np.mean([trees.base for trees in sets], axis=0), column, limit, leaf / len(sets))


class _Tree:
    """One tree, grown level by level: `column` and `cut` of its nodes, `leaf`, and the leaf `node` of every row."""

    def __init__(
        self, settings: BoostingSettings, binned: np.ndarray, slope: np.ndarray, curve: np.ndarray, seen: np.ndarray, columns: np.ndarray
    ) -> None:
        self._settings, self._slope, self._curve = settings, slope[seen], curve[seen]
        n = (1 << settings.depth) - 1
        self.column, self.cut = np.full(n, UNUSED), np.zeros(n, np.int64)
        self.node = np.zeros(binned.shape[1], np.int64)
        for level in range(settings.depth):
            first, count = (1 << level) - 1, 1 << level
            self._divide(slice(first, first + count), binned[:, seen], self.node[seen], columns)
            column, cut = self.column[first + self.node], self.cut[first + self.node]
            self.node = 2 * self.node + ((column != UNUSED) & (binned[column, np.arange(len(self.node))] > cut))
        count = 1 << settings.depth
        total, mass = (np.bincount(self.node[seen], of, count) for of in (self._slope, self._curve))
        self.leaf = settings.rate * total / (mass + settings.ridge)

    def _divide(self, nodes: slice, binned: np.ndarray, node: np.ndarray, columns: np.ndarray) -> None:
        """Find column and cut of the nodes of a level: those with the largest gain, none where nothing is gained."""
        count, levels, ridge = nodes.stop - nodes.start, self._settings.levels, self._settings.ridge
        best = np.zeros(count)
        for column in columns:
            place = node * levels + binned[column]
            total, mass = (np.bincount(place, of, count * levels).reshape(count, levels).cumsum(1) for of in (self._slope, self._curve))
            right, right_mass = total[:, -1:] - total, mass[:, -1:] - mass
            gain = total**2 / (mass + ridge) + right**2 / (right_mass + ridge) - total[:, -1:] ** 2 / (mass[:, -1:] + ridge)
            gain[(mass < self._settings.least) | (right_mass < self._settings.least)] = 0
            cut = gain.argmax(axis=1)
            found = gain[np.arange(count), cut]
            better = found > best
            best[better] = found[better]
            self.column[nodes][better], self.cut[nodes][better] = column, cut[better]
