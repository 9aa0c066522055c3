"""How several classes that start from one map become different: each particle is first given to one of them at random."""

from collections.abc import Callable
from dataclasses import fields, replace

import numpy as np

from relion4plugin.refinement.expectation import ExpectationStep
from relion4plugin.refinement.initial_maps import reference_paths
from relion4plugin.refinement.particles import Plan
from relion4plugin.refinement.search import Batch, Expectation, ParticleSums
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model


def is_seeding(settings: RefinementSettings, iteration: int) -> bool:
    """Tell whether an iteration deals the particles to the classes: the first that is not by cross-correlation."""
    if settings.dimension == 2 or settings.n_classes == 1 or not settings.reference:
        return False
    return iteration == (2 if settings.firstiter_cc else 1) and len(reference_paths(settings.reference)) == 1


def expect_seeds(
    step: ExpectationStep, batch: Batch, transforms: np.ndarray, plan: Plan, model: Model, advance: Callable[[int], object], seed: int
) -> Expectation:
    """Run an expectation step in which each particle sees only the class it was dealt; as `ExpectationStep.run`."""
    n, n_classes = len(batch.rows), len(transforms)
    dealt = np.random.default_rng((seed, 10)).permutation(n) % n_classes
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
        zeros(result.direction_weight, 0),
    )  # fmt: skip
