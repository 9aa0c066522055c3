"""References that left the centre of their box, and the moments that go with them."""

import numpy as np
import pytest

from relion4plugin.refinement import vdam
from relion4plugin.refinement.centring import centre_classes, centre_of_mass
from relion4plugin.refinement.references import PaddedGrid, forward
from relion4plugin.refinement.settings import RefinementSettings
from relion4plugin.refinement.state import Model
from tests.refinement.gaussian_volumes import CENTRES, blob_volume
from tests.refinement.simulated import BLOBS, blob_image

BOX, PIXEL = 32, 3.0
MIDDLE = np.concatenate([CENTRES, -CENTRES])  # its centre stays where it is, whatever density is left out
HEIGHTS = np.array([1.0, 1.5, 0.7, 1.2] * 2)
HEIGHTS_2D = np.array([1.0, 1.6, 0.8, 1.2, 1.0])
SETTINGS = RefinementSettings(dimension=3, particle_diameter=72.0, offset_range=6.0)


def model_of(reference: np.ndarray) -> Model:
    return Model(reference[None].copy(), np.ones(1), np.ones((1, BOX // 2 + 1)), np.ones(1))


def test_centre_of_a_map_is_that_of_its_dense_part():
    away = np.array([3.0, -2.0, 1.0])
    volume = blob_volume(BOX, MIDDLE + away, HEIGHTS)
    assert np.allclose(centre_of_mass(volume), away, atol=0.1)
    haze = volume.copy()
    haze[:4] += 0.1 * volume.max()  # below the floor: solvent does not pull
    assert np.allclose(centre_of_mass(haze), away, atol=0.1)


def test_centre_of_an_image_counts_all_that_is_positive():
    away = np.array([2.0, -3.0])
    middle = BLOBS[0] - HEIGHTS_2D @ BLOBS[0] / HEIGHTS_2D.sum()
    assert np.allclose(centre_of_mass(blob_image(BOX, middle + away, HEIGHTS_2D)), away, atol=0.05)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 8)])
def test_nothing_positive_has_no_centre(shape):
    assert np.array_equal(centre_of_mass(np.full(shape, -1.0, np.float32)), np.zeros(len(shape)))


@pytest.mark.parametrize("gradient", [True, False])
def test_a_map_off_centre_comes_back(gradient):
    away = np.array([3.0, -2.0, 1.0])
    model = model_of(blob_volume(BOX, MIDDLE + away, HEIGHTS))
    centre_classes(model, SETTINGS, PaddedGrid(BOX, 1, 3), PIXEL, gradient)
    centred = blob_volume(BOX, MIDDLE, HEIGHTS)
    assert np.linalg.norm(centre_of_mass(model.references[0])) < 0.1
    assert np.corrcoef(model.references[0].ravel(), centred.ravel())[0, 1] > 0.99


def test_no_further_than_the_offset_range():
    away = np.array([6.0, 0.0, 0.0])
    model = model_of(blob_volume(BOX, MIDDLE + away, HEIGHTS))
    centre_classes(model, RefinementSettings(dimension=3, offset_range=2.0), PaddedGrid(BOX, 1, 3), PIXEL, True)
    assert np.allclose(centre_of_mass(model.references[0]), away - [2.0, 0, 0], atol=0.15)


def test_small_displacements_are_left_alone_in_gradient_runs():
    volume = blob_volume(BOX, MIDDLE + np.array([0.3, 0.2, 0.0]), HEIGHTS)
    model = model_of(volume)
    centre_classes(model, SETTINGS, PaddedGrid(BOX, 1, 3), PIXEL, True)
    assert np.array_equal(model.references[0], volume)
    centre_classes(model, SETTINGS, PaddedGrid(BOX, 1, 3), PIXEL, False)
    assert not np.array_equal(model.references[0], volume)


@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("dimension", [2, 3])
def test_moments_follow_their_reference(padding, dimension):
    """Moments that are transforms of the map become those of the shifted map, along x, y and z alike."""
    grid = PaddedGrid(BOX, padding, dimension)
    shift = np.array([2.0, -3.0, 1.0])[:dimension]
    if dimension == 3:
        before, after = blob_volume(BOX, MIDDLE, HEIGHTS), blob_volume(BOX, MIDDLE + shift, HEIGHTS)
    else:
        before, after = (blob_image(BOX, BLOBS[0] / 2 + away, HEIGHTS_2D).astype(np.float32) for away in (0.0, shift))
    model = model_of(before)
    transform = forward(before[None], grid, corrected=False)[0]
    model.moment1 = np.stack([transform, 2 * transform])[:, None].astype(np.complex64)
    model.moment2 = np.ones((1, *grid.shape), np.float32)
    vdam.shift_moments(model, grid, 0, shift)
    expected = forward(after[None], grid, corrected=False)[0]
    scale = np.abs(expected).max()
    for half, factor in enumerate((1, 2)):
        assert np.abs(model.moment1[half, 0] - factor * expected).max() < 2e-3 * factor * scale
    assert np.array_equal(model.moment2, np.ones_like(model.moment2))


def test_map_and_moments_move_together_when_centred():
    grid = PaddedGrid(BOX, 1, 3)
    away = np.array([2.0, -3.0, 4.0])
    model = model_of(blob_volume(BOX, MIDDLE + away, HEIGHTS))
    transform = forward(model.references, grid, corrected=False)
    model.moment1 = np.stack([transform, transform]).astype(np.complex64)
    model.moment2 = np.ones((1, *grid.shape), np.float32)
    centre_classes(model, SETTINGS, grid, PIXEL, True)
    moved = np.real(np.fft.irfftn(model.moment1[0, 0] * centre_sign(grid), s=(grid.size,) * 3))
    assert np.allclose(centre_of_mass(moved.astype(np.float32)), 0, atol=0.15)


def centre_sign(grid: PaddedGrid) -> np.ndarray:
    """Sign that moves the origin of a transform to the middle of the box."""
    k = np.fft.fftfreq(grid.size, 1 / grid.size)
    x, y, z = np.arange(grid.size // 2 + 1), k[:, None], k[:, None, None]
    return (-1.0) ** (x + y + z)
