import numpy as np
import pytest
import scipy.fft

from relion4plugin.preprocessing.motion.coarse import block_sums, coarse_transform, crop_rectangle, plan_coarse
from relion4plugin.preprocessing.motion.correlation import correlation_window, frequencies, peak_of_window, phases, widest_peak
from relion4plugin.preprocessing.motion.whole_frame import align_frames
from tests.preprocessing.motion.synthetic import distance, drift, movie

STEP = (1.5, 2.0)


def image(shape=(48, 64)):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_the_window_is_the_correlation_computed_by_the_transform():
    grid = frequencies((48, 64), STEP, 10.0)
    a, b = scipy.fft.rfft2(image()), scipy.fft.rfft2(np.roll(image(), (2, -3), axis=(0, 1)))
    product = a * b.conj() * grid.weights
    halved = product.copy()
    halved[:, 1:] /= 2
    whole = np.fft.fftshift(scipy.fft.irfft2(halved, s=(48, 64))) * 48 * 64
    window = correlation_window(product, grid, 5, 1.0)
    assert window == pytest.approx(whole[24 - 5 : 24 + 6, 32 - 5 : 32 + 6], rel=1e-3, abs=1e-3 * whole.max())
    peak, inside = peak_of_window(window)
    assert inside and peak == pytest.approx([3, -2], abs=0.1)
    assert widest_peak(product, grid, 20.0) == pytest.approx([3 * STEP[1], -2 * STEP[0]])
    assert np.hypot(*widest_peak(product, grid, 3.0)) <= 3.0


def test_phases_move_an_image_by_whole_pixels():
    grid = frequencies((48, 64), STEP, 10.0)
    moved = scipy.fft.irfft2(scipy.fft.rfft2(image()) * phases(grid, np.array([3 * STEP[1], -2 * STEP[0]])), s=(48, 64))
    assert moved == pytest.approx(np.roll(image(), (-2, 3), axis=(0, 1)), abs=1e-4)


def test_a_peak_between_steps_is_found():
    y, x = np.mgrid[-4:5, -4:5]
    values = -((x - 1.3) ** 2) - (y + 0.4) ** 2
    assert peak_of_window(values)[0] == pytest.approx([1.3, -0.4])
    assert peak_of_window((x + y).astype(float))[1] is False or not peak_of_window((x + y).astype(float))[1]


def test_small_frames_are_the_low_frequencies():
    assert block_sums(np.arange(35.0).reshape(5, 7), 2).tolist() == [[16.0, 24.0, 32.0], [72.0, 80.0, 88.0]]
    half = scipy.fft.rfft2(image())
    small = crop_rectangle(half, (24, 32))
    assert small.shape == (24, 17)
    assert small[3, 4] == half[3, 4] and small[-3, 4] == half[-3, 4]
    plan = plan_coarse((3838, 3710), 1.0)
    assert plan.block == 2 and 3.2 < plan.step[0] < 3.4
    assert np.array(plan.step) * plan.shape == pytest.approx([3838, 3710])
    assert plan_coarse((8000, 8000), 2.0).block == 4


@pytest.mark.parametrize(("dose", "size"), [(1.0, 8.0), (1.0, 40.0), (0.25, 8.0)])
def test_frames_are_aligned(dose, size):
    made = movie(dose=dose, size=size)
    plan = plan_coarse(made.counts.shape[1:], 1.0)
    transforms = [coarse_transform(frame.astype(np.float32), plan, 1) for frame in made.counts]
    found = align_frames(transforms, frequencies(plan.shape, plan.step, 150.0), 60.0)
    assert found[0].tolist() == [0, 0]
    assert distance(found, made.shifts) < (0.3 if dose == 1.0 else 0.5)
    assert distance(drift(12, size), np.zeros((12, 2))) > 2  # of nothing done


def test_a_drift_below_a_small_pixel_is_found():
    """The first round, which sees small pixels of 3.3 px only, finds nothing to move."""
    made = movie(dose=4.0, size=1.2)
    plan = plan_coarse(made.counts.shape[1:], 1.0)
    transforms = [coarse_transform(frame.astype(np.float32), plan, 1) for frame in made.counts]
    found = align_frames(transforms, frequencies(plan.shape, plan.step, 150.0), 60.0)
    assert distance(found, made.shifts) < 0.2 < distance(np.zeros((12, 2)), made.shifts)
