"""Fine samples of a 3D search on the host: their orientations, their posterior weights, and what follows for each particle."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.refinement.kernels import volumes as kernels
from relion4plugin.refinement.orientations import VARIANTS, angles_of, rotation_vectors_to_matrices
from relion4plugin.refinement.search import Batch, ParticleSums
from relion4plugin.refinement.volume_pairs import Pairs, Samples, expand_children
from relion4plugin.refinement.volume_search import VolumeSearchPlan

ONLY_BEST = 1e-6  # fraction of the weight that keeps the best sample alone


def orientation_children(plan: VolumeSearchPlan) -> int:
    """Fine orientations of a coarse one."""
    if plan.grid is not None:
        return plan.grid.children
    assert plan.lattice is not None
    return plan.lattice.children


@dataclass(frozen=True)
class FineSamples:
    """Children of the significant coarse samples of n particles, and which slice each pair sees."""

    plan: VolumeSearchPlan
    pairs: Pairs
    angles: np.ndarray  # float64 (n, 3), deg, poses of the particles
    orientation: np.ndarray  # int64 (pairs,), equal where the slice is, whatever the class and variant
    slice_key: np.ndarray  # int64 (pairs,), equal where class, orientation and variant are
    order: np.ndarray  # int64 (pairs,), by slice

    @classmethod
    def of(cls, plan: VolumeSearchPlan, coarse: Samples, angles: np.ndarray) -> "FineSamples":
        """Expand significant coarse samples; `angles` are the poses about which a lattice lies."""
        pairs = expand_children(coarse, orientation_children(plan), plan.shifts.children)
        orientation = pairs.child.astype(np.int64)
        if plan.lattice is not None:
            orientation = pairs.particle.astype(np.int64) * len(plan.lattice.child_vectors) + pairs.child
        width = int(orientation.max(initial=0)) + 1
        key = (pairs.grid_class.astype(np.int64) * width + orientation) * 4 + pairs.variant
        return cls(plan, pairs, angles, orientation, key, np.argsort(key, kind="stable"))

    def matrices_of(self, chosen: np.ndarray) -> np.ndarray:
        """Rotation matrices of pairs (c,), float64 (c, 3, 3)."""
        return VARIANTS[self.pairs.variant[chosen]] @ self._slice_matrices(chosen)

    def slices(self) -> tuple[np.ndarray, np.ndarray]:
        """Number the slices: that of each pair, int32 (pairs,), and their rotation matrices as variant 0, float32 (S, 3, 3)."""
        _, first, number = np.unique(self.orientation, return_index=True, return_inverse=True)
        return number.astype(np.int32), self._slice_matrices(first).astype(np.float32)

    def _slice_matrices(self, chosen: np.ndarray) -> np.ndarray:
        pairs, plan = self.pairs, self.plan
        if plan.grid is not None:
            return plan.grid.child_matrices(pairs.child[chosen])
        assert plan.lattice is not None
        turns = rotation_vectors_to_matrices(plan.lattice.child_vectors[pairs.child[chosen]])
        return turns @ euler_to_matrix(*self.angles[pairs.particle[chosen]].T)

    def samples_of(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """List the samples of pairs (c,): their indices, and the position in `chosen` that each belongs to, both int64."""
        first, last = self.pairs.sample_start[chosen], self.pairs.sample_start[chosen + 1]
        count = last - first
        row = np.repeat(np.arange(len(chosen)), count)
        return np.arange(len(row)) + np.repeat(first - (np.cumsum(count) - count), count), row

    def prior_of_samples(self) -> np.ndarray:
        """Log prior of class and orientation of each sample, float32."""
        return np.repeat(self.pairs.prior, np.diff(self.pairs.sample_start))


@dataclass(frozen=True)
class Posterior:
    """Posterior weights of fine samples, zero for those not retained."""

    plan: VolumeSearchPlan
    fine: FineSamples
    weights: np.ndarray  # float32 (samples,)
    pair_weight: np.ndarray  # float64 (pairs,)
    by_class: np.ndarray  # float64 (n, K)
    pmax: np.ndarray  # float64 (n,)
    log_sum: np.ndarray  # float64 (n,)

    @classmethod
    def of(cls, plan: VolumeSearchPlan, fine: FineSamples, scores: np.ndarray, n_classes: int) -> "Posterior":
        """Weigh the samples; by correlation only the best counts."""
        n, pairs = len(fine.angles), fine.pairs
        weights, pmax, log_sum = np.empty_like(scores), np.empty(n), np.empty(n)
        kernels.retain(pairs.particle_samples, scores, ONLY_BEST if plan.correlate else plan.fraction, weights, pmax, log_sum)
        if plan.correlate:
            weights[weights > 0] = 1.0
            pmax[:] = 1.0
        pair_weight = np.add.reduceat(weights, pairs.sample_start[:-1]).astype(np.float64)
        place = pairs.particle.astype(np.int64) * n_classes + pairs.grid_class
        by_class = np.bincount(place, pair_weight, minlength=n * n_classes).reshape(n, n_classes)
        return cls(plan, fine, weights, pair_weight, by_class, pmax, log_sum)

    def used(self) -> np.ndarray:
        """Pairs with retained weight, by slice."""
        return self.fine.order[self.pair_weight[self.fine.order] > 0]

    def store(self, sums: ParticleSums, out: slice, batch: Batch, pixel_size: float) -> None:
        """Write each particle's most probable class (summed over poses), the best pose in it, and the offset power."""
        pairs, n = self.fine.pairs, len(self.pmax)
        best, top = self.by_class.argmax(axis=1), np.zeros(n, np.int64)
        kernels.best_samples(
            pairs.particle, pairs.grid_class, best, pairs.sample_start, pairs.sample_shift, self.weights, top, sums.best_shift[out]
        )
        sums.best_class[out] = best
        sums.best_angles[out] = angles_of(self.fine.matrices_of(top))
        sums.pmax[out] = self.pmax
        sums.weight[out] = self.by_class.sum(axis=1)
        distance = np.sum((batch.offset_centre[:, None] + self.plan.shifts.fine * pixel_size) ** 2, axis=2)
        owner = np.repeat(pairs.particle, np.diff(pairs.sample_start))
        sums.offset_power[out] = np.bincount(owner, self.weights * distance[owner, pairs.sample_shift], minlength=n)

    def assign(self, class_weight: np.ndarray, direction_weight: np.ndarray) -> None:
        """Add the retained weights to classes (K,) and, of a global search, to directions (K, D)."""
        pairs, grid = self.fine.pairs, self.plan.grid
        class_weight += self.by_class.sum(axis=0)
        if grid is not None:
            direction = grid.direction_of(pairs.child // grid.children, pairs.variant)
            np.add.at(direction_weight, (pairs.grid_class, direction), self.pair_weight)
