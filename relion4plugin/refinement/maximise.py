"""From accumulated grids to new references: one model by VDAM or EM, or two halves that are kept apart."""

import math

import numpy as np

from relion4plugin.geometry.symmetry import point_group
from relion4plugin.refinement import em, gold_standard, resolution, schedules, symmetrise, vdam
from relion4plugin.refinement.particles import Plan
from relion4plugin.refinement.references import PaddedGrid
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.search import Expectation
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.slices import make_hermitian
from relion4plugin.refinement.start import Inputs
from relion4plugin.refinement.state import Model

SETTLING = 10  # iterations at the end in which no class is replaced
OCCUPIED = 1e-6  # posterior weight below which a class has no particles


def complete(result: Expectation, grid: PaddedGrid, settings: RefinementSettings, current_size: int) -> None:
    """Make accumulated grids consistent with their own symmetries, in place: Friedel pairs, and in 3D the point group."""
    if grid.dimension == 2:
        make_hermitian(result.data)
        make_hermitian(result.weight)
        return
    symmetrise.make_hermitian(result.data)
    symmetrise.make_hermitian(result.weight)
    operators = point_group(settings.symmetry)
    if len(operators) > 1:
        symmetrise.symmetrise(result.data, result.weight, grid, current_size // 2, operators, settings.threads)


def maximise_one(inputs: Inputs, state: RunState, result: Expectation, plan: Plan, iteration: int, fudge: float) -> vdam.Replacement | None:
    """Update spectra and references of the only model, in place."""
    settings, grid, model = inputs.settings, inputs.grid, state.model
    complete(result, grid, settings, plan.current_size)
    occupied = result.class_weight > OCCUPIED
    # in 3D the whole mini-batch is judged; in 2D half of it, as RELION does in both
    other = result.weight[1] if plan.gradient and grid.dimension == 3 else None
    resolution.update_spectra(model, grid, result.weight[0], fudge, np.flatnonzero(occupied), other)
    if not plan.gradient:
        model.data_vs_prior[~occupied] = 0.0
        if plan.correlate:  # the grey scale of the start reference says nothing on the signal's power
            for k in np.flatnonzero(occupied):
                model.references[k] = em.reconstruct(result.data[0, k], result.weight[0, k], grid, plan.current_size)
            return None
        em.update_references(model, grid, result.data, result.weight, fudge, occupied, settings.threads)
        return None
    phases = schedules.Phases.of(settings)
    last = max(phases.initial + phases.between, settings.n_iterations - SETTLING)
    replacing = grid.dimension == 2 and phases.initial < iteration < last
    return vdam.update_references(
        model, grid, result.data, result.weight,
        step_size=schedules.step_size(settings, iteration), tau2_fudge=fudge,
        threshold=settings.inactivity_threshold if replacing else 0.0, workers=settings.threads,
    )  # fmt: skip


def maximise_halves(inputs: Inputs, state: RunState, results: list[Expectation], plan: Plan, fudge: float, mask: np.ndarray | None) -> None:
    """Update both gold-standard halves, in place: low resolution in common, signal power from the FSC between them.

    Parameters
    ----------
    mask : float32 (N, N, N), optional
        Solvent mask, for the solvent-corrected FSC.
    """
    settings, grid = inputs.settings, inputs.grid
    for result in results:
        complete(result, grid, settings, plan.current_size)
    one, two = ((result.data[0, 0], result.weight[0, 0]) for result in results)
    current = resolution.resolution_of_shell(state.model.resolution_shell, grid.box, inputs.pixel_size)
    shell = math.ceil(grid.box * inputs.pixel_size / max(settings.low_resol_join, current))
    fsc = half_map_fsc(inputs, one, two, plan.current_size, mask if state.iteration > 1 else None)
    gold_standard.join_low_resolution(*one, *two, grid, min(shell, plan.current_size // 2))
    for model, (data, weight) in zip(state.models, (one, two), strict=True):
        _take_fsc(model, fsc, weight, grid, fudge)
        model.references[0] = em.reconstruct(data, weight, grid, plan.current_size, model.tau2[0], fudge, settings.threads)


def half_map_fsc(
    inputs: Inputs, one: tuple[np.ndarray, np.ndarray], two: tuple[np.ndarray, np.ndarray], size: int, mask: np.ndarray | None
) -> np.ndarray:
    """Correlation of two halves given by data and weight (N//2+1,), corrected for the solvent where a mask is given."""
    grid, workers = inputs.grid, inputs.settings.threads
    if mask is None:
        return gold_standard.half_fsc(*one, *two, grid, size)
    maps = [em.reconstruct(*half, grid, size, workers=workers) for half in (one, two)]
    curve = gold_standard.solvent_corrected_fsc(maps[0], maps[1], mask, np.random.default_rng((inputs.settings.seed, 9)))
    curve[size // 2 + 1 :] = 0.0
    return curve


def join_halves(inputs: Inputs, state: RunState, results: list[Expectation], fudge: float, mask: np.ndarray | None) -> np.ndarray:
    """End an auto-refinement: one map of all particles in both models; return the unregularised half maps (2, N, N, N)."""
    settings, grid = inputs.settings, inputs.grid
    for result in results:
        complete(result, grid, settings, grid.box)
    one, two = ((result.data[0, 0], result.weight[0, 0]) for result in results)
    halves = np.stack([em.reconstruct(*half, grid, grid.box, workers=settings.threads) for half in (one, two)])
    fsc = half_map_fsc(inputs, one, two, grid.box, mask)
    data, weight = one
    data += two[0]
    weight += two[1]
    for model in state.models:
        _take_fsc(model, gold_standard.joined_fsc(fsc), weight, grid, fudge)
        model.fsc = fsc
    state.model.references[0] = em.reconstruct(data, weight, grid, grid.box, state.model.tau2[0], fudge, settings.threads)
    return halves


def _take_fsc(model: Model, fsc: np.ndarray, weight: np.ndarray, grid: PaddedGrid, fudge: float) -> None:
    """Set the spectra of a half from the FSC, in place."""
    model.fsc = fsc
    model.tau2[0], model.data_vs_prior[0], model.sigma2_class[0] = gold_standard.spectra_from_fsc(
        fsc, weight, grid, model.current_size, fudge
    )
