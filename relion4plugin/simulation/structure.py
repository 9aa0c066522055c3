"""Atoms to simulate from: a PDB or mmCIF file, or a built-in pseudo-protein."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError

RESIDUE_VOLUME = 134.0  # A^3, mean volume of an amino acid in a folded protein
CALPHA_STEP = 3.8  # A, between consecutive residues
BACKBONE = np.array([6, 6, 6, 7, 8, 6, 6])  # atomic numbers of one pseudo-residue: backbone and a short side chain
PLACE_CHOICES = 8
STEP_CHOICES = 12
CROWDING_RANGE = 4.5  # A
ATOM_SPREAD = 1.3  # A, standard deviation of the atoms about their residue


@dataclass(frozen=True)
class Atoms:
    """Atoms about their centre of mass."""

    positions: np.ndarray  # float64 (n, 3): x, y, z in A
    numbers: np.ndarray  # int64 (n,): atomic numbers

    @property
    def diameter(self) -> float:
        """Diameter in A of the sphere about the centre of mass that holds every atom."""
        return 2.0 * float(np.sqrt((self.positions**2).sum(axis=1).max()))


def centred(positions: np.ndarray, numbers: np.ndarray) -> Atoms:
    """Move the centre of mass (by atomic number) to the origin."""
    centre = np.average(positions, axis=0, weights=numbers)
    return Atoms(positions - centre, numbers)


def read_structure(path: str) -> Atoms:
    """Read the first model of a PDB or mmCIF file (also .gz), without water, hydrogen and second conformations.

    Raises
    ------
    UserError
        If gemmi cannot read it or it has no atoms.
    """
    import gemmi

    try:
        structure = gemmi.read_structure(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{Path(path).name}: not readable as PDB or mmCIF ({error}); give another structure") from error
    structure.remove_alternative_conformations()
    structure.remove_hydrogens()
    structure.remove_waters()
    rows = [(*site.atom.pos.tolist(), site.atom.element.atomic_number) for site in structure[0].all()] if len(structure) else []
    if not rows:
        raise UserError(f"{Path(path).name}: no atoms other than water in it; give another structure")
    table = np.array(rows)
    return centred(table[:, :3], np.maximum(table[:, 3].astype(np.int64), 1))


def pseudo_protein(seed: int) -> Atoms:
    """Build a compact molecule of nine to twelve globular domains, without symmetry, 150 to 200 A across.

    Each domain is a chain of residues that walks at random inside a ball of protein density; the domains touch. The same seed
    gives the same molecule.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, 0x70726F74)))
    while True:
        radii = rng.uniform(18.0, 29.0, int(rng.integers(9, 13)))
        centres = touching_balls(radii, rng)
        between = np.linalg.norm(centres[:, None] - centres, axis=2) + radii[:, None] + radii
        if 150.0 <= between.max() <= 185.0:
            break
    residues = np.concatenate([centre + confined_walk(radius, rng) for centre, radius in zip(centres, radii, strict=True)])
    positions = np.repeat(residues, len(BACKBONE), axis=0)
    positions += rng.normal(0.0, ATOM_SPREAD, positions.shape)
    return centred(positions, np.tile(BACKBONE, len(residues)))


def touching_balls(radii: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Place balls one after the other, each touching an earlier one, at the free place nearest to their middle.

    Parameters
    ----------
    radii : numpy.ndarray
        float (n,), A.
    rng : numpy.random.Generator
        Source of the places that are tried.

    Returns
    -------
    numpy.ndarray
        float64 (n, 3): centres in A, the first at the origin.
    """
    centres = np.zeros((len(radii), 3))
    for i in range(1, len(radii)):
        touched = rng.integers(i, size=PLACE_CHOICES)
        directions = rng.normal(size=(PLACE_CHOICES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        places = centres[touched] + 0.9 * (radii[touched] + radii[i])[:, None] * directions
        overlap = 0.85 * (radii[:i] + radii[i]) - np.linalg.norm(places[:, None] - centres[:i], axis=2)
        distance = np.linalg.norm(places - centres[:i].mean(axis=0), axis=1)
        centres[i] = places[np.argmin(distance + 1000.0 * np.maximum(overlap, 0.0).sum(axis=1))]
    return centres


def residues_in_ball(radius: float) -> int:
    """Residues that fill a ball of `radius` A at the density of a folded protein."""
    return round(4.0 / 3.0 * np.pi * radius**3 / RESIDUE_VOLUME)


def confined_walk(
    radius: float, rng: np.random.Generator, others: np.ndarray | None = None, stretch: np.ndarray | float = 1.0
) -> np.ndarray:
    """Walk of residues in a ball or ellipsoid at protein density, each step the least crowded of several.

    Parameters
    ----------
    radius : float
        Of the ball about the origin, A.
    rng : numpy.random.Generator
        Source of the steps that are tried.
    others : numpy.ndarray, optional
        float (m, 3): residues that are in the ball already, A; the walk has as many fewer.
    stretch : numpy.ndarray or float
        float (3,): half-axes of the ellipsoid, of `radius`; their product is 1.

    Returns
    -------
    numpy.ndarray
        float64 (n, 3), A.
    """
    present = 0 if others is None else len(others)
    places = np.zeros((max(residues_in_ball(radius), present + 1), 3))
    if others is not None:
        places[:present] = others
    for i in range(present + 1, len(places)):
        steps = rng.normal(size=(STEP_CHOICES, 3))
        steps = places[i - 1] + CALPHA_STEP * steps / np.linalg.norm(steps, axis=1, keepdims=True)
        distance2 = ((steps[:, None] - places[None, :i]) ** 2).sum(axis=2)
        crowding = np.exp(-distance2 / CROWDING_RANGE**2).sum(axis=1) + np.maximum(0.0, ((steps / stretch) ** 2).sum(axis=1) - radius**2)
        places[i] = steps[np.argmin(crowding)]
    return places[present:]
