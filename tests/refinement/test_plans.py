"""Image sizes, grids and perturbations of an iteration."""

from dataclasses import replace

import numpy as np
import pytest

from relion4plugin.progress import Silent
from relion4plugin.refinement.autosampling import SamplingState
from relion4plugin.refinement.engine import Refinement
from relion4plugin.refinement.plans import fit_direction_prior, make_plan, max_significants
from relion4plugin.refinement.resolution import size_increment
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.volume_search import VolumeSearchPlan
from tests.refinement.projections import BOX, DIAMETER, molecule, project

DE_NOVO = RefinementSettings(dimension=3, n_classes=2, particle_diameter=DIAMETER, padding=1, offset_range=3.0, offset_step=2.0)


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    return project(tmp_path_factory.mktemp("plans"), 40, structures=[molecule(5)], noise=0.5).particles


def begin(settings, particles, tmp_path):
    run = Refinement(settings, particles, tmp_path, Silent())
    return run, run.begin(settings.seed)


@pytest.mark.parametrize(
    ("changes", "box", "expected"),
    [
        ({}, 32, 4),  # 0.07 of the box is less than 4
        ({}, 100, 7),
        ({}, 128, 9),
        ({}, 400, 10),  # never more than what refinements use
        ({"size_increment": 3}, 400, 3),
        ({"reference": "map.mrc"}, 32, 10),
        ({"dimension": 2}, 32, 10),
        ({"dimension": 2, "size_increment": 6}, 32, 6),
    ],
)
def test_images_reach_beyond_the_resolution_by_an_increment(changes, box, expected):
    assert size_increment(replace(DE_NOVO, **changes), box) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 200),
        ({"algorithm": Algorithm.EM}, 0),
        ({"dimension": 2}, 10),
        ({"max_significants": 7}, 7),
        ({"max_significants": 0}, 0),
    ],
)
def test_cap_on_significant_samples(changes, expected):
    assert max_significants(replace(DE_NOVO, **changes)) == expected


def test_image_size_follows_resolution_and_increment(particles, tmp_path):
    run, state = begin(DE_NOVO, particles, tmp_path)
    state.model.resolution_shell = 5
    assert make_plan(run.inputs, state, 1).current_size == state.model.current_size == 2 * (5 + 4)
    state.model.resolution_shell = 14
    assert make_plan(run.inputs, state, 2).current_size == BOX
    run.close()


def test_image_size_with_half_maps(particles, tmp_path):
    """A slowly falling FSC lets images reach further; one still high at the last shell adds a quarter of all shells."""
    run, state = begin(replace(DE_NOVO, size_increment=2), particles, tmp_path)
    state.model.resolution_shell = 5
    state.model.fsc = np.where(np.arange(17) < 5, 0.9, 0.0)  # falls at once: 0 + 5 shells
    assert make_plan(run.inputs, state, 1).current_size == 20
    state.model.fsc = np.where(np.arange(17) < 5, 0.9, np.where(np.arange(17) < 7, 0.3, 0.0))  # 2 + 5
    assert make_plan(run.inputs, state, 2).current_size == 24
    state.model.current_size, state.model.ave_pmax = 12, 0.5
    state.model.fsc = np.where(np.arange(17) < 6, 0.9, 0.0)  # 0.9 at shell 12 / 2 - 1
    assert make_plan(run.inputs, state, 3).current_size == 2 * (5 + 4)
    state.joined = True
    assert make_plan(run.inputs, state, 4).current_size == BOX
    run.close()


def test_every_model_gets_the_same_perturbation_and_size(particles, tmp_path):
    run, state = begin(DE_NOVO, particles, tmp_path)
    state.models.append(state.model.copy())
    moved = []
    for iteration in (1, 2, 3):
        make_plan(run.inputs, state, iteration)
        assert state.models[0].perturbation == state.models[1].perturbation
        assert state.models[0].current_size == state.models[1].current_size
        moved.append(state.model.perturbation)
    assert len(set(moved)) == 3
    assert np.abs(moved).max() <= 1.0
    run.close()


def test_perturbations_depend_on_seed_and_iteration_only(particles, tmp_path):
    moved = []
    for seed in (1, 1, 2):
        run, state = begin(replace(DE_NOVO, seed=seed), particles, tmp_path)
        make_plan(run.inputs, state, 1)
        moved.append(state.model.perturbation)
        run.close()
    assert moved[0] == moved[1] != moved[2]
    again = []
    for iteration in (1, 2):
        run, state = begin(DE_NOVO, particles, tmp_path)
        state.iteration = iteration
        make_plan(run.inputs, state, 1)
        again.append(state.model.perturbation)
        run.close()
    assert again[0] != again[1]
    run, state = begin(replace(DE_NOVO, perturbation=0.0), particles, tmp_path)
    make_plan(run.inputs, state, 1)
    assert state.model.perturbation == 0.0
    run.close()


@pytest.mark.parametrize(("symmetry", "order"), [("C1", 0), ("C1", 1), ("D2", 1)])
def test_global_searches_have_directions_with_a_flat_prior(particles, tmp_path, symmetry, order):
    run, state = begin(replace(DE_NOVO, symmetry=symmetry), particles, tmp_path)
    state.sampling = replace(state.sampling, healpix_order=order)
    state.model.pdf_class = np.array([0.75, 0.25])
    plan = make_plan(run.inputs, state, 1)
    assert isinstance(plan, VolumeSearchPlan)
    n = 12 * 4**order  # all views, whatever the symmetry
    assert len(state.directions) == n
    assert state.model.pdf_direction.shape == (2, n)
    assert np.allclose(state.model.pdf_direction.sum(axis=1), [0.75, 0.25])
    run.close()


def test_a_prior_stays_while_the_grid_does(particles, tmp_path):
    run, state = begin(DE_NOVO, particles, tmp_path)
    make_plan(run.inputs, state, 1)
    state.model.pdf_direction[0, 0] = 0.123
    make_plan(run.inputs, state, 2)
    assert state.model.pdf_direction[0, 0] == 0.123
    fit_direction_prior(state.model, 10)
    assert np.allclose(state.model.pdf_direction, 0.05)
    run.close()


def test_local_searches_leave_directions_and_priors_alone(particles, tmp_path):
    run, state = begin(DE_NOVO, particles, tmp_path)
    state.sampling = SamplingState(4, 3.0, 1.0, local=True, sigma_angles=3.75, fine_enough=False)
    make_plan(run.inputs, state, 1)
    assert state.directions is None
    assert state.model.pdf_direction.size == 0
    run.close()


def test_kept_poses_have_one_sample(particles, tmp_path):
    run, state = begin(replace(DE_NOVO, skip_align=True), particles, tmp_path)
    plan = make_plan(run.inputs, state, 1)
    assert len(plan.shifts.coarse) == len(plan.shifts.fine) == 1
    assert not plan.shifts.fine.any()
    run.close()
