"""Fourier resizing against sums over the full complex transform, written out."""

import numpy as np
import pytest

from relion4plugin.ranker.resize import IMAGE_SIZE, central_window, fourier_resize, network_images, uniform_size, window_size


def slow_resize(image: np.ndarray, n_new: int) -> np.ndarray:
    """Evaluate the kept frequencies of a real image on the new grid, wave by wave."""
    n = len(image)
    x = np.arange(n) - n // 2
    new = (np.arange(n_new) - n_new // 2) / n_new
    limit = min(n, n_new) // 2
    out = np.zeros((n_new, n_new))
    for ky in range(-limit + 1, limit + 1):
        for kx in range(-limit + 1, limit + 1):
            if n_new > n and kx * kx + ky * ky > limit**2:
                continue
            value = (image * np.exp(-2j * np.pi * (ky * x[:, None] + kx * x[None]) / n)).sum() / n**2
            out += (value * np.exp(2j * np.pi * (ky * new[:, None] + kx * new[None]))).real
    return out


def band_limited(n: int, rng) -> np.ndarray:
    """Random image without the highest frequency, whose sign the grid does not tell."""
    spectrum = np.fft.fft2(rng.standard_normal((n, n)))
    spectrum[n // 2] = 0
    spectrum[:, n // 2] = 0
    return np.fft.ifft2(spectrum).real


@pytest.mark.parametrize(("n", "n_new"), [(12, 18), (10, 16), (16, 16)])
def test_padding(rng, n, n_new):
    image = band_limited(n, rng)
    if n_new == n:
        np.testing.assert_array_equal(fourier_resize(image, n), image)
    else:
        np.testing.assert_allclose(fourier_resize(image, n_new), slow_resize(image, n_new), atol=1e-12)


@pytest.mark.parametrize(("n", "n_new"), [(18, 12), (16, 10)])
def test_cropping_keeps_what_the_new_box_can_hold(rng, n, n_new):
    x = np.arange(n) - n // 2
    waves = [(ky, kx, *rng.standard_normal(2)) for ky in range(-n_new // 2 + 1, n_new // 2) for kx in range(n_new // 2)]
    fine, coarse = np.zeros((n, n)), np.zeros((n_new, n_new))
    new = (np.arange(n_new) - n_new // 2) * n / n_new
    for ky, kx, a, b in waves:
        for grid, out in ((x, fine), (new, coarse)):
            phase = 2 * np.pi * (ky * grid[:, None] + kx * grid[None]) / n
            out += a * np.cos(phase) + b * np.sin(phase)
    beyond = fine + np.cos(2 * np.pi * (n_new // 2 + 1) * x / n)[:, None]
    np.testing.assert_allclose(fourier_resize(beyond, n_new), coarse, atol=1e-10)


def test_cropping_takes_the_row_of_the_positive_highest_frequency(rng):
    n, n_new = 16, 8
    image = rng.standard_normal((n, n))
    full = np.fft.fft2(np.fft.ifftshift(image)) / n**2
    kept = np.fft.fft2(np.fft.ifftshift(fourier_resize(image, n_new))) / n_new**2
    # between the two lines that hold their own conjugates
    np.testing.assert_allclose(kept[n_new // 2, 1 : n_new // 2], full[n_new // 2, 1 : n_new // 2], atol=1e-12)


def test_sizes():
    assert uniform_size(70, 3.1) == 54 and uniform_size(64, 3.54) == 56 and uniform_size(100, 1.0) == 24 and uniform_size(100, 1.02) == 26
    assert window_size(150.0, 3.1) == 50 and window_size(200.0, 3.54) == 58 and window_size(10.0, 1.0) == 12


def test_the_window_is_centred_and_padded_with_zeros():
    image = np.arange(64.0).reshape(1, 8, 8)
    assert central_window(image, 4)[0, 2, 2] == image[0, 4, 4] and central_window(image, 4).shape == (1, 4, 4)
    wide = central_window(image, 12)
    assert wide[0, 6, 6] == image[0, 4, 4] and wide.sum() == image.sum()


@pytest.mark.parametrize(("box", "pixel", "diameter"), [(32, 4.0, 100.0), (24, 2.0, 80.0), (16, 6.0, 60.0), (200, 1.0, 150.0)])
def test_network_images_of_any_box(box, pixel, diameter):
    x = (np.arange(box) - box // 2) * pixel
    sigma = diameter / 8
    blob = np.exp(-(x[:, None] ** 2 + x[None] ** 2) / (2 * sigma**2)).astype(np.float32)
    image = network_images(blob[None], diameter, pixel)
    assert image.shape == (1, IMAGE_SIZE, IMAGE_SIZE) and image.dtype == np.float32
    u = (np.arange(IMAGE_SIZE) - IMAGE_SIZE // 2) * window_size(diameter, pixel) * pixel / IMAGE_SIZE
    expected = np.exp(-(u[:, None] ** 2 + u[None] ** 2) / (2 * sigma**2))
    inside = np.abs(u) < 0.75 * box * pixel / 2
    np.testing.assert_allclose(image[0][np.ix_(inside, inside)], expected[np.ix_(inside, inside)], atol=0.02)
