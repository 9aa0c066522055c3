"""Decisions on the sampling of the next iteration, against cases worked out by hand."""

from dataclasses import replace

import pytest

from relion4plugin.refinement.autosampling import NO_CLASS, SamplingState, has_converged, next_state, note_changes, start_state
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Changes

INITIAL = RefinementSettings(dimension=3, auto_sampling=True, healpix_order=1, offset_range=6.0, offset_step=2.0)
REFINE = RefinementSettings(dimension=3, algorithm=Algorithm.EM, auto_refine=True, healpix_order=2, reference="map.mrc")
GLOBAL = SamplingState(1, 6.0, 2.0, local=False, sigma_angles=0.0, fine_enough=False, iterations_without_changes=1)
PIXEL = 3.0


def decide(state, settings, **changes):
    values = {
        "iteration": 10,
        "accuracy_rotation": 2.0,
        "accuracy_translation": 1.0,
        "iterations_without_gain": 1,
        "resolution": 20.0,
        "pixel_size": PIXEL,
        "changes": Changes(5.0, 3.0, 0.1),
    }
    return next_state(state, settings, **(values | changes))


def test_steps_of_the_healpix_orders():
    steps = [replace(GLOBAL, healpix_order=order).angular_step() for order in range(6)]
    assert steps == [60, 30, 15, 7.5, 3.75, 1.875]
    assert replace(GLOBAL, healpix_order=4).angular_step(1) == 360 / (6 * 2**5)


def test_start():
    assert start_state(INITIAL) == SamplingState(1, 6.0, 2.0, False, 0.0, False)
    assert not start_state(REFINE).local
    late = start_state(replace(REFINE, healpix_order=4))
    assert (late.local, late.sigma_angles) == (True, 2 * 1.875)
    given = start_state(replace(REFINE, auto_refine=False, sigma_angles=5.0))
    assert (given.local, given.sigma_angles) == (True, 5.0)
    assert not start_state(replace(INITIAL, healpix_order=4)).local


def test_changes_are_counted_once_they_stop_shrinking():
    state = replace(GLOBAL, iterations_without_changes=0)
    # first iteration: less than the large start values in all three
    state = note_changes(state, Changes(20.0, 6.0, 0.4), PIXEL)
    assert state.iterations_without_changes == 0
    assert (state.smallest_orientations, state.smallest_offsets, state.smallest_classes) == (20.0, 6.0, 0.0)
    # angles shrink by 5 %: still changing (fine step 15 deg, 40 % of it 6 deg)
    state = note_changes(state, Changes(19.0, 6.0, 0.4), PIXEL)
    assert state.iterations_without_changes == 0
    # by 2 %: 1.03 * 18.7 > 19, settled
    state = note_changes(state, Changes(18.7, 6.0, 0.4), PIXEL)
    assert (state.iterations_without_changes, state.smallest_orientations) == (1, 18.7)
    # a large drop, but to less than 40 % of both fine steps (15 deg, 3 A): settled too
    state = note_changes(state, Changes(5.9, 1.1, 0.4), PIXEL)
    assert state.iterations_without_changes == 2
    # offsets above 40 % of their step and falling
    state = note_changes(replace(state, smallest_offsets=6.0), Changes(5.9, 1.3, 0.4), PIXEL)
    assert (state.iterations_without_changes, state.smallest_offsets) == (0, 1.3)
    # larger changes than before do not raise the smallest
    state = note_changes(state, Changes(30.0, 9.0, 1.0), PIXEL)
    assert (state.iterations_without_changes, state.smallest_offsets, state.smallest_orientations) == (1, 1.3, 5.9)


def test_changed_classes_count_as_all_or_none():
    state = replace(GLOBAL, iterations_without_changes=0)
    still = Changes(0.0, 0.0, 1.0)
    state = note_changes(state, still, PIXEL)
    assert (state.smallest_classes, state.iterations_without_changes) == (1.0, 0)
    state = note_changes(state, replace(still, classes=0.45), PIXEL)  # 0.46 < 1
    assert (state.smallest_classes, state.iterations_without_changes) == (0.0, 0)
    state = note_changes(state, replace(still, classes=0.45), PIXEL)
    assert state.iterations_without_changes == 1


def test_fine_steps_depend_on_oversampling():
    state = replace(GLOBAL, smallest_classes=0.0, smallest_orientations=20.0, smallest_offsets=20.0)
    changes = Changes(7.0, 0.0, 0.0)  # 40 % of 30 deg is 12, of 15 deg is 6
    assert note_changes(state, changes, PIXEL, oversampling=0).iterations_without_changes == 2
    assert note_changes(state, changes, PIXEL, oversampling=1).iterations_without_changes == 0


def test_initial_model_reconsiders_every_tenth_iteration():
    for iteration in (1, 2, 9, 11, 25):
        assert decide(GLOBAL, INITIAL, iteration=iteration) is GLOBAL
    assert decide(GLOBAL, INITIAL, iteration=20).healpix_order == 2
    assert decide(GLOBAL, replace(INITIAL, auto_sampling=False), iteration=20) is GLOBAL
    assert decide(GLOBAL, replace(INITIAL, skip_align=True), iteration=20) is GLOBAL


def test_nothing_changes_while_the_resolution_grows_or_accuracies_are_unknown():
    assert decide(GLOBAL, INITIAL, iterations_without_gain=0) is GLOBAL
    assert decide(GLOBAL, INITIAL, accuracy_rotation=999.0) is GLOBAL
    assert decide(GLOBAL, INITIAL, accuracy_translation=999.0) is GLOBAL


def test_initial_model_ignores_changes_of_poses_and_auto_refine_waits_for_them():
    moving = replace(GLOBAL, iterations_without_changes=0)
    assert decide(moving, INITIAL).healpix_order == 2
    assert decide(moving, REFINE) is moving
    assert decide(moving, replace(REFINE, auto_ignore_angles=True)).healpix_order == 2
    assert decide(GLOBAL, REFINE).healpix_order == 2


def test_auto_refine_reconsiders_from_the_second_iteration():
    assert decide(GLOBAL, REFINE, iteration=1) is GLOBAL
    for iteration in (2, 3, 11):
        assert decide(GLOBAL, REFINE, iteration=iteration).healpix_order == 2


def test_a_step_below_three_quarters_of_the_accuracy_is_fine_enough():
    state = replace(GLOBAL, healpix_order=3)  # fine step 3.75
    assert decide(state, REFINE, accuracy_rotation=5.01) == replace(state, fine_enough=True)
    assert decide(state, REFINE, accuracy_rotation=4.99).healpix_order == 4


@pytest.mark.parametrize(
    ("accuracy", "moved", "reach", "step"),
    [
        # fine step 0.75 * 1 A, coarse 1.5 A; 5 * 0.2 = 1 A, raised to 1.5 steps
        (1.0, 0.2, 2.25, 1.5),
        # 5 * 0.9 = 4.5 A: between 1.5 and 4 steps
        (1.0, 0.9, 4.5, 1.5),
        # 5 * 3 = 15 A: more than 4 steps (6 A), halved to 7.5 A, still more: step 7.5 / 4
        (1.0, 3.0, 7.5, 1.875),
        # 5 * 2 = 10 A, halved to 5 A, which is less than 4 steps
        (1.0, 2.0, 5.0, 1.5),
        # no more than 1.5 A fine, 3 A coarse
        (5.0, 2.0, 10.0, 3.0),
        # no more than 1.3 times the old 18 A: 23.4 A, halved, step 11.7 / 4 = 2.925 < 3 A
        (5.0, 10.0, 11.7, 3.0),
    ],
)
def test_shifts_follow_accuracy_and_last_changes(accuracy, moved, reach, step):
    state = decide(GLOBAL, REFINE, accuracy_translation=accuracy, changes=Changes(1.0, moved, 0.0))
    assert state.offset_range * PIXEL == pytest.approx(reach)
    assert state.offset_step * PIXEL == pytest.approx(step)


def test_initial_model_keeps_shifts_rather_than_coarsening_them():
    state = replace(GLOBAL, offset_step=0.5, offset_range=1.5)
    new = decide(state, INITIAL, accuracy_translation=5.0, changes=Changes(1.0, 2.0, 0.0))
    assert (new.healpix_order, new.offset_range, new.offset_step) == (2, 1.5, 0.5)
    refined = decide(state, REFINE, accuracy_translation=5.0, changes=Changes(1.0, 2.0, 0.0))
    assert refined.offset_step * PIXEL == pytest.approx(3.0)


def test_initial_model_stays_below_the_order_of_local_searches():
    state = replace(GLOBAL, healpix_order=3, offset_range=0.75, offset_step=0.5)
    new = decide(state, INITIAL, changes=Changes(1.0, 0.2, 0.0))
    assert new == state  # shifts of 1.5 A in 2.25 A already
    coarse = decide(replace(state, offset_step=2.0, offset_range=6.0), INITIAL, changes=Changes(1.0, 0.2, 0.0))
    assert (coarse.healpix_order, coarse.offset_step * PIXEL, coarse.local) == (3, pytest.approx(1.5), False)
    assert coarse.iterations_without_changes == 0


def test_sampling_stops_at_the_finest_order_asked_for():
    coarse = replace(GLOBAL, healpix_order=2)
    still = decide(coarse, replace(INITIAL, max_healpix_order=2))
    assert still.healpix_order == 2
    assert still.offset_step < coarse.offset_step  # shifts go on
    assert decide(coarse, replace(INITIAL, max_healpix_order=3)).healpix_order == 3
    assert decide(replace(GLOBAL, healpix_order=3), replace(INITIAL, max_healpix_order=2)).healpix_order == 3  # never coarser
    assert decide(coarse, replace(REFINE, max_healpix_order=2)).healpix_order == 2
    # a grid that can change no more is left as it is, with what was counted in it
    done = replace(coarse, offset_range=0.75, offset_step=0.5)
    assert decide(done, replace(INITIAL, max_healpix_order=2), changes=Changes(1.0, 0.2, 0.0)) == done


def test_auto_refine_turns_to_local_searches():
    third = decide(replace(GLOBAL, healpix_order=2), REFINE)
    assert (third.healpix_order, third.local, third.sigma_angles) == (3, False, 0.0)
    fourth = decide(replace(GLOBAL, healpix_order=3), REFINE)
    assert (fourth.healpix_order, fourth.local, fourth.sigma_angles) == (4, True, 2 * 1.875)
    fifth = decide(replace(fourth, iterations_without_changes=1), REFINE, accuracy_rotation=1.0)
    assert (fifth.healpix_order, fifth.local, fifth.sigma_angles) == (5, True, 2 * 0.9375)


def test_a_new_grid_forgets_the_smallest_changes():
    state = replace(GLOBAL, smallest_orientations=3.0, smallest_offsets=1.0, smallest_classes=0.0, iterations_without_changes=4)
    new = decide(state, REFINE)
    assert (new.smallest_orientations, new.smallest_offsets, new.smallest_classes) == (999.0, 999.0, NO_CLASS)
    assert new.iterations_without_changes == 0


def test_resolution_alone_may_ask_for_finer_angles():
    settings = replace(REFINE, auto_resol_angles=True, auto_ignore_angles=True, particle_diameter=200.0)
    state = replace(GLOBAL, healpix_order=1)  # fine step 15 deg; ceil(pi * 200 / 20) = 32 steps of 11.25 deg
    assert decide(state, settings, iterations_without_gain=0).healpix_order == 2
    assert decide(state, settings, iterations_without_gain=0, resolution=30.0) is state  # 21 steps of 17.1 deg
    # not into local searches: that waits until nothing is gained any more
    third = replace(state, healpix_order=3)
    assert decide(third, settings, iterations_without_gain=0, resolution=5.0) is third
    assert decide(third, settings, iterations_without_gain=1, resolution=5.0).healpix_order == 4


def test_convergence_needs_all_three():
    done = replace(GLOBAL, fine_enough=True)
    assert has_converged(done, REFINE, 1)
    assert not has_converged(done, REFINE, 0)
    assert not has_converged(replace(done, fine_enough=False), REFINE, 1)
    moving = replace(done, iterations_without_changes=0)
    assert not has_converged(moving, REFINE, 3)
    assert has_converged(moving, replace(REFINE, auto_ignore_angles=True), 1)
    assert not has_converged(done, INITIAL, 5)
