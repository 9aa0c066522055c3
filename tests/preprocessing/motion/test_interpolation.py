import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from relion4plugin.preprocessing.motion.interpolation import move_by_arrays, move_frame

FIELD = np.array([[1.3, 0.15, -0.04, 0.2, 0.3, -0.1], [-2.6, -0.1, 0.1, 0.8, 0.1, 0.1]])


def frame(shape=(90, 150)):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("n_threads", [1, 3])
def test_the_compiled_loop_does_what_array_operations_do(n_threads):
    # Where the shift passes a whole px within a block, the loop goes on with the same cubic for a moment.
    assert move_frame(frame(), FIELD, n_threads) == pytest.approx(move_by_arrays(frame(), FIELD), abs=5e-3)


def test_whole_pixels_are_moved_exactly():
    field = np.zeros((2, 6))
    field[:, 0] = 3, -2
    assert move_frame(frame(), field)[5:-5, 5:-5] == pytest.approx(np.roll(frame(), (-2, 3), axis=(0, 1))[5:-5, 5:-5], abs=1e-5)


def test_smooth_images_are_moved_by_fractions():
    smooth = gaussian_filter(frame(), 3)
    field = np.zeros((2, 6))
    field[:, 0] = 0.4, 0.7
    fy, fx = np.fft.fftfreq(90)[:, None], np.fft.rfftfreq(150)
    expected = np.fft.irfft2(np.fft.rfft2(smooth) * np.exp(-2j * np.pi * (0.4 * fx + 0.7 * fy)), s=smooth.shape)
    error = (move_frame(smooth, field) - expected)[10:-10, 10:-10]
    assert error.std() < 0.02 * smooth.std()


@pytest.mark.gpu
def test_a_graphics_card_gives_the_same():
    import cupy

    assert move_frame(cupy.asarray(frame()), FIELD).get() == pytest.approx(move_by_arrays(frame(), FIELD), abs=1e-4)
