import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.preprocessing.ctf.spectrum import given_spectrum, hann_overlap, micrograph_spectrum


def test_a_wave_shows_at_its_frequency():
    n, pixel = 512, 2.0
    y, x = np.indices((n, n), dtype=np.float32)
    wave = np.cos(2 * np.pi * (x * 20 / 128 + y * -12 / 128))
    spectrum = micrograph_spectrum(wave, pixel, 128)
    row, column = np.unravel_index(spectrum.power.argmax(), spectrum.power.shape)
    assert (row - 64, column) == (-12, 20)
    fx, fy = spectrum.frequencies()
    assert (fx[column], fy[row]) == pytest.approx((20 / 256, -12 / 256))
    assert spectrum.pixel_size == pixel


def test_a_fine_pixel_gives_larger_tiles_and_the_same_frequencies():
    n, pixel = 800, 0.7
    x = np.arange(n, dtype=np.float32) * pixel
    wave = np.tile(np.cos(2 * np.pi * x / 7.0), (n, 1))
    spectrum = micrograph_spectrum(wave, pixel, 256)
    assert spectrum.box == 256
    assert spectrum.extent == pytest.approx(512 * pixel, rel=0.02)
    fx, _ = spectrum.frequencies()
    assert fx[spectrum.power[128].argmax()] == pytest.approx(1 / 7, abs=0.6 * fx[1])


def test_white_noise_is_flat(rng):
    spectrum = micrograph_spectrum(rng.normal(size=(700, 900)), 1.4, 128)
    inner, outer = spectrum.power[60:68, 2:10].mean(), spectrum.power[:8, 50:].mean()
    assert inner == pytest.approx(outer, rel=0.1)


def test_hot_pixels_and_a_padded_border_change_little(rng):
    image = rng.normal(size=(768, 768)).astype(np.float32)
    clean = micrograph_spectrum(image, 1.4, 128).power
    image[rng.integers(0, 768, 50), rng.integers(0, 768, 50)] = 1e6
    image[:, 512:] = 0
    assert micrograph_spectrum(image, 1.4, 128).power.mean() == pytest.approx(clean.mean(), rel=0.15)


@pytest.mark.parametrize("x", [0.0, 0.2, 0.5, 0.9, 1.0, 1.5])
def test_the_overlap_of_windows(x):
    line = (np.arange(4000) + 0.5) / 4000
    window = np.sin(np.pi * line) ** 2
    moved = np.where((line > x) & (line < 1 + x), np.sin(np.pi * (line - x)) ** 2, 0.0)
    assert hann_overlap(np.array([300.0 * x]), 300.0)[0] == pytest.approx((window * moved).sum() / (window**2).sum(), abs=1e-3)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((100, 300)), "smaller than the FFT box"),
        (np.ones((300, 300)), "no contrast"),
        (np.where(np.eye(300) > 0, np.nan, 1.0), "300 of 90000 px are not numbers"),
    ],
)
def test_what_cannot_be_used_is_said(image, reason):
    with pytest.raises(UserError, match=reason):
        micrograph_spectrum(image, 1.0, 128)


def test_given_spectra_are_amplitudes(tmp_path):
    amplitudes = np.ones((64, 64), np.float32)
    amplitudes[30, 40] = 3.0
    write_stack(tmp_path / "a_PS.mrc", amplitudes[None], 1.4)
    spectrum = given_spectrum(tmp_path / "a_PS.mrc")
    assert spectrum.power.shape == (64, 32)
    assert spectrum.power[30, 8] == 9.0
    assert spectrum.pixel_size == pytest.approx(1.4)


@pytest.mark.parametrize(
    ("amplitudes", "pixel", "reason"),
    [
        (np.ones((1, 64, 32), np.float32), 1.4, "square"),
        (np.ones((2, 64, 64), np.float32), 1.4, "square"),
        (np.ones((1, 64, 64), np.float32), 0.0, "no pixel size"),
        (np.zeros((1, 64, 64), np.float32), 1.4, "zeros only"),
        (np.full((1, 64, 64), np.nan, np.float32), 1.4, "not numbers"),
    ],
)
def test_a_spectrum_that_makes_no_sense_is_refused(tmp_path, amplitudes, pixel, reason):
    write_stack(tmp_path / "a_PS.mrc", amplitudes, pixel)
    with pytest.raises(UserError, match=reason):
        given_spectrum(tmp_path / "a_PS.mrc")
