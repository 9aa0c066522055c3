"""The truth of one movie: what lies where in its specimen, how it is seen and how it moves."""

from dataclasses import dataclass, replace

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix, matrix_to_euler
from relion4plugin.imaging.ctf import CtfParameters, wavelength
from relion4plugin.simulation.mixture_maps import MixtureMaps
from relion4plugin.simulation.mixture_plan import Molecules, deal, orientations
from relion4plugin.simulation.movie_motion import Motion, draw_motion
from relion4plugin.simulation.movie_places import scattered
from relion4plugin.simulation.movie_spec import MovieSpec
from relion4plugin.simulation.packing import piles
from relion4plugin.simulation.plan import draw_ctf

PARTICLE = "particle"
AGGREGATE = (3, 9)  # particles in an aggregate, half-open
FINEST = 3.0  # A: detail whose contrast transfer is right to PHASE_STEP
PHASE_STEP, LARGEST_STEP = 0.6, 100.0  # between two layers of the specimen: rad at the finest detail, A
SPREAD_LIMIT = 2.5  # standard deviations of the particles' height
SPLINE_RIM = 8  # px about the field that interpolation may touch
MOVIE_STREAM, VIEW_STREAM = 0x6D6F76, 0x6D6F77
VIEWS = 4096  # of a session with preferred views, turned in plane at random
HOLE_RADIUS = (6000.0, 8000.0)  # A
FILM_DEPTH = (0.05, 0.35)  # of the shorter side of the frame, from its middle to the rim of the hole


@dataclass(frozen=True)
class MoviePlan:
    """Truth of one movie; n items (particles and contaminants), of which those outside the frame reach into it or nearly so."""

    index: int
    kinds: np.ndarray  # str (n,)
    map_number: np.ndarray  # int64 (n,): source from 1, 0 for none
    places: np.ndarray  # float64 (n, 2): x, y in the first frame, px of the file
    layers: np.ndarray  # int64 (n,): height in steps of `layer_step`
    angles: np.ndarray  # float64 (n, 3): rot, tilt, psi in degrees
    molecules: Molecules  # in the items; places from the item, px of the file
    ctf: CtfParameters  # of layer 0, one row
    layer_step: float  # A of defocus
    slope: np.ndarray  # float64 (2,): layers per px of the file, along x and y, from the middle of the frame
    ice: np.ndarray  # float64 (2,): thickness in the middle, A; direction of its gradient, rad
    carbon: np.ndarray | None  # float64 (3,): centre x, y and radius of the hole whose edge is seen, px of the file
    motion: Motion
    margin: int  # px of the file on each side of the frame that belong to the field
    optics_group: int  # from 1

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self.kinds)

    def ctf_of_layers(self, layers: np.ndarray) -> CtfParameters:
        """CTF at some heights, as many rows."""
        ctf = self.ctf.select(np.zeros(len(layers), np.int64))
        return replace(ctf, defocus_u=ctf.defocus_u + layers * self.layer_step, defocus_v=ctf.defocus_v + layers * self.layer_step)

    @property
    def in_frame(self) -> np.ndarray:
        """Rows of the items whose centre is in the first frame."""
        x, y = self.places.T
        return np.flatnonzero((x >= 0) & (y >= 0) & (x <= self.motion.width - 1) & (y <= self.motion.height - 1))


def stream(spec: MovieSpec, index: int, *part: int) -> np.random.Generator:
    """Random numbers of one part of one movie."""
    return np.random.default_rng(np.random.SeedSequence((spec.seed, MOVIE_STREAM, index, *part)))


def make_movie_plan(spec: MovieSpec, maps: MixtureMaps, index: int) -> MoviePlan:
    """Draw the truth of movie `index` (from 0), which does not depend on other movies.

    Parameters
    ----------
    spec : MovieSpec
        A valid spec.
    maps : MixtureMaps
        Densities of its particles.
    index : int
        Which movie.

    Returns
    -------
    MoviePlan
    """
    moving, optics, place, pose, others, film = (stream(spec, index, part) for part in range(6))
    motion = draw_motion(spec, moving)
    diameter = max(maps.diameters) / spec.file_pixel_size
    margin = int(np.ceil(motion.reach + 0.5 * diameter)) + SPLINE_RIM
    size = np.array([spec.width + 2 * margin, spec.height + 2 * margin], float)
    kinds, places = _items(spec, size, diameter, place)
    axis, slope = place.uniform(0.0, 2 * np.pi), np.tan(np.deg2rad(spec.tilt)) * spec.file_pixel_size
    step = min(LARGEST_STEP, PHASE_STEP * max(FINEST, 2 * spec.pixel_size) ** 2 / (np.pi * wavelength(spec.voltage)))
    towards = slope / step * np.array([np.cos(axis), np.sin(axis)])
    places -= margin
    height = spec.defocus_scatter * np.clip(place.standard_normal(len(places)), -SPREAD_LIMIT, SPREAD_LIMIT)
    layers = np.rint(height / step + (places - [spec.width / 2, spec.height / 2]) @ towards).astype(np.int64)
    matrices = _poses(spec, len(places), pose)
    number = np.where(np.isin(kinds, (PARTICLE, "broken", "denatured")), _maps(spec, len(places), pose), 0)
    ctf = draw_ctf(spec.mixture(16), np.zeros(1, np.int64), 0.0, optics)
    return MoviePlan(
        index=index,
        kinds=kinds,
        map_number=number,
        places=places,
        layers=layers,
        angles=np.stack(matrix_to_euler(matrices), axis=-1),
        molecules=_molecules(spec, maps, kinds, number, matrices, others),
        ctf=replace(ctf, bfactor=np.full(1, spec.bfactor)),
        layer_step=float(step),
        slope=towards,
        ice=np.array([spec.ice_thickness * film.uniform(0.85, 1.15), film.uniform(0, 2 * np.pi)]),
        carbon=_hole(spec, film),
        motion=motion,
        margin=margin,
        optics_group=index % spec.n_optics_groups + 1,
    )


def _items(spec: MovieSpec, size: np.ndarray, diameter: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Kinds and places (x, y from the corner of the field of `size`) of particles and contaminants."""
    share = size[0] * size[1] / (spec.width * spec.height)
    wanted = round(spec.n_particles * share)
    n_junk = round(spec.junk_fraction * wanted)
    places = scattered(wanted + n_junk, (size[0], size[1]), spec.spacing * diameter, rng)
    if spec.n_particles == 0:
        n_junk = round(spec.junk_fraction / (1.0 + spec.junk_fraction) * len(places))
    n_junk = min(n_junk, len(places))
    junk = rng.choice(np.array(spec.junk_kinds), n_junk)
    return rng.permutation(np.concatenate([junk, np.full(len(places) - n_junk, PARTICLE)]).astype(str)), places


def _poses(spec: MovieSpec, n: int, rng: np.random.Generator) -> np.ndarray:
    """Orientations (n, 3, 3); preferred views are those of the whole session."""
    if spec.view_kappa == 0:
        return orientations(n, 0.0, 1, rng)
    session = np.random.default_rng(np.random.SeedSequence((spec.seed, VIEW_STREAM)))
    views = orientations(VIEWS, spec.view_kappa, spec.n_views, session)[rng.integers(VIEWS, size=n)]
    nothing = np.zeros(n)
    return np.asarray(euler_to_matrix(nothing, nothing, rng.uniform(-180.0, 180.0, n)) @ views)


def _maps(spec: MovieSpec, n: int, rng: np.random.Generator) -> np.ndarray:
    return np.asarray(deal([share for _, share in spec.sources], n, rng) + 1)


def _molecules(
    spec: MovieSpec, maps: MixtureMaps, kinds: np.ndarray, number: np.ndarray, matrices: np.ndarray, rng: np.random.Generator
) -> Molecules:
    """Everything that is projected: whole particles, parts of them, piles of them."""
    shown = np.flatnonzero(number > 0)
    volume = number[shown] - 1
    for kind in ("broken", "denatured"):
        for one in np.unique(number[kinds == kind]):
            rows = np.flatnonzero((kinds[shown] == kind) & (number[shown] == one))
            volume[rows] = rng.choice(maps.variants[kind, int(one)], len(rows))
    heaps = np.flatnonzero(kinds == "aggregate")
    counts = rng.integers(*AGGREGATE, len(heaps))
    piled = _maps(spec, len(heaps), rng) - 1
    spread = piles(len(heaps), AGGREGATE[1], np.array(maps.diameters)[piled] / spec.file_pixel_size, rng)
    heap, slot = np.nonzero(np.arange(AGGREGATE[1]) < counts[:, None])
    owner = np.concatenate([shown, heaps[heap]])
    order = np.argsort(owner, kind="stable")
    every = np.concatenate([matrices[shown], orientations(len(heap), 0.0, 1, rng)])
    places = np.concatenate([np.zeros((len(shown), 2)), spread[heap, slot]])
    volumes = np.concatenate([volume, piled[heap]])
    return Molecules(owner[order], volumes[order], every[order], places[order], np.full(len(owner), spec.contrast))


def _hole(spec: MovieSpec, rng: np.random.Generator) -> np.ndarray | None:
    """Centre (x, y) and radius, px, of a hole whose rim crosses the frame; None where only ice is seen."""
    shown, direction, radius, depth = rng.random(), rng.uniform(0, 2 * np.pi), rng.uniform(*HOLE_RADIUS), rng.uniform(*FILM_DEPTH)
    if shown >= spec.carbon_chance:
        return None
    radius /= spec.file_pixel_size
    away = radius - depth * min(spec.width, spec.height)
    return np.array([spec.width / 2 - away * np.cos(direction), spec.height / 2 - away * np.sin(direction), radius])
