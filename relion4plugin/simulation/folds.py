"""Domains of invented molecules: helices, sheets and coil in an ellipsoid, and bundles of double helices."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.geometry.euler import random_rotations
from relion4plugin.simulation.structure import confined_walk, residues_in_ball

CALPHA, SIDE_CHAIN = 15, 16  # atomic numbers of the two pseudo-atoms: together they scatter as much beyond ice as a residue
SIDE_CHAIN_REACH = 2.4  # A further out than the C-alpha
HELIX_RISE, HELIX_TURN, HELIX_RADIUS = 1.5, 100.0, 2.3  # A and degrees per residue, A
STRAND_RISE, STRAND_SPACING, STRAND_TWIST = 3.3, 4.8, 20.0  # A per residue, A and degrees from strand to strand
PLEAT = 0.9  # A
# shares of residues in helices and in strands, and how often a domain is of that class: on average 40 % and 25 %
FOLD_CLASSES = (((0.65, 0.0), 0.3), ((0.05, 0.5), 0.25), ((0.4, 0.28), 0.45))
STRETCH = 0.2  # standard deviation of the logarithm of the half-axes of a domain
PLACES_TRIED = 32
PLACINGS_TRIED = 6  # pieces in a row that find no room before the rest becomes coil
CLOSEST_PIECES = 6.0  # A between C-alphas of different helices and sheets
ROD_RISE, ROD_RADIUS, ROD_TWIST, ROD_SPACING = 2.8, 9.0, 33.0, 23.0  # double helix, A and degrees
# one base pair: two phosphates on the rim and bases inside, 1.7 times as dense as folded residues
ROD_PHOSPHATE, ROD_BASE, ROD_BASES = 15, 30, 16


@dataclass(frozen=True)
class Domain:
    """Pseudo-atoms in a ball or ellipsoid about the origin."""

    positions: np.ndarray  # float64 (n, 3), A
    numbers: np.ndarray  # int64 (n,): atomic numbers
    radius: float  # A, of the ball of the same volume


def folded_domain(radius: float, rng: np.random.Generator) -> Domain:
    """Fill an ellipsoid with residues: helices and sheets where they fit, a self-avoiding chain in the rest.

    Parameters
    ----------
    radius : float
        Of the ball of the same volume, A.
    rng : numpy.random.Generator
        Source of the fold.

    Returns
    -------
    Domain
        Two pseudo-atoms for each residue, C-alpha and side chain.
    """
    total = residues_in_ball(radius)
    helical, extended = FOLD_CLASSES[rng.choice(len(FOLD_CLASSES), p=[share for _, share in FOLD_CLASSES])][0]
    stretch = np.exp(rng.normal(0.0, STRETCH, 3))
    stretch /= np.cbrt(stretch.prod())
    calphas, sides = np.zeros((0, 3)), np.zeros((0, 3))
    for share, draw in ((extended, _sheet), (helical, _helix)):
        end, failed = len(calphas) + share * total, 0
        while len(calphas) < end and failed < PLACINGS_TRIED:
            placed = _place(*draw(radius, rng), radius * stretch, calphas, rng)
            if placed is None or len(calphas) + len(placed[0]) > total:
                failed += 1
                continue
            calphas, sides = np.concatenate([calphas, placed[0]]), np.concatenate([sides, placed[1]])
    coil = confined_walk(radius, rng, calphas, stretch)
    outward = rng.normal(size=coil.shape)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    positions = np.concatenate([calphas, coil, sides, coil + SIDE_CHAIN_REACH * outward])
    return Domain(positions, np.repeat([CALPHA, SIDE_CHAIN], len(positions) // 2), radius)


def _helix(radius: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Helix of 10 to 25 residues about the origin, no longer than the ball: C-alphas and side chains, (n, 3) each."""
    step = np.arange(max(5, min(int(rng.integers(10, 26)), int(1.7 * radius / HELIX_RISE))))
    angle = np.deg2rad(HELIX_TURN) * step
    outward = np.stack([np.cos(angle), np.sin(angle), np.zeros(len(step))], axis=-1)
    axis = np.stack([0 * angle, 0 * angle, HELIX_RISE * (step - step.mean())], axis=-1)
    return axis + HELIX_RADIUS * outward, axis + (HELIX_RADIUS + SIDE_CHAIN_REACH) * outward


def _sheet(radius: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Twisted sheet of three to seven strands about the origin, no wider than the ball: C-alphas and side chains."""
    strands = max(2, min(int(rng.integers(3, 8)), int(1.5 * radius / STRAND_SPACING)))
    length = max(3, min(int(rng.integers(5, 11)), int(1.4 * radius / STRAND_RISE)))
    across, along = (grid.ravel() - grid.mean() for grid in np.meshgrid(np.arange(strands), np.arange(length), indexing="ij"))
    up = np.tile(np.where(np.arange(length) % 2, 1.0, -1.0), strands)
    twist = np.deg2rad(STRAND_TWIST) * across
    flat = np.stack([STRAND_SPACING * across, STRAND_RISE * along * np.cos(twist), STRAND_RISE * along * np.sin(twist)], axis=-1)
    normal = np.stack([0 * twist, -np.sin(twist), np.cos(twist)], axis=-1) * up[:, None]
    return flat + PLEAT * normal, flat + (PLEAT + SIDE_CHAIN_REACH) * normal


def _place(
    calphas: np.ndarray, sides: np.ndarray, half_axes: np.ndarray, others: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Turn and move a piece to where it overlaps least with `others` and the rim; None if there is no room."""
    turns = random_rotations(PLACES_TRIED, rng)
    shifts = rng.uniform(-0.7, 0.7, (PLACES_TRIED, 3)) * half_axes
    places = calphas @ turns.transpose(0, 2, 1) + shifts[:, None]
    outside = np.maximum(0.0, np.linalg.norm(places / (half_axes - 1.0), axis=-1) - 1.0).sum(axis=1) * half_axes.mean()
    overlap = np.zeros(PLACES_TRIED)
    if len(others):
        # squared distances as a matrix product: far cheaper than differences
        squares = (places**2).sum(axis=-1)[..., None] + (others**2).sum(axis=-1) - 2.0 * places @ others.T
        overlap = np.maximum(0.0, CLOSEST_PIECES - np.sqrt(np.maximum(squares, 0.0))).sum(axis=(1, 2))
    best = int(np.argmin(outside + overlap))
    if outside[best] + overlap[best] > 0.5 * len(calphas):
        return None
    return places[best], sides @ turns[best].T + shifts[best]


def rod_domain(radius: float, rng: np.random.Generator) -> Domain:
    """Fill a ball with parallel double helices of nucleic acid.

    Parameters
    ----------
    radius : float
        A.
    rng : numpy.random.Generator
        Source of direction and phases.

    Returns
    -------
    Domain
    """
    row = np.arange(-8, 9)
    i, j = (grid.ravel() for grid in np.meshgrid(row, row))
    feet = ROD_SPACING * np.stack([i + 0.5 * j, np.sqrt(0.75) * j], axis=-1)
    feet = feet[(feet**2).sum(axis=1) <= (0.75 * radius) ** 2]
    parts, numbers = [], []
    for foot in feet:
        half = np.sqrt(radius**2 - (foot**2).sum())
        height = np.arange(-half, half, ROD_RISE)
        angle = np.deg2rad(ROD_TWIST) * np.arange(len(height)) + rng.uniform(0, 2 * np.pi)
        # the second strand follows the first across the minor groove
        for turn in (0.0, np.deg2rad(140.0)):
            rim = foot + ROD_RADIUS * np.stack([np.cos(angle + turn), np.sin(angle + turn)], axis=-1)
            parts.append(np.column_stack([rim, height]))
            numbers.append(np.full(len(height), ROD_PHOSPHATE))
        for base in np.linspace(-6.0, 6.0, ROD_BASES):
            inner = foot + base * np.stack([np.cos(angle + 1.2), np.sin(angle + 1.2)], axis=-1)
            parts.append(np.column_stack([inner, height]))
            numbers.append(np.full(len(height), ROD_BASE))
    turn = random_rotations(1, rng)[0]
    return Domain(np.concatenate(parts) @ turn.T, np.concatenate(numbers), radius)
