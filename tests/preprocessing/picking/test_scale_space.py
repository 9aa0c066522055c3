import numpy as np
import pytest
import scipy.fft

from relion4plugin.preprocessing.picking.scale_space import diameters_between, kink, response_noise, responses, smooth
from tests.preprocessing.picking.fields import scattered


def disc(shape, centre, diameter, contrast=1.0):
    y, x = np.indices(shape)
    return -contrast * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= (diameter / 2) ** 2).astype(np.float32)


@pytest.mark.parametrize("diameter", [12.0, 25.0, 40.0])
def test_a_dark_disc_answers_with_its_contrast_at_its_own_diameter(diameter):
    image = disc((200, 180), (90, 100), diameter, contrast=3.0)
    scales = diameter * np.array([0.5, 0.75, 1.0, 1.33, 2.0])
    found = responses(image, scales)[:, 90, 100]
    assert found.argmax() == 2
    assert found[2] == pytest.approx(3.0, rel=0.05)


def test_a_bright_disc_and_a_flat_image_do_not_answer():
    assert responses(-disc((100, 100), (50, 50), 20), np.array([20.0]))[0, 50, 50] < -0.9
    np.testing.assert_allclose(responses(np.full((60, 50), 7.0, np.float32), np.array([10.0])), 0.0, atol=1e-4)


def test_noise_of_the_response_is_known_from_the_noise_of_the_image(rng):
    image = rng.normal(scale=2.0, size=(300, 320)).astype(np.float32)
    for diameter in (8.0, 20.0):
        assert response_noise(image, diameter) == pytest.approx(responses(image, np.array([diameter]))[0].std(), rel=0.1)


def test_particles_do_not_raise_the_noise(rng):
    image = rng.normal(size=(300, 300)).astype(np.float32)
    crowded = image + 4 * sum(disc((300, 300), centre, 20) for centre in np.mgrid[15:300:24, 15:300:24].reshape(2, -1).T)
    assert response_noise(crowded, 20.0) < 1.15 * response_noise(image, 20.0)
    assert responses(crowded, np.array([20.0])).std() > 3 * response_noise(crowded, 20.0)


def test_smoothing_is_a_gaussian_and_keeps_a_constant():
    point = np.zeros((41, 43), np.float32)
    point[20, 21] = 1.0
    y, x = np.indices(point.shape)
    expected = np.exp(-((y - 20) ** 2 + (x - 21) ** 2) / (2 * 3.0**2)) / (2 * np.pi * 3.0**2)
    np.testing.assert_allclose(smooth(point, 3.0), expected, atol=2e-5)
    np.testing.assert_allclose(smooth(np.full((20, 30), 5.0, np.float32), 4.0), 5.0, rtol=1e-5)


def test_diameters_are_dense_and_have_both_ends():
    found = diameters_between(100.0, 180.0)
    assert (found[0], found[-1]) == (100.0, pytest.approx(180.0))
    assert (found[1:] / found[:-1]).max() <= 1.12 + 1e-9
    assert diameters_between(50.0, 50.0).tolist() == [50.0]


def spectrum_noise(rng, power: float) -> np.ndarray:
    """Noise whose power falls with the frequency to that power."""
    ky, kx = scipy.fft.fftfreq(400)[:, None], scipy.fft.rfftfreq(400)[None]
    k = np.maximum(np.hypot(ky, kx), 1 / 400)
    return scipy.fft.irfft2(scipy.fft.rfft2(rng.standard_normal((400, 400))) * k ** (-0.5 * power), s=(400, 400)).astype(np.float32)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_noise_of_any_power_law_has_no_kink(rng, power):
    assert kink(spectrum_noise(rng, power), 30.0) < 0.36


@pytest.mark.parametrize("count", [10, 40, 60])
def test_particles_have_a_kink_at_their_size_however_crowded(rng, count):
    image = 0.5 * spectrum_noise(rng, 0.0)
    for x, y in scattered(rng, count, image.shape, 33.0, 16.0):
        image += disc(image.shape, (y, x), 30.0)
    assert kink(image - image.mean(), 30.0) > 0.4
