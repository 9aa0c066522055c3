"""Which grid and which image sizes an iteration uses, in 2D and in 3D."""

import numpy as np

from relion4plugin.refinement import gold_standard, resolution, schedules
from relion4plugin.refinement.orientations import angular_step, make_global_grid, make_local_lattice
from relion4plugin.refinement.particles import Plan
from relion4plugin.refinement.run_state import RunState
from relion4plugin.refinement.sampling import coarse_image_size, likelihood_size, make_sampling, make_shifts, next_perturbation
from relion4plugin.refinement.search import make_search_plan
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.start import Inputs
from relion4plugin.refinement.state import Model
from relion4plugin.refinement.volume_search import VolumeSearchPlan, make_volume_plan

SAMPLES_2D, SAMPLES_3D = 5, 100  # significant samples of a particle in VDAM, times the number of classes


def max_significants(settings: RefinementSettings) -> int:
    """Return the cap on significant coarse samples of a particle; 0: none."""
    if settings.max_significants >= 0:
        return settings.max_significants
    per_class = SAMPLES_2D if settings.dimension == 2 else SAMPLES_3D
    return per_class * settings.n_classes if settings.algorithm is Algorithm.VDAM else 0


def make_plan(inputs: Inputs, state: RunState, position: int) -> Plan:
    """Plan an iteration: moves the random perturbation, sets the image size of the models, and in 3D fits the direction priors.

    `position` says where on the schedules the iteration stands; see `Refinement`.
    """
    settings = inputs.settings
    rng = np.random.default_rng((settings.seed, state.iteration, 6))
    perturbation = next_perturbation(state.model.perturbation, settings.perturbation, rng)
    size = _image_size(inputs, state)
    for model in state.models:
        model.perturbation, model.current_size = perturbation, size
    return _volume_plan(inputs, state, position) if settings.dimension == 3 else _plane_plan(inputs, state.model, position)


def _image_size(inputs: Inputs, state: RunState) -> int:
    model = state.model
    if state.joined:
        return inputs.grid.box
    if not len(model.fsc):
        return resolution.next_image_size(model, resolution.size_increment(inputs.settings, inputs.grid.box))
    increment = gold_standard.size_increment(model.fsc, resolution.size_increment(inputs.settings, inputs.grid.box))
    return resolution.next_image_size(
        model, increment, high_fsc_at_limit=gold_standard.high_fsc_at_limit(model.fsc, model.current_size)
    )


def _plane_plan(inputs: Inputs, model: Model, position: int) -> Plan:
    settings, box = inputs.settings, inputs.grid.box
    sampling = make_sampling(settings, model.perturbation)
    return make_search_plan(
        sampling,
        inputs.images.pixels,
        settings.padding,
        current_size=model.current_size,
        coarse_size=coarse_image_size(settings, box, inputs.pixel_size, sampling.psi_step, model.current_size),
        likelihood_size=likelihood_size(settings, box, inputs.pixel_size, model.current_size),
        fraction=settings.adaptive_fraction,
        max_significants=max_significants(settings),
        gradient=schedules.is_gradient(settings, position),
    )


def _volume_plan(inputs: Inputs, state: RunState, position: int) -> VolumeSearchPlan:
    settings, model, sampling, box = inputs.settings, state.model, state.sampling, inputs.grid.box
    assert sampling is not None
    step, moved = angular_step(sampling.healpix_order), model.perturbation
    still, kept = settings.skip_align or settings.skip_rotate, settings.skip_align
    if kept:
        shifts = make_shifts(1.0, 0.0, 0.0, 0)
    else:
        shifts = make_shifts(sampling.offset_step, sampling.offset_range, moved, settings.oversampling)
    grid = lattice = state.directions = None
    if still:
        lattice = make_local_lattice(step, 0.0, 0.0)
    elif sampling.local:
        lattice = make_local_lattice(step, sampling.sigma_angles, moved, settings.oversampling)
    else:
        grid = make_global_grid(sampling.healpix_order, settings.symmetry, moved, settings.oversampling)
        state.directions = grid.direction_angles()
        for each in state.models:
            fit_direction_prior(each, grid.n_directions)
    limit = likelihood_size(settings, box, inputs.pixel_size, model.current_size)
    coarse = model.current_size if still else coarse_image_size(settings, box, inputs.pixel_size, step, model.current_size)
    return make_volume_plan(
        inputs.images.pixels,
        settings.padding,
        shifts,
        grid,
        lattice,
        current_size=model.current_size,
        coarse_size=min(coarse, limit),
        likelihood_size=limit,
        fraction=settings.adaptive_fraction,
        max_significants=max_significants(settings),
        gradient=schedules.is_gradient(settings, position),
        correlate=settings.firstiter_cc and position == 1,
        keep_shifts=kept,
    )


def fit_direction_prior(model: Model, n_directions: int) -> None:
    """Make the direction prior uniform inside each class where the number of directions has changed, in place."""
    if model.pdf_direction.shape != (model.n_classes, n_directions):
        model.pdf_direction = np.repeat(model.pdf_class[:, None] / n_directions, n_directions, axis=1)
