"""Invented proteins of many sizes, shapes and symmetries."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.geometry.euler import random_rotations
from relion4plugin.geometry.symmetry import point_group, rotation_about
from relion4plugin.simulation.belts import with_belt
from relion4plugin.simulation.folds import Domain, folded_domain, rod_domain
from relion4plugin.simulation.structure import RESIDUE_VOLUME, Atoms, centred, touching_balls

RESIDUE_MASS = 0.110  # kDa
SMEAR_BFACTOR = 60.0  # A^2: a pseudo-atom stands for several atoms; with it the power spectrum is that of proteins
STREAM = 0x6D6F6C65
LIGHTEST_COPY = 8.0  # kDa in an asymmetric unit
DOMAIN_RADIUS = (15.0, 28.0)  # A
MOST_TEMPLATES = 8  # different domains in an asymmetric unit; larger ones repeat them
NUCLEIC_CHANCE, NUCLEIC_SHARE = 0.15, 0.4  # proteins with nucleic acid, and the chance of a domain there to be of it
MASS_STRATA = (((50.0, 150.0), 0.25), ((150.0, 500.0), 0.40), ((500.0, 4000.0), 0.25), ((80.0, 300.0), 0.10))  # kDa; last: elongated
SYMMETRY_FAMILIES = (("C1", 0.40), ("C", 0.30), ("D", 0.20), ("P", 0.10))
LOOSENESS = 0.78  # of the sum of two radii, distance of domains: they interlock
INTERLOCKED = 0.87  # of its radius, a domain among its neighbours
ARRANGEMENTS = 6  # ways to arrange the copies, of which the most compact one is taken
FARTHEST = 500.0  # A, of the asymmetric unit from the centre
HINGE = (25.0, 60.0)  # degrees by which a domain swings in another conformation


@dataclass(frozen=True)
class PseudoIdentity:
    """What an invented protein is."""

    mass: float  # kDa, belt not counted
    symmetry: str  # as `geometry.symmetry.point_group`
    elongated: bool  # domains in a row or a piece of a filament
    nucleic: bool  # some domains are of nucleic acid


def pseudo_identity(seed: int, mass_kda: float | None = None, symmetry: str | None = None) -> PseudoIdentity:
    """Draw what protein `seed` is.

    Masses: a quarter of the proteins has 50 to 150 kDa, 40 % 150 to 500, a quarter 0.5 to 4 MDa, a tenth is elongated.
    Symmetries: 40 % none, 30 % Cn, 20 % Dn, 10 % T, O or I. A protein too light for its symmetry is made heavier.

    Parameters
    ----------
    seed : int
        Number of the protein.
    mass_kda : float, optional
        Mass to have instead of the one drawn.
    symmetry : str, optional
        Point group to have instead of the one drawn.

    Raises
    ------
    UserError
        If the mass asked for is below 8 kDa for each copy of the symmetry.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, STREAM, 0)))
    stratum = rng.choice(len(MASS_STRATA), p=[share for _, share in MASS_STRATA])
    low, high = MASS_STRATA[stratum][0]
    drawn = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    family = SYMMETRY_FAMILIES[rng.choice(len(SYMMETRY_FAMILIES), p=[share for _, share in SYMMETRY_FAMILIES])][0]
    fold = int(rng.choice([2, 3, 4, 5, 6, 7, 8], p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.1, 0.05]))
    named = {"C1": "C1", "C": f"C{fold}", "D": f"D{fold}", "P": "TOI"[rng.integers(3)]}[family]
    elongated = stratum == len(MASS_STRATA) - 1 and mass_kda is None and symmetry is None
    chosen = symmetry or ("C1" if elongated else named)
    lightest = LIGHTEST_COPY * len(point_group(chosen))
    if mass_kda is not None and mass_kda < lightest:
        raise UserError(f"simulation: {mass_kda:g} kDa is too light for symmetry {chosen}; give at least {lightest:g} kDa")
    mass = max(drawn, 1.5 * lightest) if mass_kda is None else mass_kda
    return PseudoIdentity(mass, chosen, bool(elongated), bool(rng.random() < NUCLEIC_CHANCE))


def pseudo_structure(
    seed: int, mass_kda: float | None = None, symmetry: str | None = None, belt: bool = False, conformation: int = 0
) -> Atoms:
    """Build an invented protein; the same arguments give the same atoms.

    An asymmetric unit of domains that touch is copied about the symmetry axes, as near to them as the copies let each other.
    Domains have helices, sheets and coil at protein density, two pseudo-atoms for each residue.

    Parameters
    ----------
    seed : int
        Number of the protein.
    mass_kda, symmetry : optional
        As `pseudo_identity`.
    belt : bool
        Whether a belt of detergent or lipid lies around it.
    conformation : int
        0, or the number of another conformation: one domain of each copy swings about its neighbour.

    Returns
    -------
    Atoms
        Centred; `Atoms.diameter` is that of the sphere about the centre that holds all.

    Raises
    ------
    UserError
        As `pseudo_identity`.
    """
    identity = pseudo_identity(seed, mass_kda, symmetry)
    folds, layout, membrane = (np.random.default_rng(np.random.SeedSequence((seed, STREAM, stream))) for stream in (1, 2, 3))
    rotations, rises = _copies(identity, layout)
    radii = _radii(identity.mass / RESIDUE_MASS / len(rises), layout)
    templates = [_domain(radius, identity.nucleic and i > 0, folds) for i, radius in enumerate(radii[:MOST_TEMPLATES])]
    centres = _row(radii, layout) if identity.elongated and len(rises) == 1 else touching_balls(INTERLOCKED * radii, layout)
    turns = random_rotations(len(radii), layout)
    frame, offset = _arrangement(centres, radii, rotations, rises, layout)
    if conformation:
        _swing(centres, turns, np.random.default_rng(np.random.SeedSequence((seed, STREAM, 4, conformation))))
    domains = [templates[i % MOST_TEMPLATES] for i in range(len(radii))]
    unit = np.concatenate([domain.positions @ turn.T + centre for domain, turn, centre in zip(domains, turns, centres, strict=True)])
    unit = unit @ frame.T + offset
    positions = np.concatenate([unit @ rotation.T + [0.0, 0.0, rise] for rotation, rise in zip(rotations, rises, strict=True)])
    atoms = centred(positions, np.tile(np.concatenate([domain.numbers for domain in domains]), len(rises)))
    if not belt:
        return atoms
    return with_belt(atoms, membrane, np.array([0.0, 0.0, 1.0]) if len(rises) > 1 else None)


def _copies(identity: PseudoIdentity, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (m, 3, 3) about the origin and rises (m,) along z, A, of the copies of the asymmetric unit."""
    if not identity.elongated or rng.random() < 0.5:
        rotations = point_group(identity.symmetry)
        return rotations, np.zeros(len(rotations))
    number = int(np.clip(identity.mass / rng.uniform(25.0, 60.0), 4, 24))
    radius = np.cbrt(3.0 / (4.0 * np.pi) * RESIDUE_VOLUME * identity.mass / RESIDUE_MASS / number)
    twist, rise = rng.uniform(90.0, 180.0), rng.uniform(0.5, 0.9) * 2.0 * radius
    step = np.arange(number)
    return np.array([rotation_about((0, 0, 1), twist * i) for i in step]), rise * (step - step.mean())


def _radii(residues: float, rng: np.random.Generator) -> np.ndarray:
    """Radii in A of the domains that share some residues; the first `MOST_TEMPLATES` repeat."""
    volume = residues * RESIDUE_VOLUME * 3.0 / (4.0 * np.pi)  # sum of the cubed radii
    templates = rng.uniform(*DOMAIN_RADIUS, MOST_TEMPLATES)
    number = max(1, int(np.rint(volume / (templates**3).mean())))
    radii = np.resize(templates, number)
    return radii * np.cbrt(volume / (radii**3).sum())


def _domain(radius: float, nucleic: bool, rng: np.random.Generator) -> Domain:
    return rod_domain(radius, rng) if nucleic and rng.random() < NUCLEIC_SHARE else folded_domain(radius, rng)


def _row(radii: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Centres (n, 3) of balls that touch, in a row that bends a little."""
    steps = np.array([0.0, 0.0, 1.0]) + rng.normal(0.0, 0.3, (len(radii), 3))
    steps *= LOOSENESS * (radii + np.roll(radii, 1))[:, None] / np.linalg.norm(steps, axis=1, keepdims=True)
    steps[0] = 0.0
    return np.cumsum(steps, axis=0)


def _swing(centres: np.ndarray, turns: np.ndarray, rng: np.random.Generator) -> None:
    """Swing one of the outer domains about its nearest neighbour, in place; a lone domain turns."""
    away = np.linalg.norm(centres - centres.mean(axis=0), axis=1)
    moved = rng.choice(np.argsort(away)[len(away) // 2 :])
    hinge = rotation_about(rng.normal(size=3), rng.uniform(*HINGE) * rng.choice([-1.0, 1.0]))
    distance = np.linalg.norm(centres - centres[moved], axis=1)
    distance[moved] = np.inf
    pivot = centres[np.argmin(distance)].copy() if len(centres) > 1 else centres[moved].copy()
    centres[moved] = pivot + hinge @ (centres[moved] - pivot)
    turns[moved] = hinge @ turns[moved]


def _arrangement(
    centres: np.ndarray, radii: np.ndarray, rotations: np.ndarray, rises: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Orientation (3, 3) and place (3,) of the asymmetric unit that keeps its copies apart; the most compact of several."""
    best: tuple[np.ndarray, np.ndarray] = (np.eye(3), np.zeros(3))
    if len(rotations) == 1:
        return best
    found, smallest = 0, np.inf
    free = 1.0 if np.abs(rotations[:, 2, 2] - 1.0).max() > 1e-6 else 0.0  # about one axis only: its direction makes no difference
    while found < ARRANGEMENTS:
        frame, direction = random_rotations(1, rng)[0], rng.normal(size=3) * [1.0, 1.0, free]
        direction /= np.linalg.norm(direction)
        turned = centres @ frame.T
        distance = _clear_distance(turned - turned.mean(axis=0), radii, rotations, rises, direction)
        if distance is None:
            continue
        found += 1
        offset = distance * direction - turned.mean(axis=0)
        size = (np.linalg.norm(turned + offset, axis=1) + radii).max()
        if size < smallest:
            smallest, best = size, (frame, offset)
    return best


def _clear_distance(
    centres: np.ndarray, radii: np.ndarray, rotations: np.ndarray, rises: np.ndarray, direction: np.ndarray
) -> float | None:
    """Smallest distance in A from the origin along `direction` at which no domain runs into one of another copy.

    None if there is no good one: the direction is too near an axis.
    """
    needed = LOOSENESS * (radii[:, None] + radii)
    reference = len(rises) // 2 if np.ptp(rises) else 0  # in a filament one from the middle meets the most neighbours
    others = np.delete(np.arange(len(rises)), reference)
    for distance in np.arange(0.0, FARTHEST, 3.0):
        places = centres + distance * direction
        own = places @ rotations[reference].T + [0.0, 0.0, rises[reference]]
        copies = places @ rotations[others].transpose(0, 2, 1)
        copies[..., 2] += rises[others, None]
        apart = np.linalg.norm(own[None, :, None] - copies[:, None], axis=-1)
        if (apart >= needed).all():
            return float(distance)
    return None
