"""Orientations that a 3D search looks at: one global grid for all particles, or a lattice about each particle's own pose."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from relion4plugin.geometry.euler import euler_to_matrix, matrix_to_euler
from relion4plugin.geometry.healpix import directions
from relion4plugin.geometry.symmetry import point_group

# left factors of the four variants of a slice: as it is, half a turn in plane, seen from behind, both
VARIANTS = np.array([np.diag(d) for d in ((1, 1, 1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1))], dtype=np.float64)
# a direction in no mirror plane or axis of any group: decides which of several equivalent directions is searched
_GENERIC = np.array([0.2107, 0.1303, 0.9688])
_CUT = 3.0  # standard deviations of a local search


def angular_step(order: int) -> float:
    """Spacing in degrees of a grid of HEALPix order `order`, in plane and, nearly, between directions."""
    return 60.0 / 2**order


@dataclass(frozen=True)
class GlobalGrid:
    """The coarse grid of a global search and its children.

    A *slice* is a base direction with an in-plane angle of the first half turn; its four variants (`VARIANTS`) make up all
    orientations. Base directions are one of each pair of opposite views, and one of each set of views that the symmetry makes
    equal. Slice ``f = b * half_turn + r``; child ``8 f + 2 c + p`` belongs to child direction c and child angle p.

    Which pixels are searched changes with the turn, so priors are kept for all D = 12 * 4^order pixels: `listed` picks those of the
    searched views, `spread` gives what was found there to all views that the symmetry makes equal.
    """

    order: int
    symmetry: str
    pixel: np.ndarray  # int64 (B,), NESTED pixel of each base direction
    behind: np.ndarray  # int64 (B,), pixel of the opposite view
    half_turn: int  # in-plane angles in half a turn
    turn: np.ndarray  # float64 (3, 3), random perturbation of the whole grid
    oversampling: int  # 0: the children are the slices themselves; 1

    @property
    def n_slices(self) -> int:
        """Number of coarse slices F."""
        return len(self.pixel) * self.half_turn

    @property
    def n_directions(self) -> int:
        """Number of view directions D: all pixels, searched or not."""
        return 12 * 4**self.order

    @property
    def listed(self) -> np.ndarray:
        """Pixels of the searched views, int64 (2, B): from the front and from behind."""
        return np.stack([self.pixel, self.behind])

    @property
    def children(self) -> int:
        """Children of a slice."""
        return 8**self.oversampling

    def slice_matrices(self) -> np.ndarray:
        """Rotation matrices of all coarse slices, float64 (F, 3, 3)."""
        rot, tilt = (angle[self.pixel] for angle in directions(self.order))
        psi = np.arange(self.half_turn) * (180.0 / self.half_turn)
        return (euler_to_matrix(rot[:, None], tilt[:, None], psi[None]) @ self.turn).reshape(-1, 3, 3)

    def child_matrices(self, child: np.ndarray) -> np.ndarray:
        """Rotation matrices of children (n,), float64 (n, 3, 3)."""
        child = np.asarray(child, dtype=np.int64)
        if self.oversampling == 0:
            pixel, psi, order = self.pixel[child // self.half_turn], child % self.half_turn * (180.0 / self.half_turn), self.order
        else:
            coarse, within = child // 8, child % 8
            step = 180.0 / self.half_turn
            psi = (coarse % self.half_turn + (within % 2 - 0.5) / 2) * step
            pixel, order = 4 * self.pixel[coarse // self.half_turn] + within // 2, self.order + 1
        rot, tilt = directions(order)
        return euler_to_matrix(rot[pixel], tilt[pixel], psi) @ self.turn

    def direction_angles(self) -> np.ndarray:
        """View directions without the perturbation, float64 (D, 2): rot and tilt in degrees."""
        return np.stack(directions(self.order), axis=1)

    def direction_of(self, coarse: np.ndarray, variant: np.ndarray) -> np.ndarray:
        """Direction (pixel) of coarse slices and variants, int64."""
        return self.listed[np.asarray(variant, np.int64) >> 1, np.asarray(coarse, np.int64) // self.half_turn]

    def spread(self, weights: np.ndarray) -> np.ndarray:
        """Give every view the weight of the searched view nearest to one of its symmetric images; sums of (K, D) stay."""
        operators = point_group(self.symmetry)
        if len(operators) == 1:
            return weights  # all views are searched
        views, searched = _views(self.order) @ self.turn, np.unique(self.listed)
        images = (views[searched] @ operators).reshape(-1, 3)  # operator by operator
        everywhere = weights[:, searched[KDTree(images).query(views)[1] % len(searched)]]
        return everywhere * (weights.sum(axis=1) / np.maximum(everywhere.sum(axis=1), 1e-30))[:, None]


def _views(order: int) -> np.ndarray:
    """View directions of all pixels, float64 (D, 3)."""
    rot, tilt = directions(order)
    return euler_to_matrix(rot, tilt, 0.0)[:, 2]


def unique_directions(order: int, symmetry: str, turn: np.ndarray | None = None) -> np.ndarray:
    """HEALPix pixels (NESTED) that stand for all views up to point-group symmetry and inversion, int64 ascending.

    Kept are the pixels that, after the `turn` (3, 3) of the grid, are nearer to a fixed generic direction than to its images under
    symmetry and inversion. A turned grid, and any grid for the larger groups, does not share the symmetry: there the domain is
    widened by 0.4 of the spacing, so that no view is far from a kept one. Without symmetry the turn does not matter.
    """
    operators, views = point_group(symmetry), _views(order)
    shared = len(operators) <= 4
    if turn is not None and len(operators) > 1:
        views, shared = views @ turn, shared and np.allclose(turn, np.eye(3))
    images = np.concatenate([operators @ _GENERIC, -(operators @ _GENERIC)])[1:]
    planes = images - _GENERIC
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    margin = 0.0 if shared else np.sin(np.deg2rad(0.4 * angular_step(order)))
    return np.flatnonzero((views @ planes.T <= margin + 1e-9).all(axis=1))


def make_global_grid(order: int, symmetry: str, perturbation: float, oversampling: int = 1) -> GlobalGrid:
    """Build the grid of one iteration; `perturbation` is in units of the angular step."""
    angle = perturbation * angular_step(order)
    turn = euler_to_matrix(angle, angle, angle)
    pixel, views = unique_directions(order, symmetry, turn), _views(order)
    behind = KDTree(views).query(-views[pixel])[1].astype(np.int64)
    return GlobalGrid(order, symmetry, pixel, behind, 3 * 2**order, turn, oversampling)


@dataclass(frozen=True)
class LocalLattice:
    """Small rotations about each particle's pose, on a cubic lattice of rotation vectors: no poles, and the same for all."""

    step: float  # deg
    sigma: float  # deg, of the prior
    vectors: np.ndarray  # float64 (L, 3), deg, coarse
    child_vectors: np.ndarray  # float64 (L * children, 3), deg

    @property
    def children(self) -> int:
        """Children of a lattice point."""
        return len(self.child_vectors) // len(self.vectors)

    def log_prior(self) -> np.ndarray:
        """Log prior of the lattice points, float32 (L,)."""
        if self.sigma <= 0:
            return np.zeros(len(self.vectors), np.float32)
        return (-np.sum(self.vectors**2, axis=1) / (2 * self.sigma**2)).astype(np.float32)


def make_local_lattice(step: float, sigma: float, perturbation: float, oversampling: int = 1) -> LocalLattice:
    """Build the lattice of one iteration, cut at three standard deviations.

    Parameters
    ----------
    step, sigma : float
        Degrees; with `sigma` <= 0 the lattice is the pose itself.
    perturbation : float
        Shift of the lattice along all three axes, in units of the step.
    """
    if sigma <= 0:
        return LocalLattice(step, 0.0, np.zeros((1, 3)), np.zeros((1, 3)))
    reach = _CUT * sigma
    count = math.ceil(reach / step + abs(perturbation))
    axis = (np.arange(-count, count + 1) + perturbation) * step
    points = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    length = np.linalg.norm(points, axis=1)
    vectors = points[(length <= reach) | (length <= length.min() + 1e-9)]
    if oversampling == 0:
        return LocalLattice(step, sigma, vectors, vectors)
    corner = np.stack(np.meshgrid([-0.25, 0.25], [-0.25, 0.25], [-0.25, 0.25], indexing="ij"), axis=-1).reshape(-1, 3) * step
    return LocalLattice(step, sigma, vectors, (vectors[:, None] + corner).reshape(-1, 3))


def rotation_vectors_to_matrices(vectors: np.ndarray) -> np.ndarray:
    """Rotation matrices of rotation vectors (n, 3) in degrees (Rodrigues' formula), float64 (n, 3, 3)."""
    radians = np.deg2rad(np.asarray(vectors, dtype=np.float64))
    angle = np.linalg.norm(radians, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(radians, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=-1).reshape(*x.shape, 3, 3)
    safe = np.where(angle > 1e-12, angle, 1.0)
    first = np.where(angle > 1e-12, np.sin(safe) / safe, 1.0)
    second = np.where(angle > 1e-12, (1 - np.cos(safe)) / safe**2, 0.5)
    return np.eye(3) + first * cross + second * (cross @ cross)


def angles_of(matrices: np.ndarray) -> np.ndarray:
    """Euler angles (n, 3) of rotation matrices (n, 3, 3): rot, tilt, psi in degrees."""
    return np.stack(matrix_to_euler(matrices), axis=1)


__all__ = [
    "VARIANTS",
    "GlobalGrid",
    "LocalLattice",
    "angles_of",
    "angular_step",
    "make_global_grid",
    "make_local_lattice",
    "rotation_vectors_to_matrices",
    "unique_directions",
]
