"""What a refinement carries from one iteration to the next: the model and the particles' poses."""

import copy
from dataclasses import dataclass, field, fields

import numpy as np

from relion4plugin.geometry.euler import angular_distance, euler_to_matrix


@dataclass
class Model:
    """References and nuisance parameters; spectra have N/2+1 shells, K classes, O optics groups, G scale groups."""

    references: np.ndarray  # float32 (K, N, N), or (K, N, N, N) in 3D
    pdf_class: np.ndarray  # float64 (K,), sums to 1
    sigma2_noise: np.ndarray  # float64 (O, shells), per real or imaginary component
    scale: np.ndarray  # float64 (G,)
    moment1: np.ndarray | None = None  # complex64 (2, K, [M,] M, M//2+1), of the two pseudo half-sets
    moment2: np.ndarray | None = None  # float32 (K, [M,] M, M//2+1)
    avg_norm: float = 1.0
    sigma_offset: float = 10.0  # A
    perturbation: float = 0.0
    tau2: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # (K, shells)
    data_vs_prior: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # (K, shells)
    sigma2_class: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # (K, shells), noise of the reference
    coverage: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # (K, shells)
    orientability: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # (K, shells)
    accuracy_rotation: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (K,) deg
    accuracy_translation: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (K,) A
    resolution_shell: int = 0
    iterations_without_gain: int = 0
    best_resolution_shell: int = 0
    current_size: int = 0  # px
    log_likelihood: float = 0.0
    ave_pmax: float = 0.0
    pdf_direction: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))  # (K, D) 3D, sums to 1 over both
    fsc: np.ndarray = field(default_factory=lambda: np.zeros(0))  # (shells,) between half maps; empty without gold standard

    def copy(self) -> "Model":
        """Copy the model and all its arrays."""
        return Model(**{f.name: copy.copy(getattr(self, f.name)) for f in fields(self)})

    @property
    def log_class(self) -> np.ndarray:
        """Log prior of each class, float32 (K,), -inf for one that is empty."""
        with np.errstate(divide="ignore"):
            return np.log(self.pdf_class).astype(np.float32)

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.references)

    @property
    def box(self) -> int:
        """Box size in px."""
        return int(self.references.shape[-1])


@dataclass
class Poses:
    """Per-particle results, arrays of n particles in table order; class 0 means never seen."""

    angles: np.ndarray  # float64 (n, 3), rot, tilt, psi in deg; rot and tilt are 0 in 2D
    offset: np.ndarray  # float64 (n, 2), (x, y) in A
    class_number: np.ndarray  # int32, from 1
    norm: np.ndarray  # float64
    log_likelihood: np.ndarray  # float64
    pmax: np.ndarray  # float64
    n_significant: np.ndarray  # int32

    @classmethod
    def start(cls, angles: np.ndarray, offset: np.ndarray, class_number: np.ndarray) -> "Poses":
        """Begin from input angles (n, 3) in deg, offsets (A) and classes."""
        n = len(angles)
        return cls(
            angles.astype(np.float64),
            offset.astype(np.float64),
            class_number.astype(np.int32),
            np.ones(n),
            np.zeros(n),
            np.zeros(n),
            np.zeros(n, np.int32),
        )

    @property
    def psi(self) -> np.ndarray:
        """In-plane angles, float64 (n,), deg; a view."""
        return self.angles[:, 2]

    def copy(self) -> "Poses":
        """Copy all arrays."""
        return Poses(*(getattr(self, f.name).copy() for f in fields(self)))


@dataclass(frozen=True)
class Changes:
    """How far poses moved in one iteration, over the particles it visited."""

    orientations: float  # deg, mean
    offsets: float  # A, root mean square per coordinate
    classes: float  # fraction that changed class


def measure_changes(before: Poses, after: Poses, rows: np.ndarray, operators: np.ndarray | None = None) -> Changes:
    """Compare the poses of the visited rows; orientations that the point group `operators` (m, 3, 3) makes equal are the same."""
    if not len(rows):
        return Changes(0.0, 0.0, 0.0)
    new, old = euler_to_matrix(*after.angles[rows].T), euler_to_matrix(*before.angles[rows].T)
    turn = angular_distance(new, old)
    for operator in () if operators is None else operators[1:]:
        turn = np.minimum(turn, angular_distance(new, old @ operator))
    shift = np.sum((after.offset[rows] - before.offset[rows]) ** 2)
    moved = after.class_number[rows] != before.class_number[rows]
    return Changes(float(turn.mean()), float(np.sqrt(shift / (2 * len(rows)))), float(moved.mean()))
