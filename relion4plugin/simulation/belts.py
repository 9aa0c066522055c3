"""Detergent and lipid about membrane proteins, and the same without a protein."""

import numpy as np
import scipy.spatial

from relion4plugin.simulation.structure import Atoms, centred

LIPID = 15  # atomic number of its pseudo-atoms
SPACING = 4.4  # A, of the pseudo-atoms where they are densest: as dense as protein, which they scatter like
CORE, HEADS = 0.45, 1.0  # density of chains and of head groups, of the densest; 0.7 on average
HEAD_DEPTH = 9.0  # A
DISC_DIAMETER, DISC_THICKNESS = (90.0, 130.0), (35.0, 45.0)  # A
MICELLE_RADIUS, MICELLE_FLATNESS = (24.0, 42.0), (0.6, 1.0)  # A; ratio of the short half-axis to the long ones
CLEARANCE = 4.0  # A between protein and belt
COLLAR = (14.0, 22.0)  # A of belt about a protein that is wider than a usual belt
SMEAR = 2.0  # A, standard deviation of the atoms about their lattice


def with_belt(atoms: Atoms, rng: np.random.Generator, normal: np.ndarray | None = None) -> Atoms:
    """Put a belt of detergent or lipid around a protein.

    Parameters
    ----------
    atoms : Atoms
        The protein.
    rng : numpy.random.Generator
        Source of size and place.
    normal : numpy.ndarray, optional
        float (3,): unit normal of the membrane through the centre of mass; by default the long axis of the protein.

    Returns
    -------
    Atoms
        Protein and belt. The belt lies up to a quarter of the protein's length off its centre and is wider than the usual 90 to
        130 A where the protein is.
    """
    positions = atoms.positions
    if normal is None:
        normal = np.linalg.eigh(np.cov(positions.T))[1][:, -1]
    frame = _frame(normal)
    local = positions @ frame.T
    thickness = rng.uniform(*DISC_THICKNESS)
    middle = rng.uniform(-0.25, 0.25) * np.ptp(local[:, 2])
    inside = np.abs(local[:, 2] - middle) < thickness / 2
    widest = np.quantile(np.hypot(local[inside, 0], local[inside, 1]), 0.98) if inside.any() else 0.0
    radius = max(rng.uniform(*DISC_DIAMETER) / 2, widest + rng.uniform(*COLLAR))
    belt = _slab(radius, thickness, rng) + np.array([0.0, 0.0, middle])
    belt = belt[scipy.spatial.cKDTree(local).query(belt, distance_upper_bound=CLEARANCE)[0] > CLEARANCE]
    joined = np.concatenate([positions, belt @ frame])
    return centred(joined, np.concatenate([atoms.numbers, np.full(len(belt), LIPID)]))


def empty_disc(rng: np.random.Generator, largest: float) -> Atoms:
    """Nanodisc without protein, normal along z, of a diameter of at most `largest` A."""
    points = _slab(min(rng.uniform(*DISC_DIAMETER), largest) / 2, rng.uniform(*DISC_THICKNESS), rng)
    return centred(points, np.full(len(points), LIPID))


def empty_micelle(rng: np.random.Generator, largest: float) -> Atoms:
    """Detergent micelle without protein: a flattened ball of a diameter of at most `largest` A, head groups outside."""
    radius, flatness = min(rng.uniform(*MICELLE_RADIUS), largest / 2), rng.uniform(*MICELLE_FLATNESS)
    points = _lattice(np.array([radius, radius, radius * flatness]), rng)
    depth = radius - np.linalg.norm(points / [1.0, 1.0, flatness], axis=1)
    points = points[(depth > 0) & (rng.random(len(points)) < np.where(depth < HEAD_DEPTH, HEADS, CORE))]
    return centred(points, np.full(len(points), LIPID))


def _slab(radius: float, thickness: float, rng: np.random.Generator) -> np.ndarray:
    """Points of a disc in the plane z = 0 with denser faces, (n, 3) in A."""
    points = _lattice(np.array([radius, radius, thickness / 2]), rng)
    height = np.abs(points[:, 2])
    density = np.where(height > thickness / 2 - HEAD_DEPTH, HEADS, CORE)
    inside = (np.hypot(points[:, 0], points[:, 1]) < radius) & (height < thickness / 2)
    return points[inside & (rng.random(len(points)) < density)]


def _lattice(half: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Cubic lattice with `SPACING` and some disorder, a little beyond a cuboid of half-edges `half` (3,), in A."""
    axes = [np.arange(-h - SPACING, h + SPACING, SPACING) + rng.uniform(0, SPACING) for h in half]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    return points + rng.normal(0.0, SMEAR, points.shape)


def _frame(normal: np.ndarray) -> np.ndarray:
    """Rotation matrix whose third row is `normal`."""
    least = np.eye(3)[np.argmin(np.abs(normal))]
    first = np.cross(least, normal)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first), normal])
