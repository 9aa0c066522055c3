"""Centred class averages, and origins that still bring particles onto them."""

import subprocess

import numpy as np
import pandas as pd
import pytest

from relion4plugin.files.star import read_star, write_star
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.ranker.recentre import centres_of_mass, moved_origins, recentred

N = 64


def blobs(centre, second=(0.0, 0.0)) -> np.ndarray:
    """Two Gaussians about `centre` (x, y; px from pixel N/2), the second one displaced by `second`."""
    axis = np.arange(N) - N // 2
    x, y = axis[None, :] - centre[0], axis[:, None] - centre[1]
    image = np.exp(-(x**2 + y**2) / 18) + 0.5 * np.exp(-((x - second[0]) ** 2 + (y - second[1]) ** 2) / 18)
    return image.astype(np.float32)


def test_centre_of_mass_of_known_blobs():
    found = centres_of_mass(np.stack([blobs((5.5, -3)), blobs((0, 0), (6, 3)), -blobs((4, 4)), np.zeros((N, N), np.float32)]))
    np.testing.assert_allclose(found[:2], [[5.5, -3], [2, 1]], atol=1e-3)
    assert (found[2:] == 0).all()


def test_moved_averages_are_centred_and_unblurred():
    moved = recentred(blobs((5.5, -3), (6, 3))[None], np.array([[5.5, -3]]))
    np.testing.assert_allclose(moved[0], blobs((0, 0), (6, 3)), atol=1e-4)


@pytest.mark.parametrize("psi", [0.0, 30.0, -125.0])
def test_a_particle_stays_on_its_reference(psi):
    """Structure point v of the average appears in the particle at A v - origin; after centring v becomes v - c."""
    centre, pixel_size, origin = np.array([[4.0, -2.5]]), 3.0, np.array([[1.5, -6.0]])
    rotation = euler_to_matrix(0.0, 0.0, psi)[:2, :2]
    feature = np.array([7.0, 3.0])
    new = moved_origins(origin, np.array([psi]), centre, pixel_size)[0]
    before = rotation @ feature * pixel_size - origin[0]
    after = rotation @ (feature - centre[0]) * pixel_size - new
    np.testing.assert_allclose(after, before, atol=1e-9)


def test_a_shifted_particle_lands_centred():
    """A particle drawn by the conventions of Euler angles and origins, moved by its new origin, is centred."""
    psi, origin = 40.0, np.array([[2.0, 3.0]])
    rotation = euler_to_matrix(0.0, 0.0, psi)[:2, :2]
    average = blobs((4, -2), (6, 3))
    place, second = rotation @ np.array([4, -2]), rotation @ np.array([6, 3])
    particle = blobs(place - origin[0], second)
    new = moved_origins(origin, np.array([psi]), centres_of_mass(average[None]), 1.0)
    np.testing.assert_allclose(recentred(particle[None], -origin)[0], blobs(place, second), atol=1e-3)
    assert np.abs(centres_of_mass(recentred(particle[None], -new))).max() < 0.05


@pytest.mark.relion
def test_origins_are_those_of_relions_recentring(tmp_path, rng):
    psi, origins = rng.uniform(-180, 180, 20), rng.normal(0, 8, (20, 2))
    optics = pd.DataFrame({"rlnOpticsGroup": [1], "rlnOpticsGroupName": ["o"], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
                           "rlnAmplitudeContrast": [0.1], "rlnImagePixelSize": [3.0], "rlnImageSize": [64],
                           "rlnImageDimensionality": [2]})  # fmt: skip
    particles = pd.DataFrame({"rlnImageName": [f"{i + 1:06d}@a.mrcs" for i in range(20)], "rlnOpticsGroup": 1, "rlnAngleRot": 0.0,
                              "rlnAngleTilt": 0.0, "rlnAnglePsi": psi, "rlnOriginXAngst": origins[:, 0],
                              "rlnOriginYAngst": origins[:, 1], "rlnOriginZAngst": 0.0})  # fmt: skip
    write_star(tmp_path / "in.star", {"optics": optics, "particles": particles})
    words = ["relion_star_handler", "--i", "in.star", "--o", "out.star", "--center", "--center_X", "4", "--center_Y", "-2.5"]
    subprocess.run(words, cwd=tmp_path, capture_output=True, check=True)
    found = read_star(tmp_path / "out.star")["particles"]
    expected = moved_origins(origins, psi, np.tile([4.0, -2.5], (20, 1)), 3.0)
    np.testing.assert_allclose(found[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy(), expected, atol=1e-3)
