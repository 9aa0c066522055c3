"""Filters and correlation curves on images with known spectra."""

import numpy as np
import pytest

from relion4plugin.arrays import to_numpy
from relion4plugin.imaging.filters import (
    frc,
    fsc,
    lowpass_half,
    lowpass_to_shell,
    lowpass_volume,
    radial_power,
    randomise_phases,
    resize_images,
    resolution_at,
)
from relion4plugin.imaging.fourier import half_shells, half_to_image, image_to_half


def slow_frc(a, b):
    """Loop over the full transform."""
    n = a.shape[-1]
    k = np.fft.fftfreq(n, 1 / n)
    grids = np.meshgrid(*[k] * a.ndim, indexing="ij")
    shell = np.floor(np.sqrt(sum(g**2 for g in grids)) + 0.5).astype(int)
    fa, fb = np.fft.fftn(a.astype(float)), np.fft.fftn(b.astype(float))
    curve = []
    for s in range(n // 2 + 1):
        x, y = fa[shell == s], fb[shell == s]
        curve.append((x * y.conj()).sum().real / np.sqrt((abs(x) ** 2).sum() * (abs(y) ** 2).sum()))
    return np.array(curve)


def test_lowpass_weights(xp):
    half = xp.ones((3, 32, 17), xp.complex64)
    weights = to_numpy(lowpass_half(half, 8, width=4))
    assert weights.dtype == np.complex64
    np.testing.assert_allclose(
        weights[1, 0, [0, 6, 7, 8, 9, 10, 16]].real, [1, 1, 0.5 + 0.5 * np.sqrt(0.5), 0.5, 0.5 - 0.5 * np.sqrt(0.5), 0, 0], atol=1e-6
    )
    np.testing.assert_allclose(weights[:, 8, 0].real, 0.5, atol=1e-6)


def test_sharp_lowpass_removes_whole_shells(rng):
    half = lowpass_half(image_to_half(rng.normal(size=(24, 24)).astype(np.float32)), 5, width=0)
    shells = half_shells(24)
    assert (half[shells > 5] == 0).all()
    assert (half[shells < 5] != 0).all()


def test_resizing_down_and_up(xp):
    y, x = np.mgrid[:24, :24] - 12
    image = (1 + np.cos(2 * np.pi * (2 * x - y) / 24) + np.sin(2 * np.pi * 3 * y / 24)).astype(np.float32)
    small = resize_images(xp.asarray(image), 12)
    np.testing.assert_allclose(to_numpy(small), image[::2, ::2], atol=1e-5)
    np.testing.assert_allclose(to_numpy(resize_images(small, 24)), image, atol=1e-5)


def test_frc_agrees_with_a_loop(xp, rng):
    a = rng.normal(size=(3, 20, 20)).astype(np.float32)
    b = (a + rng.normal(size=a.shape)).astype(np.float32)
    curves = to_numpy(frc(xp.asarray(a), xp.asarray(b)))
    np.testing.assert_allclose(curves, [slow_frc(x, y) for x, y in zip(a, b, strict=True)], atol=1e-5)


def test_fsc_agrees_with_a_loop(xp, rng):
    a = rng.normal(size=(16, 16, 16)).astype(np.float32)
    b = (a + rng.normal(size=a.shape)).astype(np.float32)
    np.testing.assert_allclose(to_numpy(fsc(xp.asarray(a), xp.asarray(b))), slow_frc(a, b), atol=1e-5)


def test_curves_of_equal_opposite_and_empty_images(rng):
    a = rng.normal(size=(16, 16)).astype(np.float32)
    np.testing.assert_allclose(frc(a, 3 * a), 1, atol=1e-6)
    np.testing.assert_allclose(frc(a, -a), -1, atol=1e-6)
    np.testing.assert_array_equal(frc(a, np.zeros_like(a)), 0)


def test_power_of_white_noise_and_of_a_wave(rng):
    noise = radial_power(rng.normal(size=(400, 32, 32)).astype(np.float32)).mean(axis=0) * 32**2
    np.testing.assert_allclose(noise[2:], 1, atol=0.05)
    x = np.arange(32) - 16
    wave = np.broadcast_to(np.cos(2 * np.pi * 4 * x / 32), (32, 32)).astype(np.float32)
    power = radial_power(wave)
    in_shell = np.count_nonzero(np.floor(np.hypot(*np.meshgrid(np.fft.fftfreq(32, 1 / 32), np.fft.fftfreq(32, 1 / 32))) + 0.5) == 4)
    assert power[4] == pytest.approx(2 * 0.25 / in_shell, rel=1e-5)
    assert np.delete(power, 4).max() < 1e-10


def test_resolution():
    curve = np.array([1, 0.9, 0.6, 0.4, 0.6, 0.1])
    assert resolution_at(curve, 0.5, 2.0, 10) == pytest.approx(10)
    assert resolution_at(curve, 0.05, 2.0, 10) == pytest.approx(4)
    assert resolution_at(curve, 0.95, 2.0, 10) == 999
    assert resolution_at(np.array([1, 0.9, np.nan, 0.9]), 0.5, 1.0, 6) == pytest.approx(6)


def test_filtered_image_has_the_expected_resolution(rng):
    image = rng.normal(size=(64, 64)).astype(np.float32)
    low = half_to_image(lowpass_half(image_to_half(image), 16, width=0), 64)
    noise = rng.normal(size=image.shape).astype(np.float32) * 0.1
    assert resolution_at(frc(image, low + noise), 0.5, 1.5, 64) == pytest.approx(64 * 1.5 / 16)


def radii_of(n):
    """Radius of every component of a half transform, in units of 1/(N pixels)."""
    k, half = np.fft.fftfreq(n, 1 / n), np.arange(n // 2 + 1)
    return np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + half**2)


@pytest.mark.parametrize("width", [0, 2, 3.5])
def test_lowpass_of_a_map_weighs_by_radius(rng, width):
    volume = rng.standard_normal((18, 18, 18)).astype(np.float32)
    found = np.fft.rfftn(lowpass_to_shell(volume, 5, width)) / np.fft.rfftn(volume)
    r = radii_of(18)
    ramp = np.clip((r - 5) / width + 0.5, 0, 1) if width else r > 5
    np.testing.assert_allclose(found, 0.5 + 0.5 * np.cos(np.pi * ramp), atol=2e-3)
    np.testing.assert_array_equal(lowpass_volume(volume, 2.0, 7.2, width), lowpass_to_shell(volume, 5, width))


def test_random_phases_keep_amplitudes_and_low_frequencies(rng):
    volume = rng.standard_normal((24, 24, 24)).astype(np.float32)
    changed = randomise_phases(volume, 5, np.random.default_rng(0))
    before, after = np.fft.rfftn(volume), np.fft.rfftn(changed)
    np.testing.assert_allclose(np.abs(after), np.abs(before), rtol=2e-3, atol=1e-2)
    low = radii_of(24) < 5
    np.testing.assert_allclose(after[low], before[low], atol=1e-2)
    product = after[~low] * np.conj(before[~low])
    assert abs(product.sum()) / np.abs(product).sum() < 0.05


def test_random_phases_follow_the_seed(rng):
    volume = rng.standard_normal((16, 16, 16)).astype(np.float32)
    one, same, other = (randomise_phases(volume, 3, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 0.1
