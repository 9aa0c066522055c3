"""Everything about a mixture that is known before an image is made: what is in every box, where, and how it is turned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix, matrix_to_euler, random_rotations
from relion4plugin.imaging.ctf import CtfParameters
from relion4plugin.simulation.mixture_maps import MICELLES, MixtureMaps
from relion4plugin.simulation.mixture_spec import NEIGHBOURS, OFF_CENTRE, PARTIAL_KINDS, PARTICLE_KINDS, MixtureSpec
from relion4plugin.simulation.packing import crowd, piles
from relion4plugin.simulation.plan import MICROGRAPH_SIZE, draw_ctf

OFFSET = (0.2, 0.5)  # of a particle off its centre, in diameters
FEW_NEIGHBOURS = (1, 3)  # of kind "neighbours" where packing is not dense
AGGREGATE = (2, 6)  # particles in an aggregate
DEFOCUS_SCATTER = 150.0  # A, standard deviation over the particles of a micrograph
LEAST_CONTRAST = 0.3
STREAMS = range(20, 25)


@dataclass(frozen=True)
class Molecules:
    """Everything that is projected from a density; sorted by owner."""

    owner: np.ndarray  # int64 (m,): row of the image
    volume: np.ndarray  # int64 (m,): position in MixtureMaps.volumes
    matrices: np.ndarray  # float64 (m, 3, 3)
    places: np.ndarray  # float64 (m, 2): x, y from the box centre, px
    weight: np.ndarray  # float64 (m,): contrast

    def between(self, first: int, end: int) -> "Molecules":
        """Return those of images first..end-1."""
        chosen = slice(*np.searchsorted(self.owner, [first, end]))
        return Molecules(self.owner[chosen], self.volume[chosen], self.matrices[chosen], self.places[chosen], self.weight[chosen])


@dataclass(frozen=True)
class MixturePlan:
    """Truth of n images, in the order of the STAR file."""

    kinds: np.ndarray  # str (n,)
    map_number: np.ndarray  # int64 (n,): from 1; 0 where no known map is shown alone
    matrices: np.ndarray  # float64 (n, 3, 3)
    angles: np.ndarray  # float64 (n, 3): rot, tilt, psi in degrees
    places: np.ndarray  # float64 (n, 2): (x, y) of the particle from the box centre, px; the negative of the origin
    contrast: np.ndarray  # float64 (n,)
    neighbours: np.ndarray  # int64 (n,): other particles about this one
    micrograph: np.ndarray  # int64 (n,), ascending from 0
    coordinates: np.ndarray  # float64 (n, 2): x, y on the micrograph, px
    ctf: CtfParameters  # the true one
    ramps: np.ndarray  # float64 (n, 2): change of grey across the box (noise sd) and its direction (rad)
    molecules: Molecules

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.kinds)


def deal(shares: Mapping[str, float] | Sequence[float], n: int, rng: np.random.Generator) -> np.ndarray:
    """Deal n cards by share, as nearly as whole numbers allow, and shuffle them.

    Parameters
    ----------
    shares : mapping or sequence of float
        At least 0, not all 0.
    n : int
        Number of cards.
    rng : numpy.random.Generator
        Source of the order.

    Returns
    -------
    numpy.ndarray
        (n,): keys of a mapping, positions in a sequence.
    """
    names = np.array(list(shares)) if isinstance(shares, Mapping) else np.arange(len(shares))
    values = np.array(list(shares.values()) if isinstance(shares, Mapping) else shares, dtype=np.float64)
    exact = n * values / values.sum()
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return rng.permutation(np.repeat(names, counts))


def make_mixture_plan(spec: MixtureSpec, maps: MixtureMaps) -> MixturePlan:
    """Draw the truth of a mixture.

    Parameters
    ----------
    spec : MixtureSpec
        A valid spec.
    maps : MixtureMaps
        Its densities.

    Returns
    -------
    MixturePlan
    """
    pose, kind, optics, others, grey = (np.random.default_rng(np.random.SeedSequence((spec.seed, stream))) for stream in STREAMS)
    n = spec.n_particles
    kinds = deal(spec.kinds, n, kind)
    shares = [share for _, share in spec.sources]
    shown = np.isin(kinds, PARTICLE_KINDS + PARTIAL_KINDS)
    map_number = np.zeros(n, np.int64)
    map_number[shown] = deal(shares, int(shown.sum()), kind) + 1
    diameters = np.array(maps.diameters) / spec.pixel_size
    matrices = orientations(n, spec.view_kappa, spec.n_views, pose)
    places = spec.pick_error / spec.pixel_size * pose.standard_normal((n, 2))
    direction, offset = pose.uniform(0.0, 2.0 * np.pi, n), pose.uniform(*OFFSET, n)
    off = kinds == OFF_CENTRE
    offset *= np.where(off, diameters[np.maximum(map_number - 1, 0)], 0.0)
    places += offset[:, None] * np.stack([np.cos(direction), np.sin(direction)], axis=-1)
    contrast = np.maximum(1.0 + spec.contrast_sd * grey.standard_normal(n), LEAST_CONTRAST)
    ramps = np.stack([spec.ramp * grey.standard_normal(n), grey.uniform(0.0, 2.0 * np.pi, n)], axis=-1)
    micrograph = np.arange(n) // spec.particles_per_micrograph
    draft = _Draft(kinds, map_number, matrices, places, contrast, diameters, np.array(shares) / sum(shares))
    beside = _neighbours(spec, draft, others)
    parts = [_central(draft, maps, others), beside, _aggregates(spec, draft, others)]
    return MixturePlan(
        kinds=kinds,
        map_number=map_number,
        matrices=matrices,
        angles=np.stack(matrix_to_euler(matrices), axis=-1),
        places=places,
        contrast=contrast,
        neighbours=np.bincount(beside.owner, minlength=n),
        micrograph=micrograph,
        coordinates=optics.uniform(spec.box_size / 2, MICROGRAPH_SIZE - spec.box_size / 2, (n, 2)).round(),
        ctf=draw_ctf(spec, micrograph, DEFOCUS_SCATTER, optics),
        ramps=ramps,
        molecules=_joined(parts),
    )


@dataclass(frozen=True)
class _Draft:
    """What is drawn before the molecules; diameters and places in px."""

    kinds: np.ndarray
    map_number: np.ndarray
    matrices: np.ndarray
    places: np.ndarray
    contrast: np.ndarray
    diameters: np.ndarray  # of the maps
    shares: np.ndarray  # of the maps


def orientations(n: int, kappa: float, n_views: int, rng: np.random.Generator) -> np.ndarray:
    """Draw orientations, uniform or with the view directions about preferred ones.

    Parameters
    ----------
    n : int
        How many.
    kappa : float
        Concentration of the von Mises-Fisher distribution about each preferred view; 0: uniform.
    n_views : int
        Preferred views, each as frequent.
    rng : numpy.random.Generator
        Source.

    Returns
    -------
    numpy.ndarray
        float64 (n, 3, 3).
    """
    if kappa == 0:
        return random_rotations(n, rng)
    centres = random_rotations(n_views, rng)
    towards, psi = rng.uniform(-180.0, 180.0, (2, n))
    share = rng.random(n)
    # the cosine of the angle to the preferred view has a density of exp(kappa cos): inverse of its distribution
    cosine = 1.0 + np.log(share + (1.0 - share) * np.exp(-2.0 * kappa)) / kappa
    tip = np.rad2deg(np.arccos(np.clip(cosine, -1.0, 1.0)))
    return np.asarray(euler_to_matrix(towards, tip, psi - towards) @ centres[rng.integers(n_views, size=n)])


def _central(draft: _Draft, maps: MixtureMaps, rng: np.random.Generator) -> Molecules:
    """What is in the middle of the box: a particle, a part of one, or detergent."""
    volume = draft.map_number - 1
    for kind in (*PARTIAL_KINDS, *MICELLES):
        for number in np.unique(draft.map_number[draft.kinds == kind]):
            rows = np.flatnonzero((draft.kinds == kind) & (draft.map_number == number))
            volume[rows] = rng.choice(maps.variants[kind, int(number)], len(rows))
    rows = np.flatnonzero(volume >= 0)
    return Molecules(rows, volume[rows], draft.matrices[rows], draft.places[rows], draft.contrast[rows])


def _neighbours(spec: MixtureSpec, draft: _Draft, rng: np.random.Generator) -> Molecules:
    """Further particles about those in the middle; whole particles of any source."""
    n, (low, high) = len(draft.kinds), spec.neighbours
    counts = np.where(draft.map_number > 0, rng.integers(low, high + 1, n), 0)
    few = rng.integers(FEW_NEIGHBOURS[0], FEW_NEIGHBOURS[1] + 1, n)
    counts = np.where(draft.kinds == NEIGHBOURS, np.maximum(counts, few), counts)
    most = int(counts.max(initial=0))
    numbers = rng.choice(len(draft.shares), (n, most), p=draft.shares)
    places, placed = crowd(counts, draft.diameters[draft.map_number - 1], draft.diameters[numbers], rng)
    owner, slot = np.nonzero(placed)
    matrices = random_rotations(len(owner), rng)
    weight = np.maximum(rng.normal(1.0, spec.contrast_sd, len(owner)), LEAST_CONTRAST)
    return Molecules(owner, numbers[owner, slot], matrices, draft.places[owner] + places[owner, slot], weight)


def _aggregates(spec: MixtureSpec, draft: _Draft, rng: np.random.Generator) -> Molecules:
    """Particles on top of each other; their middle is in the middle of the box."""
    rows = np.flatnonzero(draft.kinds == "aggregate")
    low, high = AGGREGATE
    counts = rng.integers(low, high + 1, len(rows))
    numbers = rng.choice(len(draft.shares), (len(rows), high), p=draft.shares)
    exists = np.arange(high) < counts[:, None]
    places = piles(len(rows), high, draft.diameters[numbers[:, 0]], rng)
    places -= ((places * exists[..., None]).sum(axis=1) / counts[:, None])[:, None]
    pile, slot = np.nonzero(exists)
    weight = np.maximum(rng.normal(1.0, spec.contrast_sd, len(pile)), LEAST_CONTRAST)
    here = draft.places[rows[pile]] + places[pile, slot]
    return Molecules(rows[pile], numbers[pile, slot], random_rotations(len(pile), rng), here, weight)


def _joined(parts: Sequence[Molecules]) -> Molecules:
    owner = np.concatenate([part.owner for part in parts])
    order = np.argsort(owner, kind="stable")
    volume, matrices, places, weight = (
        np.concatenate([getattr(part, name) for part in parts])[order] for name in ("volume", "matrices", "places", "weight")
    )
    return Molecules(owner[order], volume, matrices, places, weight)
