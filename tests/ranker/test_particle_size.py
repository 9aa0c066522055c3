"""How large a particle stands in its window, and images in which it is not too large."""

import dataclasses

import numpy as np
import pytest

from relion4plugin.ranker import particle_size
from relion4plugin.ranker.network import ClassRankerNet
from relion4plugin.ranker.particle_size import fitted_images, fitted_samples, particle_radii
from relion4plugin.ranker.weights import load_weights, save_weights
from tests.ranker.samples_for_tests import toy_samples
from tests.ranker.test_job_stage import stage as stage

Y, X = np.mgrid[-32:32, -32:32].astype(np.float32)


def gaussian(sigma: float) -> np.ndarray:
    return np.exp(-(X**2 + Y**2) / (2 * sigma**2))


def disc(radius: float) -> np.ndarray:
    return (np.hypot(X, Y) <= radius).astype(np.float32)


def test_radii_of_known_shapes():
    found = particle_radii(np.stack([gaussian(6), disc(20), -gaussian(6), np.zeros((64, 64))]))
    np.testing.assert_allclose(found, [6 * np.sqrt(2), 20 / np.sqrt(2), 0, 0], atol=0.3)
    np.testing.assert_allclose(particle_radii(disc(20)[None] - 0.3 * (1 - disc(20))), found[1:2], atol=0.3)


def test_images_of_a_large_particle_are_shrunk_to_the_radius_that_is_asked_for():
    images = np.stack([disc(26), disc(26) * (1 + 0.2 * np.sin(X / 4))])
    found = fitted_images(images, np.array([0.2, 0.1]), np.array([100.0, 50.0]), 12.0)
    np.testing.assert_allclose(particle_radii(found), 12, atol=0.3)
    assert found.dtype == np.float32 and found.max() == pytest.approx(images.max(), rel=0.05)


def test_images_of_small_particles_stay_as_they_are():
    images = np.stack([gaussian(5), gaussian(7)])
    assert fitted_images(images, np.array([0.4, 0.1]), np.ones(2), 12.0) is images
    assert len(fitted_images(images[:0], np.zeros(0), np.zeros(0), 12.0)) == 0


def test_a_job_of_ice_and_carbon_stays_as_it_is():
    images = np.stack([disc(28), disc(30)])
    assert fitted_images(images, np.array([0.02, 0.03]), np.ones(2), 12.0) is images


def test_the_particle_of_a_job_is_that_of_its_good_and_large_classes():
    images = np.stack([gaussian(6), disc(30)])
    assert fitted_images(images, np.array([0.5, -0.1]), np.ones(2), 12.0) is images
    assert fitted_images(images, np.array([0.06, 0.06]), np.array([10.0, 1.0]), 12.0) is images
    all_alike = fitted_images(images, np.array([0.0, 0.5]), np.ones(2), 12.0)
    ratio = particle_radii(all_alike) / particle_radii(images)
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.05)
    assert ratio.mean() < 0.65


def test_each_job_of_a_set_is_fitted_by_itself():
    samples = toy_samples(8, 2)
    large = samples.job == "job001"
    samples.images[large] = disc(28)
    found = fitted_samples(samples, lambda images, _: images.max(axis=(1, 2)), 12.0)
    assert np.array_equal(found.images[~large], samples.images[~large])
    np.testing.assert_allclose(particle_radii(found.images[large]), 12, atol=0.3)
    assert np.all(samples.images[large] == disc(28))


def test_a_ranker_fits_images_if_its_job_stage_says_so(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(particle_size, "_LEAST_BEST", -np.inf)
    images, features, particles = np.stack([disc(28)] * 3), np.zeros((3, 24), np.float32), np.ones(3)
    for largest in (np.inf, 12.0):
        save_weights(tmp_path / "net.safetensors", ClassRankerNet(4, 4), {"clip": 8.0}, dataclasses.replace(stage, largest=largest))
        ranker = load_weights(tmp_path / "net.safetensors")
        assert ranker.job_stage is not None and ranker.job_stage.largest == largest
        fitted = ranker.fitted(images, features, particles)
        assert (fitted is images) == np.isinf(largest)
    np.testing.assert_allclose(particle_radii(fitted), 12, atol=0.3)
    save_weights(tmp_path / "net.safetensors", ClassRankerNet(4, 4), {"clip": 8.0})
    assert load_weights(tmp_path / "net.safetensors").fitted(images, features, particles) is images


def test_the_shipped_weights_know_a_particle_in_a_wide_and_in_a_tight_mask():
    """A hollow sphere that fills half of the image, or nearly all of it as apoferritin in its own mask, beside bare noise."""
    ranker = load_weights()
    ring = np.clip(disc(13) - 0.4 * disc(7), 0, 1)
    images = np.stack([ring, np.clip(disc(25) - 0.4 * disc(13), 0, 1), 0.2 * np.random.default_rng(0).standard_normal((64, 64))])
    images, features = 2 * images.astype(np.float32), np.zeros((3, 24), np.float32)
    wide, tight, noise = ranker.score(images, features)
    assert ranker.fitted(images, features, np.full(3, 200.0)) is images
    assert noise < 0.1 < 0.3 < min(wide, tight)
