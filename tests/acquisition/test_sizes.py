"""Box, mask and groups of frames against MDCatch's known values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relion4plugin.acquisition.sizes import eer_grouping, frame_group, motion_binning, session_sizes
from relion4plugin.errors import UserError


@pytest.mark.parametrize(
    ("size", "pixel", "sr", "binning", "mask", "box", "small", "small_px", "mask_A"),
    [
        (180, 0.870768, False, 1, 228, 312, 96, 2.830, 198),
        (180, 0.527941, True, 2, 376, 512, 96, 2.816, 198),
        (180, 0.50226, True, 1, 198, 270, 96, 2.825, 198),
        (150, 0.415015, False, 1, 398, 544, 64, 3.528, 165),
        (200, 1.2827, True, 1, 86, 118, 96, 3.153, 220),
        (400, 0.82, False, 1, 537, 732, 192, 3.126, 440),
    ],
)
def test_sizes_of_particles(size, pixel, sr, binning, mask, box, small, small_px, mask_A):
    sizes = session_sizes(size, pixel, sr, binning)
    assert (sizes.mask, sizes.box, sizes.small_box, round(sizes.small_px, 3), sizes.mask_A) == (mask, box, small, small_px, mask_A)
    assert sizes.tube_A is None


def test_sizes_of_filaments():
    sizes = session_sizes(100, 1.18367, helical=True)
    assert (sizes.mask, sizes.box, sizes.small_box, sizes.mask_A, sizes.tube_A, sizes.box_distance) == (137, 154, 64, 162, 120, 15)
    assert round(sizes.small_px, 3) == 2.848


@given(st.floats(20, 900), st.floats(0.3, 4), st.booleans())
def test_sizes_fit_into_each_other(size, pixel, helical):
    try:
        sizes = session_sizes(size, pixel, helical=helical)
    except UserError:
        return
    assert sizes.box % 2 == 0
    assert sizes.mask <= sizes.box + 1
    assert sizes.small_box <= sizes.box
    assert sizes.small_px < 3.75 or sizes.small_box == sizes.box


@pytest.mark.parametrize(("size", "pixel"), [(0, 1), (-5, 1), (100, 0), (1e6, 1)])
def test_sizes_that_cannot_be(size, pixel):
    with pytest.raises(UserError):
        session_sizes(size, pixel)


def test_binning_of_motion_correction():
    assert [motion_binning(*args) for args in ((True, 1), (True, 0.5), (True, 2), (False, 1))] == [2, 2, 1, 1]


@pytest.mark.parametrize(("dose", "frames"), [(0.1, 3), (0.27, 3), (0.4, 2), (0.79, 2), (0.8, 1), (1.4, 1)])
def test_groups_of_frames(dose, frames):
    assert frame_group(dose) == frames


def test_eer_fractions_of_the_worked_example():
    grouping = eer_grouping(28.5048, 190)
    assert (grouping.frames, grouping.fractions, grouping.dropped) == (7, 27, 1)
    assert grouping.dose == pytest.approx(1.0502, abs=1e-4)


@given(st.floats(1, 120), st.integers(20, 2000), st.floats(0.5, 2))
def test_eer_fractions_are_the_best_of_all(total, frames, target):
    found = eer_grouping(total, frames, target)
    assert found.frames * found.fractions + found.dropped == frames
    dose = total / frames

    def cost(group):
        return abs(group * dose - target) / target + (frames % group) / frames

    allowed = [group for group in range(1, frames + 1) if 0.5 * target <= group * dose <= 1.25 * target]
    if allowed:
        assert cost(found.frames) <= min(map(cost, allowed)) + 1e-12


@pytest.mark.parametrize("arguments", [(0, 100), (30, 0), (30, 100, 0)])
def test_eer_fractions_of_nothing(arguments):
    with pytest.raises(UserError):
        eer_grouping(*arguments)
    with pytest.raises(UserError):
        frame_group(0)
