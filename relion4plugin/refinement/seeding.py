"""How several classes that start from one map become different.

They share one map until its poses are settled. Then each particle is dealt to a class by the main ways in which particles differ
from that map (`difference_modes`), and for one iteration sees only the class it was dealt. Mini-batches are too small for that: with
VDAM particles are dealt at random, in the first iteration.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from math import ceil, log2

import numpy as np

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.fourier import round_half_away, shift_phases
from relion4plugin.refinement.cpu_images import CpuImages, Workspace
from relion4plugin.refinement.difference_modes import DifferenceModes, Views, deal
from relion4plugin.refinement.expectation import ExpectationStep
from relion4plugin.refinement.images import make_weights
from relion4plugin.refinement.initial_maps import reference_paths
from relion4plugin.refinement.particles import Plan
from relion4plugin.refinement.search import Batch, Expectation, ParticleSums
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.start import Inputs
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.volume_search import VolumeSearchPlan

SETTLING = 3  # iterations of a global search in which all classes share one map
SAMPLE = 5000  # particles that modes are found from
BLOCK = 5000  # particles that are scored at a time
PERIODS = 6.0  # across the particle's diameter, of the finest detail that modes have
MIN_RADIUS = 4  # px


def seeding_iteration(settings: RefinementSettings) -> int:
    """Return the iteration that deals the particles to the classes; 0 where none does, as classes differ from the start."""
    if settings.dimension == 2 or settings.n_classes == 1 or not settings.reference or len(reference_paths(settings.reference)) > 1:
        return 0
    first = 2 if settings.firstiter_cc else 1  # the first that is not by cross-correlation
    known = settings.skip_align or settings.sigma_angles > 0
    return first if known or settings.algorithm is Algorithm.VDAM else min(1 + SETTLING, settings.n_iterations)


def expect_together(
    step: ExpectationStep, batch: Batch, transforms: np.ndarray, plan: Plan, model: Model, advance: Callable[[int], object]
) -> Expectation:
    """Run an expectation step with the first class alone, and give its sums to all; as `ExpectationStep.run`."""
    n_classes = len(transforms)
    result = step.run(batch, transforms[:1], plan, single_class(model, 0), advance)
    result.data, result.weight = (np.repeat(grids, n_classes, axis=1) for grids in (result.data, result.weight))
    result.class_weight = np.repeat(result.class_weight / n_classes, n_classes)
    result.direction_weight = np.repeat(result.direction_weight / n_classes, n_classes, axis=0)
    return result


def choose_classes(step: ExpectationStep, batch: Batch, transforms: np.ndarray, plan: Plan, model: Model, inputs: Inputs) -> np.ndarray:
    """Deal the particles of a batch to the classes, all of which still have the map of the first, int64 (n,)."""
    settings, n, n_classes = inputs.settings, len(batch.rows), len(transforms)
    if settings.algorithm is Algorithm.VDAM:
        return np.random.default_rng((settings.seed, 10)).permutation(n) % n_classes
    assert isinstance(plan, VolumeSearchPlan)
    poses = step.run(batch, transforms[:1], plan, single_class(model, 0), lambda count: None).particles
    width = inputs.grid.box * inputs.pixel_size / settings.particle_diameter
    radius = min(max(MIN_RADIUS, int(round_half_away(PERIODS * width))), plan.radius)
    images = CpuImages(inputs.source, inputs.images, settings, Workspace())
    sample = np.sort(np.random.default_rng((settings.seed, 11)).permutation(n)[:SAMPLE])

    def views(rows: np.ndarray) -> Views:
        return _views(images, batch.part(rows), plan, model, inputs, poses.best_angles[rows], poses.best_shift[rows], radius)

    found = DifferenceModes.fit(views(sample), radius, point_group(settings.symmetry), ceil(log2(n_classes)), settings.seed)
    parts = [np.arange(first, min(first + BLOCK, n)) for first in range(0, n, BLOCK)]
    return deal(np.concatenate([found.scores(views(rows)) for rows in parts]), n_classes)


def _views(
    images: CpuImages, batch: Batch, plan: VolumeSearchPlan, model: Model, inputs: Inputs, angles: np.ndarray, shift: np.ndarray,
    radius: int,
) -> Views:  # fmt: skip
    """Read particles at their best poses, with pixels up to `radius`."""
    pixels, count = plan.pixels, plan.pixels.count(2 * radius)
    kx, ky = pixels.kx[:count], pixels.ky[:count]
    real, imag = images.transform(batch, model.sigma2_noise)
    shifts = batch.rest if plan.keep_shifts else plan.shifts.fine[shift]
    values = (real[0, :, :count] + 1j * imag[0, :, :count]) * shift_phases(ky, kx, shifts, pixels.box)
    weights = make_weights(inputs.images, batch.rows, count, model.sigma2_noise, batch.scale)
    factor = np.sqrt(weights.norm) * np.sign(weights.model)
    factor[:, 0] = 0.0  # the mean says nothing of a structure
    whitened = np.divide(values * weights.data, factor, out=np.zeros(values.shape, np.complex64), where=np.abs(factor) > 1e-12)
    return Views(whitened, factor, euler_to_matrix(*angles.T), kx, ky)


def expect_seeds(
    step: ExpectationStep, batch: Batch, transforms: np.ndarray, plan: Plan, model: Model, advance: Callable[[int], object],
    dealt: np.ndarray,
) -> Expectation:  # fmt: skip
    """Run an expectation step in which each particle sees only the class it was `dealt` (n,); as `ExpectationStep.run`."""
    n, n_classes = len(batch.rows), len(transforms)
    sums, total = ParticleSums.empty(n), None
    for k in range(n_classes):
        mine = np.flatnonzero(dealt == k)
        if not len(mine):
            continue
        result = step.run(batch.part(mine), transforms[k : k + 1], plan, single_class(model, k), advance)
        for field in fields(ParticleSums):
            getattr(sums, field.name)[mine] = getattr(result.particles, field.name)
        sums.best_class[mine] = k
        if total is None:
            total = _empty_like(result, sums, n_classes)
        total.noise_power += result.noise_power
        total.noise_counts += result.noise_counts
        total.class_weight[k], total.direction_weight[k] = result.class_weight[0], result.direction_weight[0]
        total.data[:, k], total.weight[:, k] = result.data[:, 0], result.weight[:, 0]
    assert total is not None
    return total


def single_class(model: Model, k: int) -> Model:
    """Return a model with only class `k`, sharing its arrays."""
    share = max(float(model.pdf_direction[k].sum()), 1e-30) if len(model.pdf_direction) else 1.0
    return replace(
        model,
        references=model.references[k : k + 1],
        pdf_class=np.ones(1),
        pdf_direction=model.pdf_direction[k : k + 1] / share,
        data_vs_prior=model.data_vs_prior[k : k + 1],
    )


def _empty_like(result: Expectation, sums: ParticleSums, n_classes: int) -> Expectation:
    def zeros(values: np.ndarray, axis: int) -> np.ndarray:
        shape = list(values.shape)
        shape[axis] = n_classes
        return np.zeros(shape, values.dtype)

    return Expectation(
        sums, np.zeros(n_classes), np.zeros_like(result.noise_power), zeros(result.data, 1), zeros(result.weight, 1),
        zeros(result.direction_weight, 0), np.zeros_like(result.noise_counts),
    )  # fmt: skip
