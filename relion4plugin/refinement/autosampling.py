"""Which angles and shifts the next iteration of a 3D refinement searches, and when auto-refinement has converged.

The grid becomes finer only once the current one is exhausted: the resolution no longer grows and the poses no longer
move. How fine it can usefully get follows from the estimated accuracies (RELION-4.0 paper, section 3.1; Scheres 2012,
J. Struct. Biol. 180, 519-530).
"""

import math
from dataclasses import dataclass, replace

from relion4plugin.refinement.accuracy import UNKNOWN
from relion4plugin.refinement.orientations import angular_step
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Changes

GRADIENT_INTERVAL = 10  # VDAM reconsiders its sampling every so many iterations
ACCURACY_SHARE = 0.75  # a step finer than this share of the accuracy tells nothing more
LARGEST_OFFSET_STEP = 1.5  # A, fine
LOCAL_SIGMA_STEPS = 2.0  # sigma of local searches in fine steps
STILL = 0.40  # changes below this share of a fine step are none
TOLERANCE = 1.03
NO_ANGLE = NO_OFFSET = 999.0
NO_CLASS = 9_999_999.0


@dataclass(frozen=True)
class SamplingState:
    """The search of one iteration and how far poses have settled in it; steps are those of the coarse grid."""

    healpix_order: int
    offset_range: float  # px
    offset_step: float  # px
    local: bool  # search only about each particle's own pose
    sigma_angles: float  # deg, of rot, tilt and psi in local searches; 0: global
    fine_enough: bool  # a finer angular grid would tell nothing more
    smallest_orientations: float = NO_ANGLE  # deg, smallest change so far with this grid
    smallest_offsets: float = NO_OFFSET  # A
    smallest_classes: float = NO_CLASS
    iterations_without_changes: int = 0

    def angular_step(self, oversampling: int = 0) -> float:
        """Return the angular step in degrees: the coarse one, or the one after `oversampling` halvings."""
        return angular_step(self.healpix_order + oversampling)


def start_state(settings: RefinementSettings) -> SamplingState:
    """Return the sampling of the first iteration.

    Searches are local from the start where `sigma_angles` is given, or where auto-refinement begins at an order that is
    meant for local searches.
    """
    state = SamplingState(settings.healpix_order, settings.offset_range, settings.offset_step, False, 0.0, False)
    if settings.sigma_angles > 0:
        return replace(state, local=True, sigma_angles=settings.sigma_angles)
    return _localised(state, settings)


def note_changes(state: SamplingState, changes: Changes, pixel_size: float, oversampling: int = 1) -> SamplingState:
    """Count an iteration in which poses and classes moved no less than before, or hardly at all.

    Parameters
    ----------
    state : SamplingState
        As searched in the iteration.
    changes : Changes
        Of that iteration.
    pixel_size : float
        A.
    oversampling : int
        Halvings of the coarse steps.
    """
    offset_step = state.offset_step * pixel_size / 2.0**oversampling
    settled = (
        changes.classes * TOLERANCE >= state.smallest_classes
        and (changes.offsets < STILL * offset_step or changes.offsets * TOLERANCE >= state.smallest_offsets)
        and (
            changes.orientations < STILL * state.angular_step(oversampling)
            or changes.orientations * TOLERANCE >= state.smallest_orientations
        )
    )
    return replace(
        state,
        # the share of particles that changed class counts as all or none, as in RELION
        smallest_classes=float(int(changes.classes + 0.5)) if changes.classes < state.smallest_classes else state.smallest_classes,
        smallest_offsets=min(state.smallest_offsets, changes.offsets),
        smallest_orientations=min(state.smallest_orientations, changes.orientations),
        iterations_without_changes=state.iterations_without_changes + 1 if settled else 0,
    )


def next_state(
    state: SamplingState,
    settings: RefinementSettings,
    *,
    iteration: int,
    accuracy_rotation: float,
    accuracy_translation: float,
    iterations_without_gain: int,
    resolution: float,
    pixel_size: float,
    changes: Changes,
) -> SamplingState:
    """Decide the sampling of the iteration that is about to start.

    Where the HEALPix order of the result differs, the caller makes the direction priors uniform again; where anything
    but `fine_enough` differs, the caller sets its count of iterations without a gain of resolution to 0.

    Parameters
    ----------
    state : SamplingState
        After the previous iteration (`note_changes`).
    iteration : int
        Number of the iteration about to start, from 1.
    accuracy_rotation, accuracy_translation : float
        Of the best class, deg and A; 999 where not estimated yet: nothing changes then.
    iterations_without_gain : int
        Iterations in a row in which the resolution did not grow.
    resolution : float
        Current resolution, A.
    pixel_size : float
        A.
    changes : Changes
        Of the previous iteration.
    """
    if not _is_due(settings, iteration) or not _is_exhausted(state, settings, iterations_without_gain, resolution):
        return state
    if accuracy_rotation >= UNKNOWN or accuracy_translation >= UNKNOWN:
        return state
    if state.angular_step(settings.oversampling) < ACCURACY_SHARE * accuracy_rotation:
        return replace(state, fine_enough=True)
    reach, step = _next_offsets(state, settings.oversampling, accuracy_translation, pixel_size, changes.offsets)
    order = min(state.healpix_order + 1, max(settings.max_healpix_order, state.healpix_order))
    if not settings.auto_refine:
        order = state.healpix_order if order >= settings.auto_local_healpix_order else order
        if step > state.offset_step:
            reach, step = state.offset_range, state.offset_step
    if (order, reach, step) == (state.healpix_order, state.offset_range, state.offset_step):
        return replace(state, fine_enough=False)
    finer = SamplingState(order, reach, step, state.local, state.sigma_angles, fine_enough=False)
    return _localised(finer, settings)


def has_converged(state: SamplingState, settings: RefinementSettings, iterations_without_gain: int) -> bool:
    """Tell whether auto-refinement is done: fine enough angles, no gain of resolution, poses settled."""
    settled = settings.auto_ignore_angles or state.iterations_without_changes >= 1
    return settings.auto_refine and state.fine_enough and iterations_without_gain >= 1 and settled


def _is_due(settings: RefinementSettings, iteration: int) -> bool:
    """Auto-refinement reconsiders in every iteration, VDAM in every tenth."""
    if settings.skip_align or iteration <= 1:
        return False
    if settings.auto_refine:
        return True
    return settings.auto_sampling and (settings.algorithm is Algorithm.EM or iteration % GRADIENT_INTERVAL == 0)


def _is_exhausted(state: SamplingState, settings: RefinementSettings, iterations_without_gain: int, resolution: float) -> bool:
    """Tell whether the current grid has given what it can."""
    exhausted = iterations_without_gain >= 1
    if settings.auto_resol_angles and state.healpix_order + 1 != settings.auto_local_healpix_order:
        # the angle that moves the particle's edge by one resolution element
        needed = 360.0 / math.ceil(math.pi * settings.particle_diameter / resolution)
        exhausted |= needed < state.angular_step(settings.oversampling)
    ignore_poses = settings.auto_ignore_angles or not settings.auto_refine
    return exhausted and (ignore_poses or state.iterations_without_changes >= 1)


def _next_offsets(state: SamplingState, oversampling: int, accuracy: float, pixel_size: float, moved: float) -> tuple[float, float]:
    """Return range and coarse step (px) that suit the accuracy (A) and how far particles still move (A)."""
    step = min(LARGEST_OFFSET_STEP, ACCURACY_SHARE * accuracy) * 2.0**oversampling
    reach = max(min(1.3 * state.offset_range * pixel_size, 5.0 * moved), 1.5 * step)
    if reach > 4 * step:
        reach /= 2
    if reach > 4 * step:
        step = reach / 4
    return reach / pixel_size, step / pixel_size


def _localised(state: SamplingState, settings: RefinementSettings) -> SamplingState:
    """Turn to searches about each particle's own pose where auto-refinement has reached the order for it."""
    if not settings.auto_refine or state.healpix_order < settings.auto_local_healpix_order:
        return state
    return replace(state, local=True, sigma_angles=LOCAL_SIGMA_STEPS * state.angular_step(settings.oversampling))
