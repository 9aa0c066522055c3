"""Projections of Gaussians, which have a closed form."""

import numpy as np
import pytest

from relion4plugin.arrays import to_numpy
from relion4plugin.geometry.euler import euler_to_matrix, random_rotations
from relion4plugin.imaging import projection
from relion4plugin.imaging.projection import project_volume

BOX = 40
SIGMA = 2.0


def phantom(points, sigma=SIGMA):
    axis = np.arange(BOX) - BOX // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return sum(np.exp(-((x - px) ** 2 + (y - py) ** 2 + (z - pz) ** 2) / (2 * sigma**2)) for px, py, pz in points).astype(np.float32)


def closed_form(points, rotation, sigma=SIGMA):
    axis = np.arange(BOX) - BOX // 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    seen = np.asarray(points) @ rotation.T
    return np.sqrt(2 * np.pi) * sigma * sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)) for px, py, _ in seen)


@pytest.mark.parametrize(("pad", "tolerance"), [(2, 0.03), (3, 0.015)])
def test_projections_of_an_asymmetric_phantom(xp, rng, pad, tolerance):
    points = np.array([(9, 0, 0), (0, 6, 0), (0, 0, -8), (-4, 5, 3)], float)
    rotations = random_rotations(30, rng)
    images = to_numpy(project_volume(xp.asarray(phantom(points)), xp.asarray(rotations), pad))
    assert images.dtype == np.float32
    for image, rotation in zip(images, rotations, strict=True):
        expected = closed_form(points, rotation)
        assert np.abs(image - expected).max() < tolerance * expected.max()


def test_identity_is_the_sum_along_z():
    volume = phantom([(7, -3, 2), (0, 0, 0)])
    image = project_volume(volume, np.eye(3)[None])[0]
    expected = volume.sum(axis=0)
    # nothing is interpolated here, so the gridding correction is seen in full: 1 / sinc^2 = 1.03 at the outer point
    assert np.abs(image - expected).max() < 0.04 * expected.max()


@pytest.mark.parametrize(
    ("angles", "place"),
    [
        ((0, 0, 0), (8, 0)),
        ((0, 0, 90), (0, -8)),  # psi turns the image clockwise in the (x right, y up) plane
        ((90, 0, 0), (0, -8)),
        ((0, 90, 0), (0, 0)),  # seen along the map's x axis
        ((30, 0, 0), (8 * np.cos(np.pi / 6), -4)),
    ],
)
def test_where_a_point_on_the_x_axis_is_seen(angles, place):
    image = project_volume(phantom([(8, 0, 0)]), euler_to_matrix(*angles)[None])[0]
    y, x = np.mgrid[:BOX, :BOX] - BOX // 2
    peak = np.where(image > 0.2 * image.max(), image, 0)
    centre = np.array([(peak * x).sum(), (peak * y).sum()]) / peak.sum()
    np.testing.assert_allclose(centre, place, atol=0.15)


def test_chunks_make_no_difference(rng, monkeypatch):
    volume = phantom([(5, 2, -7), (-3, 0, 4)])
    rotations = random_rotations(7, rng)
    whole = project_volume(volume, rotations)
    monkeypatch.setattr(projection, "_CHUNK_POINTS", 3000)
    np.testing.assert_allclose(project_volume(volume, rotations), whole, atol=1e-5)


def test_no_rotations_no_images():
    assert project_volume(phantom([(0, 0, 0)]), np.zeros((0, 3, 3))).shape == (0, BOX, BOX)


def test_only_cubes_are_projected():
    with pytest.raises(ValueError, match="cube"):
        project_volume(np.zeros((4, 4, 6), np.float32), np.eye(3)[None])
