"""Everything about a data set that is known before an image is made: poses, kinds, defocus, micrographs, contaminants.

It is drawn for all particles at once, so that it does not depend on how the images are later made in chunks.
"""

from dataclasses import dataclass

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix, matrix_to_euler, random_rotations
from relion4plugin.imaging.ctf import CtfParameters
from relion4plugin.simulation.mixture_spec import MixtureSpec
from relion4plugin.simulation.spec import NEIGHBOUR, PARTICLE, SimulationSpec

MICROGRAPH_SIZE = 4096  # px of the particle images, for rlnCoordinateX/Y
AGGREGATE_SIZE = (4, 9)  # molecules in an aggregate, half-open
AGGREGATE_SPREAD = 0.35  # standard deviation of their places, in diameters
NEIGHBOUR_DISTANCE = (0.85, 1.1)  # of the second particle, in diameters


@dataclass(frozen=True)
class Extras:
    """Further molecules in some images; sorted by owner."""

    owner: np.ndarray  # int64 (m,): row of the image
    matrices: np.ndarray  # float64 (m, 3, 3)
    places: np.ndarray  # float64 (m, 2): (x, y) from the box centre, px

    def between(self, first: int, end: int) -> "Extras":
        """Return those of images first..end-1."""
        chosen = slice(*np.searchsorted(self.owner, [first, end]))
        return Extras(self.owner[chosen], self.matrices[chosen], self.places[chosen])


@dataclass(frozen=True)
class Plan:
    """Truth of n images, in the order of the STAR file: by micrograph."""

    matrices: np.ndarray  # float64 (n, 3, 3)
    angles: np.ndarray  # float64 (n, 3): rot, tilt, psi in degrees
    places: np.ndarray  # float64 (n, 2): particle (x, y) from the box centre, px; the negative of the origin
    kinds: np.ndarray  # str (n,)
    views: np.ndarray  # int64 (n,): preferred view counted from 1, 0 for none
    micrograph: np.ndarray  # int64 (n,), ascending from 0
    optics_group: np.ndarray  # int64 (n,), from 1
    coordinates: np.ndarray  # float64 (n, 2): x, y on the micrograph, px
    ctf: CtfParameters
    edges: np.ndarray  # float64 (n, 3): direction (rad), distance (px), height (noise sd) of an ice or carbon edge
    extras: Extras

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.kinds)


def make_plan(spec: SimulationSpec, diameter: float) -> Plan:
    """Draw the truth of a data set.

    Parameters
    ----------
    spec : SimulationSpec
        What is asked for.
    diameter : float
        Diameter of the particle in A.

    Returns
    -------
    Plan
    """
    pose, kind, optics, contaminant = (np.random.default_rng(np.random.SeedSequence((spec.seed, stream))) for stream in range(1, 5))
    n = spec.n_particles
    matrices, views = _orientations(spec, pose)
    kinds = _kinds(spec, kind)
    micrograph = np.arange(n) * spec.micrographs // n
    return Plan(
        matrices=matrices,
        angles=np.stack(matrix_to_euler(matrices), axis=-1),
        places=spec.shift_sigma * pose.standard_normal((n, 2)),
        kinds=kinds,
        views=views,
        micrograph=micrograph,
        optics_group=micrograph % spec.n_optics_groups + 1,
        coordinates=optics.uniform(spec.box_size / 2, MICROGRAPH_SIZE - spec.box_size / 2, (n, 2)).round(),
        ctf=draw_ctf(spec, micrograph, spec.defocus_scatter, optics),
        edges=_edges(spec, contaminant),
        extras=_extras(spec, kinds, diameter / spec.pixel_size, contaminant),
    )


def _orientations(spec: SimulationSpec, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rotation matrices (n, 3, 3), uniform or about preferred views, and the number of the view."""
    n = spec.n_particles
    if spec.n_views == 0:
        return random_rotations(n, rng), np.zeros(n, np.int64)
    centres = random_rotations(spec.n_views, rng)
    view = rng.integers(spec.n_views, size=n)
    # the view direction is row 3 of the matrix: a small turn on the left tips it, psi then turns in the image plane
    towards, psi = rng.uniform(-180.0, 180.0, (2, n))
    tip = spec.view_spread * np.hypot(*rng.standard_normal((2, n)))
    turn = euler_to_matrix(towards, tip, psi - towards)
    return turn @ centres[view], view + 1


def _kinds(spec: SimulationSpec, rng: np.random.Generator) -> np.ndarray:
    """Kind of every image: the junk dealt evenly over its kinds, in random places."""
    n_junk = round(spec.junk_fraction * spec.n_particles)
    junk = np.resize(np.array(spec.junk_kinds), n_junk)
    return rng.permutation(np.concatenate([junk, np.full(spec.n_particles - n_junk, PARTICLE)]).astype(str))


def draw_ctf(spec: SimulationSpec | MixtureSpec, micrograph: np.ndarray, scatter: float, rng: np.random.Generator) -> CtfParameters:
    """Defocus of each micrograph, scattered over its particles; astigmatism with one angle for each micrograph.

    Parameters
    ----------
    spec : SimulationSpec or MixtureSpec
        Microscope and range of defocus.
    micrograph : numpy.ndarray
        int (n,), ascending from 0.
    scatter : float
        Standard deviation over the particles of a micrograph, A.
    rng : numpy.random.Generator
        Source.

    Returns
    -------
    CtfParameters
        Of n particles, rounded as a STAR file will say it.
    """
    n, micrographs = len(micrograph), int(micrograph[-1]) + 1
    mean = rng.uniform(spec.defocus_min, spec.defocus_max, micrographs)[micrograph] + scatter * rng.standard_normal(n)
    angle = rng.uniform(-90.0, 90.0, micrographs)[micrograph]
    return CtfParameters(
        defocus_u=(mean + spec.astigmatism / 2).round(2),
        defocus_v=(mean - spec.astigmatism / 2).round(2),
        defocus_angle=angle.round(4),
        voltage=np.full(n, spec.voltage),
        spherical_aberration=np.full(n, spec.spherical_aberration),
        amplitude_contrast=np.full(n, spec.amplitude_contrast),
        phase_shift=np.full(n, spec.phase_shift),
        bfactor=np.zeros(n),
        scale=np.ones(n),
    )


def _edges(spec: SimulationSpec, rng: np.random.Generator) -> np.ndarray:
    """Direction, distance from the box centre and signed height of an edge, for every image (used by kind "edge")."""
    n = spec.n_particles
    height = rng.uniform(2.0, 5.0, n) * rng.choice([-1.0, 1.0], n)
    return np.stack([rng.uniform(0.0, 2.0 * np.pi, n), rng.uniform(-0.25, 0.25, n) * spec.box_size, height], axis=-1)


def _extras(spec: SimulationSpec, kinds: np.ndarray, diameter: float, rng: np.random.Generator) -> Extras:
    """Molecules of the aggregates and the second particle of the images with a neighbour; `diameter` in px."""
    count = np.where(kinds == "aggregate", rng.integers(*AGGREGATE_SIZE, len(kinds)), (kinds == NEIGHBOUR).astype(np.int64))
    owner = np.repeat(np.arange(len(kinds)), count)
    m = len(owner)
    piled = AGGREGATE_SPREAD * diameter * rng.standard_normal((m, 2))
    direction, distance = rng.uniform(0.0, 2.0 * np.pi, m), diameter * rng.uniform(*NEIGHBOUR_DISTANCE, m)
    beside = distance[:, None] * np.stack([np.cos(direction), np.sin(direction)], axis=-1)
    return Extras(owner, random_rotations(m, rng), np.where((kinds[owner] == NEIGHBOUR)[:, None], beside, piled))
