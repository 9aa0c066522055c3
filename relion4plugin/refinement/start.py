"""The state before the first iteration, and the checks of what a run is given."""

from dataclasses import dataclass

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import ParticleSet
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.refinement import accuracy, initialise, resolution
from relion4plugin.refinement.autosampling import start_state
from relion4plugin.refinement.images import ImageModel, ImageSource
from relion4plugin.refinement.initial_maps import load_references
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.references import PaddedGrid, forward, reference_power
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model

MIN_PER_HALF = 10  # particles without which two halves tell nothing


@dataclass(frozen=True)
class Inputs:
    """What a run works with from beginning to end."""

    settings: RefinementSettings
    particles: SortedParticles
    images: ImageModel
    source: ImageSource
    grid: PaddedGrid
    flatten: np.ndarray  # float32, of a reference's shape: what is kept of it

    @property
    def pixel_size(self) -> float:
        """Pixel size in A."""
        return self.images.pixel_size


def start_run(inputs: Inputs) -> RunState:
    """Build the state of iteration 0 from the particles and, where given, the start references."""
    settings, images = inputs.settings, inputs.images
    rows = initialise.sample_rows(images.optics.index, settings.seed)
    sigma2 = initialise.noise_spectra(inputs.source, images, rows, settings.noise_is_robust)
    model = _start_model(inputs, _start_references(inputs, rows), sigma2)
    poses = inputs.particles.start_poses(volume=settings.dimension == 3)
    visited = poses.n_significant > 0
    if visited.any():
        model.avg_norm = float(poses.norm[visited].mean())
    if settings.dimension == 2:
        return RunState(0, [model], poses)
    state = RunState(0, [model], poses, start_state(settings))
    if settings.auto_refine:
        state.half = _halves(inputs.particles.table, settings.seed)
        state.models.append(model.copy())
    return state


def _start_references(inputs: Inputs, rows: np.ndarray) -> np.ndarray:
    settings, box = inputs.settings, inputs.grid.box
    if not settings.reference:
        averages = initialise.random_averages(inputs.source, inputs.images, rows, settings, settings.seed)
        return initialise.start_references(averages, settings, inputs.pixel_size, settings.seed)
    if settings.dimension == 3:
        return load_references(settings, inputs.grid, inputs.pixel_size)
    references, _ = read_mrc(settings.reference)
    expected = (settings.n_classes, box, box)
    if references.shape != expected:
        raise UserError(f"{settings.reference}: {references.shape} images, expected a stack of {expected}; correct --ref or --K")
    return references


def _start_model(inputs: Inputs, references: np.ndarray, sigma2: np.ndarray) -> Model:
    settings, grid = inputs.settings, inputs.grid
    k, shells = settings.n_classes, grid.box // 2 + 1
    model = Model(references, np.full(k, 1 / k), sigma2, np.ones(inputs.particles.n_groups))
    model.resolution_shell = initialise.start_shell(settings, grid.box, inputs.pixel_size)
    model.current_size = resolution.next_image_size(model, resolution.size_increment(settings, grid.box))
    model.tau2 = np.stack([
        reference_power(forward(reference[None], grid, corrected=False), grid, grid.box)[0] for reference in references
    ])  # fmt: skip
    count = np.bincount(inputs.images.optics.index, minlength=len(sigma2))
    noise = np.average(sigma2, axis=0, weights=count)
    share = np.full(shells, len(inputs.particles.table) / k)
    if settings.dimension == 3:
        share /= np.maximum(2 * np.arange(shells), 1)
    model.data_vs_prior = settings.tau2_fudge * model.tau2 * share / noise
    model.sigma2_class, model.coverage, model.orientability = (np.zeros((k, shells)) for _ in range(3))
    model.accuracy_rotation, model.accuracy_translation = (np.full(k, accuracy.UNKNOWN) for _ in range(2))
    return model


def _halves(particles: ParticleSet, seed: int) -> np.ndarray:
    """Return the gold-standard half of each particle, int8: rlnRandomSubset where given, else drawn at random."""
    n = len(particles)
    check_halves(particles)
    if "rlnRandomSubset" in particles.table:
        return (particles.column("rlnRandomSubset").astype(np.int64) - 1).astype(np.int8)
    return (np.random.default_rng((seed, 0, 8)).permutation(n) % 2).astype(np.int8)


def check_halves(particles: ParticleSet) -> None:
    """Refuse a column rlnRandomSubset that does not name two halves; without the column halves are drawn.

    Raises
    ------
    UserError
    """
    if "rlnRandomSubset" not in particles.table:
        return
    given = set(particles.column("rlnRandomSubset").astype(np.int64).tolist())
    if given != {1, 2}:
        raise UserError(
            f"{particles.source}: rlnRandomSubset holds {sorted(given)[:4]}, expected 1 and 2 for the two halves; "
            "correct the column, or remove it to have halves drawn at random"
        )


def check(settings: RefinementSettings, particles: ParticleSet) -> None:
    """Refuse what cannot be refined.

    Raises
    ------
    UserError
    """
    for test in (_check_numbers, _check_size, _check_volume):
        test(settings, particles)


def _check_numbers(settings: RefinementSettings, particles: ParticleSet) -> None:
    n, where = len(particles), particles.source
    if n == 0:
        raise UserError(f"{where}: no particles, expected at least one per class; check the selection that made this file")
    if settings.n_classes > n:
        raise UserError(f"{where}: {n} particles cannot fill {settings.n_classes} classes; lower --K to {max(1, n // 20)} or so")
    if settings.n_classes < 1 or settings.n_iterations < 1:
        raise UserError(f"{settings.n_classes} classes and {settings.n_iterations} iterations were asked for, expected at least 1 of each")


def _check_size(settings: RefinementSettings, particles: ParticleSet) -> None:
    where = particles.source
    if particles.box_size % 2:
        raise UserError(f"{where}: box of {particles.box_size} px, expected an even number; re-extract with an even box")
    width = particles.box_size * particles.pixel_size
    if not 0 < settings.particle_diameter <= width:
        raise UserError(
            f"particle diameter of {settings.particle_diameter:g} A does not fit the box of {width:.0f} A "
            f"({particles.box_size} px of {particles.pixel_size:g} A); correct --particle_diameter or extract a larger box"
        )


def _check_volume(settings: RefinementSettings, particles: ParticleSet) -> None:
    if settings.dimension == 2:
        return
    point_group(settings.symmetry)
    if settings.auto_refine and len(particles) < 2 * MIN_PER_HALF:
        raise UserError(
            f"{particles.source}: {len(particles)} particles, expected at least {2 * MIN_PER_HALF} to refine two halves independently; "
            "use a 3D classification with one class instead"
        )
    if settings.auto_refine and not settings.reference:
        raise UserError("auto-refinement starts from a map: give one with --ref, such as initial_model.mrc of an initial model job")
    if settings.auto_refine:
        check_halves(particles)


