"""Membrane proteins for simulations: where the membrane was, and a belt of detergent about it."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage

from relion4plugin.geometry.healpix import directions

# Residues of the lipid side against those that a membrane keeps out.
HYDROPHOBICITY = dict.fromkeys(("ILE", "LEU", "VAL", "PHE", "MET"), 1.0) | dict.fromkeys(("ALA", "TRP", "CYS", "GLY"), 0.4)
HYDROPHOBICITY |= dict.fromkeys(("ASP", "GLU", "LYS", "ARG"), -2.0) | dict.fromkeys(("ASN", "GLN", "HIS"), -1.0)
HALF_CORE = 13.0  # A, half the thickness of the hydrophobic core
HALF_BELT = 20.0  # A, half the height of the belt
BELT_WIDTH = 18.0  # A, from the protein's footprint to the rim
EDGE = 0.12  # softness of the rim, part of the belt's radius
CONTRAST = 0.7  # of the protein's smoothed density above the solvent, averaged with its rim
SMOOTHING = 4.0  # A, standard deviation: above the size of an atom, below that of the belt


@dataclass(frozen=True)
class Membrane:
    """Midplane of a membrane; lengths in A, in the frame of the atoms given."""

    normal: np.ndarray  # unit vector x, y, z
    height: float  # of the midplane along the normal
    score: float  # sum of the hydrophobicity within the core


def find_membrane(residues: np.ndarray, names: list[str]) -> Membrane:
    """Find the slab of the hydrophobic core's thickness that holds the most hydrophobic residues and the fewest charged ones.

    Parameters
    ----------
    residues : numpy.ndarray
        float (n, 3): x, y, z of the CA atoms of the chains in the membrane, A.
    names : list of str
        Three-letter names of the n residues.

    Returns
    -------
    Membrane
    """
    values = np.array([HYDROPHOBICITY.get(name, 0.0) for name in names])
    rot, tilt = (np.deg2rad(a) for a in directions(4))
    axes = np.stack([np.cos(rot) * np.sin(tilt), np.sin(rot) * np.sin(tilt), np.cos(tilt)], axis=-1)
    axes = axes[axes[:, 2] >= 0]
    heights = np.arange(-80.0, 81.0, 1.0)
    along = residues @ axes.T
    best = Membrane(axes[0], 0.0, -np.inf)
    for axis, places in zip(axes, along.T, strict=True):
        order = np.argsort(places)
        sums = np.concatenate([[0.0], np.cumsum(values[order])])
        ends = np.searchsorted(places[order], np.stack([heights - HALF_CORE, heights + HALF_CORE]))
        scores = sums[ends[1]] - sums[ends[0]]
        top = int(np.argmax(scores))
        if scores[top] > best.score:
            best = Membrane(axis, float(heights[top]), float(scores[top]))
    return best


def detergent_belt(protein: np.ndarray, atoms: np.ndarray, membrane: Membrane, pixel_size: float) -> np.ndarray:
    """Density of a belt of detergent: a flat ellipsoid about the protein in the membrane, without the protein.

    Parameters
    ----------
    protein : numpy.ndarray
        float32 (N, N, N) z, y, x, density of the protein; the origin of the atoms is at voxel N/2.
    atoms : numpy.ndarray
        float (n, 3): x, y, z in A of the atoms of the chains in the membrane.
    membrane : Membrane
        Where it was.
    pixel_size : float
        A per voxel.

    Returns
    -------
    numpy.ndarray
        float32 (N, N, N), in the protein's units, to be added to it.
    """
    smooth = scipy.ndimage.gaussian_filter(protein, SMOOTHING / pixel_size)
    level = float(smooth[smooth > 0.3 * smooth.max()].mean())
    frame = _membrane_frame(membrane.normal)
    local = atoms @ frame.T
    local = local[np.abs(local[:, 2] - membrane.height) < HALF_CORE, :2]
    middle = local.mean(axis=0)
    spread, axes = np.linalg.eigh(np.cov((local - middle).T))
    radii = 2.0 * np.sqrt(spread) + BELT_WIDTH  # a filled ellipse ends at two standard deviations
    n = protein.shape[0]
    axis = (np.arange(n, dtype=np.float32) - n // 2) * np.float32(pixel_size)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
    u, v, w = (frame[i, 0] * x + frame[i, 1] * y + frame[i, 2] * z for i in range(3))
    u, v = u - middle[0], v - middle[1]
    across = sum(((axes[0, i] * u + axes[1, i] * v) / radii[i]) ** 2 for i in range(2))
    # fourth powers: flatter faces and steeper sides than an ellipsoid's, as micelles about proteins look
    distance = (across**2 + ((w - membrane.height) / HALF_BELT) ** 4) ** 0.25
    inside = 0.5 - 0.5 * np.tanh((distance - 1.0) / EDGE)
    return (CONTRAST * level * inside * (1.0 - np.clip(smooth / level, 0.0, 1.0))).astype(np.float32)


def _membrane_frame(normal: np.ndarray) -> np.ndarray:
    """Rotation matrix whose third row is the normal."""
    first = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(normal, first), normal])
