"""How step size, T and mini-batch size change over a VDAM run (RELION-4.0 paper, section 3.1)."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.imaging.fourier import round_half_away
from relion4plugin.refinement.settings import Algorithm, RefinementSettings


@dataclass(frozen=True)
class Regime:
    """Constants of a kind of run: eta falls from `inflation` times `step` to `step`, T rises from 1 where `anneal`."""

    step: float
    inflation: float
    anneal: bool
    first: tuple[float, int, int]  # first mini-batch: fraction of the particles, at least, at most
    last: tuple[float, int, int]


CLASSES_2D = Regime(0.3, 3.0, True, (0.005, 200, 10_000), (0.05, 1000, 100_000))
INITIAL_MODEL = Regime(0.5, 1.8, True, (0.005, 200, 5000), (0.10, 1000, 50_000))
CLASSES_3D = Regime(0.3, 1.0, False, (0.10, 200, 100_000), (0.10, 1000, 100_000))


def regime_of(settings: RefinementSettings) -> Regime:
    """Return the constants that belong to a run: 2D classes, initial model, or 3D classes from a reference."""
    if settings.dimension == 2:
        return CLASSES_2D
    return INITIAL_MODEL if settings.de_novo else CLASSES_3D


@dataclass(frozen=True)
class Phases:
    """Lengths, in iterations, of the initial, the in-between and the final phase."""

    initial: int
    between: int
    final: int

    @classmethod
    def of(cls, settings: RefinementSettings) -> "Phases":
        """Split the iterations by the two fractions; fractions above 0.9 in sum are scaled down."""
        ini, fin = settings.ini_fraction, settings.fin_fraction
        if ini + fin > 0.9:
            total = ini + fin + 0.1
            ini, fin = ini / total, fin / total
        n_ini, n_fin = int(settings.n_iterations * ini), int(settings.n_iterations * fin)
        return cls(n_ini, settings.n_iterations - n_ini - n_fin, n_fin)


def _fall(iteration: int, start: int, length: int) -> float:
    """Sigmoid from 1 to 0, half way at ``start + length / 2``, in powers of ten of the iteration number."""
    if length <= 0:
        return 1.0 if iteration < start else 0.0
    exponent = (iteration - start - length / 2) / (length / 4)
    return float(1.0 / (10.0 ** min(exponent, 300.0) + 1.0))


def step_size(settings: RefinementSettings, iteration: int) -> float:
    """Return eta of an iteration (1-based): from 0.9 to 0.3 for 2D classes, to 0.5 for initial models; 0.3 for 3D classes."""
    phases, regime = Phases.of(settings), regime_of(settings)
    base = settings.step_size if settings.step_size > 0 else regime.step
    scale = _fall(iteration, phases.initial, phases.between // 2)
    return base * regime.inflation * scale + base * (1.0 - scale)


def tau2_fudge(settings: RefinementSettings, iteration: int) -> float:
    """Return T of an iteration: for VDAM from 1 to the requested value, for EM and for VDAM from 3D references constant."""
    if settings.algorithm is Algorithm.EM or not regime_of(settings).anneal:
        return settings.tau2_fudge
    phases = Phases.of(settings)
    scale = _fall(iteration, phases.initial, phases.between // 4)
    return scale + settings.tau2_fudge * (1.0 - scale)


def subset_size(settings: RefinementSettings, iteration: int, n_particles: int) -> int:
    """Return the number of particles of an iteration; `n_particles` stands for all of them."""
    if settings.algorithm is Algorithm.EM:
        return _em_subset(settings, iteration, n_particles)
    if iteration >= settings.n_iterations:
        return n_particles
    phases, regime = Phases.of(settings), regime_of(settings)
    first = settings.ini_subset if settings.ini_subset > 0 else _batch(n_particles, *regime.first)
    last = settings.fin_subset if settings.fin_subset > 0 else _batch(n_particles, *regime.last)
    progress = np.clip((iteration - phases.initial) / max(phases.between, 1), 0.0, 1.0)
    return min(n_particles, first + int(round_half_away(progress * (last - first))))


def _batch(n_particles: int, fraction: float, least: int, most: int) -> int:
    return int(np.clip(fraction * n_particles, least, most))


def _em_subset(settings: RefinementSettings, iteration: int, n_particles: int) -> int:
    if not settings.fast_subsets or iteration > 15:
        return n_particles
    small = (100 if settings.dimension == 2 else 1500) * settings.n_classes
    if iteration <= 5:
        size = small
    elif iteration <= 10:
        size = 3 * small
    else:
        size = max(3 * small, int(0.3 * n_particles))
    return min(size, n_particles)


def is_gradient(settings: RefinementSettings, iteration: int) -> bool:
    """Tell whether an iteration updates the references by VDAM rather than by EM."""
    return settings.algorithm is Algorithm.VDAM and iteration <= settings.n_iterations - settings.em_iterations


def select_subset(seed: int, iteration: int, n_particles: int, size: int) -> np.ndarray:
    """Draw the mini-batch: `size` particle rows without replacement, in ascending order, int64 (size,)."""
    if size >= n_particles:
        return np.arange(n_particles)
    return np.sort(np.random.default_rng((seed, iteration, 1)).permutation(n_particles)[:size])
