"""Orientations that a 3D search looks at: one global grid for all particles, or a lattice about each particle's own pose."""

import math
from dataclasses import dataclass

import numpy as np

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
    """

    order: int
    pixel: np.ndarray  # int64 (B,), NESTED pixel of each base direction
    half_turn: int  # in-plane angles in half a turn
    turn: np.ndarray  # float64 (3, 3), random perturbation of the whole grid
    oversampling: int  # 0: the children are the slices themselves; 1

    @property
    def n_slices(self) -> int:
        """Number of coarse slices F."""
        return len(self.pixel) * self.half_turn

    @property
    def n_directions(self) -> int:
        """Number of view directions, both of each opposite pair: D = 2 B; direction ``m B + b`` is seen from behind for m = 1."""
        return 2 * len(self.pixel)

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
        rot, tilt = (angle[self.pixel] for angle in directions(self.order))
        behind = np.stack([(rot + 180.0) % 360.0, 180.0 - tilt], axis=1)
        return np.concatenate([np.stack([rot, tilt], axis=1), behind])

    def direction_of(self, coarse: np.ndarray, variant: np.ndarray) -> np.ndarray:
        """Direction of coarse slices and variants, int64."""
        return (np.asarray(variant, np.int64) >> 1) * len(self.pixel) + np.asarray(coarse, np.int64) // self.half_turn


def unique_directions(order: int, symmetry: str) -> np.ndarray:
    """HEALPix pixels (NESTED) that stand for all views up to point-group symmetry and inversion, int64 ascending.

    Kept are the pixels nearer to a fixed generic direction than to its images under symmetry and inversion. The pixels do not
    share the symmetry, so for large groups the domain is widened by a quarter of their spacing: no view is far from a kept one.
    """
    rot, tilt = directions(order)
    views = euler_to_matrix(rot, tilt, 0.0)[:, 2]
    operators = point_group(symmetry)
    images = np.concatenate([operators @ _GENERIC, -(operators @ _GENERIC)])[1:]
    planes = images - _GENERIC
    planes /= np.linalg.norm(planes, axis=1, keepdims=True)
    margin = np.sin(np.deg2rad(angular_step(order) / 4)) if len(operators) > 4 else 0.0
    return np.flatnonzero((views @ planes.T <= margin + 1e-9).all(axis=1))


def make_global_grid(order: int, symmetry: str, perturbation: float, oversampling: int = 1) -> GlobalGrid:
    """Build the grid of one iteration; `perturbation` is in units of the angular step."""
    pixel = unique_directions(order, symmetry)
    angle = perturbation * angular_step(order)
    return GlobalGrid(order, pixel, 3 * 2**order, euler_to_matrix(angle, angle, angle), oversampling)


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
