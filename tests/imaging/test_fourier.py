"""The half transform against a plain DFT, closed forms and Parseval's theorem."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relion4plugin.arrays import to_numpy
from relion4plugin.imaging.fourier import (
    crop_half,
    half_frequencies,
    half_multiplicity,
    half_shells,
    half_to_image,
    half_unique,
    image_to_half,
    pad_half,
    round_half_away,
    shift_phases,
)


def centred_dft(image):
    """The definition: sum over pixels with coordinates from the centre, divided by their number."""
    n = image.shape[0]
    c = np.arange(n) - n // 2
    k = np.fft.fftfreq(n, 1 / n)
    w = np.exp(-2j * np.pi * np.outer(k, c) / n)
    return (w @ image @ w.T)[:, : n // 2 + 1] / n**2


@pytest.mark.parametrize("n", [2, 8, 14])
def test_transform_is_the_centred_dft(xp, n, rng):
    images = rng.normal(size=(3, n, n)).astype(np.float32)
    half = image_to_half(xp.asarray(images))
    assert half.dtype == np.complex64
    np.testing.assert_allclose(to_numpy(half), [centred_dft(image) for image in images], atol=1e-6)
    back = half_to_image(half, n)
    assert back.dtype == np.float32
    np.testing.assert_allclose(to_numpy(back), images, atol=3e-6)


def test_float64_stays_float64(rng):
    image = rng.normal(size=(10, 10))
    half = image_to_half(image)
    assert half.dtype == np.complex128
    np.testing.assert_allclose(half, centred_dft(image), atol=1e-15)
    np.testing.assert_allclose(half_to_image(half, 10), image, atol=1e-13)


def test_input_is_not_changed(rng):
    image = rng.normal(size=(8, 8)).astype(np.float32)
    before = image.copy()
    half_before = (half := image_to_half(image)).copy()
    half_to_image(half, 8)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(half, half_before)


def test_point_at_the_centre_has_a_flat_transform():
    image = np.zeros((16, 16), np.float32)
    image[8, 8] = 256
    np.testing.assert_allclose(image_to_half(image), np.ones((16, 9)), atol=1e-6)


def test_white_noise_has_power_one_over_n_squared(rng):
    half = image_to_half(rng.normal(size=(200, 32, 32)).astype(np.float32))
    assert np.mean(np.abs(half[:, :, 1:16]) ** 2) * 32**2 == pytest.approx(1, abs=0.01)


def test_parseval(rng):
    images = rng.normal(size=(2, 20, 20))
    power = (np.abs(image_to_half(images)) ** 2 * half_multiplicity(20)).sum(axis=(1, 2))
    np.testing.assert_allclose(power, (images**2).mean(axis=(1, 2)), rtol=1e-12)


def test_redundant_components_are_conjugates_of_unique_ones(rng):
    half = image_to_half(rng.normal(size=(12, 12)))
    ky, kx = half_frequencies(12)
    unique = half_unique(12)
    assert unique.sum() == 12 * 7 - 5
    for row in np.flatnonzero(~unique[:, 0]):
        assert -6 < ky[row, 0] < 0
        np.testing.assert_allclose(half[row, 0], np.conj(half[-row, 0]), atol=1e-15)
    assert unique[kx > 0].all()


def test_frequencies_are_in_fft_order(xp):
    ky, kx = (to_numpy(k) for k in half_frequencies(8, xp))
    np.testing.assert_array_equal(ky[:, 2], [0, 1, 2, 3, -4, -3, -2, -1])
    np.testing.assert_array_equal(kx[5], [0, 1, 2, 3, 4])
    assert ky.dtype == kx.dtype == np.int32


def test_shells_are_rounded_radii(xp):
    shells = to_numpy(half_shells(16, xp))
    ky, kx = half_frequencies(16)
    expected = np.floor(np.hypot(ky, kx) + 0.5)
    assert shells.dtype == np.int32
    np.testing.assert_array_equal(shells, expected)


def test_odd_boxes_are_refused():
    with pytest.raises(ValueError, match="even"):
        image_to_half(np.zeros((5, 5), np.float32))


@given(st.integers(-1000, 1000))
def test_halves_round_away_from_zero(i):
    assert round_half_away(i + 0.5) == (i + 1 if i >= 0 else i)
    assert round_half_away(np.array([i + 0.5]))[0] == (i + 1 if i >= 0 else i)
    assert round_half_away(float(i)) == i


def test_rounding_of_known_values(xp):
    values = xp.asarray([0.5, 1.5, 2.5, -0.5, -2.5, 2.4, -2.6, 0.0])
    np.testing.assert_array_equal(to_numpy(round_half_away(values)), [1, 2, 3, -1, -3, 2, -3, 0])
    assert isinstance(round_half_away(2.5), int)


def test_positive_shift_moves_content_to_larger_indices(xp, rng):
    n = 16
    image = rng.normal(size=(n, n)).astype(np.float32)
    ky, kx = (k.ravel() for k in half_frequencies(n, xp))
    phases = shift_phases(ky, kx, xp.asarray([[3.0, 0.0], [0.0, -2.0]]), n)
    assert phases.dtype == np.complex64
    assert phases.shape == (2, len(kx))
    shifted = to_numpy(half_to_image(image_to_half(xp.asarray(image)) * phases.reshape(2, n, n // 2 + 1), n))
    np.testing.assert_allclose(shifted[0], np.roll(image, 3, axis=1), atol=1e-5)
    np.testing.assert_allclose(shifted[1], np.roll(image, -2, axis=0), atol=1e-5)


def test_fractional_shift_of_a_gaussian():
    n = 32
    y, x = np.mgrid[:n, :n] - n // 2

    def gaussian(cx, cy):
        return np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / 8.0)

    ky, kx = (k.ravel() for k in half_frequencies(n))
    phases = shift_phases(ky, kx, np.array([[1.3, -0.7]]), n).reshape(n, n // 2 + 1)
    np.testing.assert_allclose(half_to_image(image_to_half(gaussian(0, 0)) * phases, n), gaussian(1.3, -0.7), atol=1e-6)


def test_phases_of_large_shifts_keep_float32_accuracy():
    n = 400
    ky, kx = (k.ravel() for k in half_frequencies(n))
    shift = np.array([[187.3, -191.9]])
    exact = np.exp(-2j * np.pi * (kx * shift[0, 0] + ky * shift[0, 1]) / n)
    assert np.abs(shift_phases(ky, kx, shift, n)[0] - exact).max() < 1e-6


def test_crop_undoes_pad_and_keeps_grey_values(xp, rng):
    half = image_to_half(xp.asarray(rng.normal(size=(2, 12, 12)).astype(np.float32)))
    padded = pad_half(half, 20)
    assert padded.shape == (2, 20, 11)
    np.testing.assert_array_equal(to_numpy(crop_half(padded, 12)), to_numpy(half))
    assert float(np.abs(to_numpy(padded)).sum()) == pytest.approx(float(np.abs(to_numpy(half)).sum()), rel=1e-5)
    y, x = np.mgrid[:32, :32] - 16
    wave = (2 + np.cos(2 * np.pi * (2 * x + 3 * y) / 32)).astype(np.float32)
    coarse = half_to_image(crop_half(image_to_half(wave), 16), 16)
    np.testing.assert_allclose(coarse, wave[::2, ::2], atol=1e-5)


def test_crop_and_pad_refuse_the_wrong_direction():
    half = np.zeros((8, 5), np.complex64)
    with pytest.raises(ValueError, match="crop"):
        crop_half(half, 10)
    with pytest.raises(ValueError, match="pad"):
        pad_half(half, 6)
