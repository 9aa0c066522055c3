"""A run in 3D as it stands between two iterations: models, poses and sampling with random numbers, on real tables."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.refinement.autosampling import SamplingState
from relion4plugin.refinement.images import ImageModel
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Changes, Model, Poses
from tests.refinement.simulated import simulate

BOX, N = 32, 60
DIRECTIONS = np.stack([np.linspace(0, 350, 24), np.linspace(3, 177, 24)], axis=1)
CHANGES = Changes(12.345678901234567, 2.3456789012345678, 0.123456789012345678)


@dataclass
class Halfway:
    """Arguments of `write_iteration`."""

    settings: RefinementSettings
    particles: SortedParticles
    models: list[Model]
    poses: Poses
    images: ImageModel
    sampling: SamplingState
    half: np.ndarray | None
    grid: PaddedGrid

    def arguments(self) -> tuple:
        return self.settings, self.particles, self.models, self.poses, self.images, self.sampling, CHANGES


def random_model(rng: np.random.Generator, settings: RefinementSettings, n_groups: int, gold: bool) -> Model:
    """Every field of a model filled with numbers that six digits do not hold."""
    k, shells = settings.n_classes, BOX // 2 + 1
    size = BOX * settings.padding
    references = rng.normal(size=(k, BOX, BOX, BOX)).astype(np.float32)
    model = Model(references, rng.dirichlet(np.ones(k)), rng.random((1, shells)), rng.random(n_groups))
    for name in ("tau2", "data_vs_prior", "sigma2_class", "coverage", "orientability"):
        setattr(model, name, rng.random((k, shells)))
    model.data_vs_prior[:, :6] += 1.0
    model.accuracy_rotation, model.accuracy_translation = rng.random(k), rng.random(k)
    model.resolution_shell, model.best_resolution_shell, model.iterations_without_gain, model.current_size = 7, 8, 1, 24
    model.avg_norm, model.sigma_offset, model.perturbation = rng.random(), rng.random(), rng.random()
    model.log_likelihood, model.ave_pmax = -12345.678901234567, rng.random()
    model.pdf_direction = rng.dirichlet(np.ones(k * len(DIRECTIONS))).reshape(k, -1)
    if gold:
        model.fsc = np.linspace(1, 0, shells)
    if settings.algorithm is Algorithm.VDAM:
        shape = (k, size, size, size // 2 + 1)
        inside = np.zeros(shape[1:], bool)
        inside[:5, :7, :6] = True
        noise = rng.normal(size=(2, 2, *shape)).astype(np.float32)
        model.moment1 = np.where(inside, noise[0] + 1j * noise[1], 0).astype(np.complex64)
        model.moment2 = np.where(inside, noise[0, 0], 1).astype(np.float32)
    return model


def halfway(folder: Path, settings: RefinementSettings, seed: int = 1) -> Halfway:
    """Make the state of a run on 60 particles of 32 px."""
    rng = np.random.default_rng(seed)
    particles = SortedParticles.of(simulate(folder, N, n_classes=1, box=BOX).particles, settings)
    poses = Poses.start(rng.uniform(-180, 180, (N, 3)), rng.normal(size=(N, 2)), rng.integers(1, settings.n_classes + 1, N))
    poses.norm, poses.log_likelihood, poses.pmax = rng.random(N), rng.normal(size=N), rng.random(N)
    poses.n_significant = rng.integers(1, 100, N).astype(np.int32)
    gold = settings.auto_refine
    models = [random_model(rng, settings, particles.n_groups, gold) for _ in range(1 + gold)]
    half = rng.permutation(np.arange(N) % 2).astype(np.int8) if gold else None
    sampling = SamplingState(4, 3.21, 0.987, gold, 3.75 if gold else 0.0, False, 1.25, 0.75, 0.0, 2)
    images = ImageModel.of(particles.table, settings)
    return Halfway(settings, particles, models, poses, images, sampling, half, PaddedGrid(BOX, settings.padding))


def initial(**changes) -> RefinementSettings:
    """An initial model with two classes."""
    values = {"dimension": 3, "n_classes": 2, "particle_diameter": 72.0, "padding": 1, "auto_sampling": True, "symmetry": "D2"}
    return RefinementSettings(**(values | changes))


def gold_standard(**changes) -> RefinementSettings:
    """An auto-refinement."""
    values = {
        "dimension": 3, "n_classes": 1, "n_iterations": 999, "algorithm": Algorithm.EM, "particle_diameter": 72.0, "auto_refine": True,
        "reference": "map.mrc", "healpix_order": 2, "solvent_mask": "mask.mrc", "solvent_correct_fsc": True, "tau2_fudge": 1.0,
    }  # fmt: skip
    return RefinementSettings(**(values | changes))
