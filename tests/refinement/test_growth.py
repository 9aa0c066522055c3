from dataclasses import replace

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.refinement.growth import grown
from relion4plugin.refinement.particles import SortedParticles
from relion4plugin.refinement.settings import RefinementSettings
from tests.refinement.growing import make_state, particle_set

SETTINGS = RefinementSettings(n_classes=2)


def sets(old, new):
    return tuple(SortedParticles.of(particle_set(names), SETTINGS) for names in (old, new))


def test_known_particles_keep_what_is_known_whatever_the_order():
    old, new = sets([("m2", 1), ("m1", 1), ("m1", 2)], [("m0", 1), ("m1", 2), ("m2", 1), ("m1", 3), ("m1", 1)])
    state = make_state(old)
    names = [particles.table.table["rlnImageName"].tolist() for particles in (old, new)]
    after = grown(state, old, new)
    for row, name in enumerate(names[1]):
        if name in names[0]:
            before = names[0].index(name)
            assert after.poses.norm[row] == state.poses.norm[before]
            assert np.array_equal(after.poses.angles[row], state.poses.angles[before])
            assert after.poses.n_significant[row] == 1
        else:
            assert after.poses.n_significant[row] == 0 and after.poses.norm[row] == 1.0
    assert after.iteration == state.iteration


def test_scales_follow_their_groups_and_new_ones_start_at_one():
    old, new = sets([("m1", 1), ("m3", 1)], [("m1", 1), ("m2", 1), ("m3", 1)])
    state = make_state(old)
    state.models[0] = replace(state.model, scale=np.array([0.8, 1.2]))
    assert grown(state, old, new).model.scale.tolist() == [0.8, 1.0, 1.2]


def test_a_new_optics_group_starts_with_the_mean_noise():
    old = SortedParticles.of(particle_set([("m1", 1), ("m2", 1)]), SETTINGS)
    new = SortedParticles.of(particle_set([("m1", 1), ("m2", 1), ("m3", 1)], optics=("a", "b")), SETTINGS)
    state = make_state(old)
    after = grown(state, old, new).model.sigma2_noise
    assert np.array_equal(after[0], state.model.sigma2_noise[0]) and np.array_equal(after[1], state.model.sigma2_noise.mean(axis=0))


def test_particles_that_are_gone_are_forgotten():
    old, new = sets([("m1", 1), ("m1", 2), ("m2", 1)], [("m1", 2)])
    state = make_state(old)
    assert grown(state, old, new).poses.norm.tolist() == [state.poses.norm[1]]


def test_a_list_without_any_known_particle_is_refused():
    with pytest.raises(UserError, match="none of the particles"):
        old, new = sets([("m1", 1)], [("m9", 1)])
        grown(make_state(old), old, new)


def test_a_particle_listed_twice_is_refused():
    old, new = sets([("m1", 1)], [("m1", 1), ("m1", 1)])
    with pytest.raises(UserError, match="listed twice"):
        grown(make_state(old), old, new)
