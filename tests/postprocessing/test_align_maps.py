import time

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.geometry.euler import angular_distance, random_rotations
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.imaging.masks import soft_sphere
from relion4plugin.imaging.volumes import mirror_volume, rotate_volume
from relion4plugin.postprocessing.align_maps import agreement, align_maps
from relion4plugin.postprocessing.orientations import orientation_grid

from .maps_with_answers import PIXEL, blob_map, molecule, noise_like, symmetric_molecule

FLIP = np.diag([1.0, 1.0, -1.0])


@pytest.mark.parametrize("other_hand", [False, True])
@pytest.mark.parametrize("noise", [0.0, 20.0])
def test_a_turned_moved_and_mirrored_map_comes_back(other_hand, noise, rng):
    points = molecule(rng)
    reference = blob_map(points)
    rotation, shift = random_rotations(1, rng)[0], rng.normal(0, 3, 3)
    moving = blob_map((points * [1, 1, -1] if other_hand else points) @ rotation.T + shift)
    if noise:
        moving = moving + noise_like(moving, noise, rng)
    result = align_maps(moving, reference, PIXEL, mirror=True)
    assert result.mirrored == other_hand
    truth = FLIP @ rotation.T @ FLIP if other_hand else rotation.T
    assert angular_distance(result.rotation, truth) < (0.1 if noise == 0 else 1.0)
    moved = FLIP @ shift if other_hand else shift
    np.testing.assert_allclose(result.rotation @ moved + result.shift, 0, atol=0.05 if noise == 0 else 0.3)
    source = mirror_volume(moving) if other_hand else moving
    np.testing.assert_allclose(result.volume, rotate_volume(source, result.rotation, result.shift), atol=1e-5)
    if noise == 0:
        assert result.correlation > 0.99


def test_without_mirror_the_other_hand_fits_worse(rng):
    reference = blob_map(molecule(rng))
    wrong = align_maps(mirror_volume(reference), reference, PIXEL)
    assert not wrong.mirrored and wrong.correlation < 0.95


def test_agreement_gives_the_curve_after_alignment(rng):
    points = molecule(rng)
    reference = blob_map(points, 64)
    moving = blob_map(points @ random_rotations(1, rng)[0].T, 64)
    moving = moving + noise_like(moving, 3.0, rng)  # a quarter of the power is signal at half Nyquist: FSC 0.5
    result = agreement(moving, reference, PIXEL)
    assert result.fsc.shape == (33,)
    assert result.resolution == pytest.approx(4 * PIXEL, rel=0.2)


def test_unrelated_maps_do_not_agree(rng):
    result = agreement(blob_map(molecule(rng, 20)), blob_map(molecule(rng, 20) * [1.5, 1, 0.5]), PIXEL, mirror=True)
    assert result.resolution > 30


def test_symmetry_leaves_one_of_equal_rotations(rng):
    operators = point_group("D2")
    grid, everything = orientation_grid(2, operators), orientation_grid(2, operators[:1])
    assert len(grid) == pytest.approx(len(everything) / 4, rel=0.1)
    for rotation in random_rotations(20, rng):  # each is near to one of the grid, up to the symmetry
        assert min(angular_distance(operators @ rotation, other).min() for other in grid) < 15
    reference = blob_map(symmetric_molecule("D2", rng))
    rotation = random_rotations(1, rng)[0]
    result = align_maps(rotate_volume(reference, rotation), reference, PIXEL, symmetry="D2")
    assert angular_distance(result.rotation, operators @ rotation.T).min() < 0.2
    assert result.correlation > 0.98


def test_the_mask_decides_what_is_fitted(rng):
    """A large second body in the reference turns the fit away unless it is masked out."""
    small, other = molecule(rng, 40, 7.0), molecule(rng, 80, 9.0)
    rotation = random_rotations(1, rng)[0]
    small = small - small.mean(axis=0)
    reference = blob_map(np.concatenate([small, other + np.array([0, 0, 15])]), 56)
    mask = soft_sphere(56, 9, 3)
    result = align_maps(blob_map(small @ rotation.T, 56), reference, PIXEL, mask=mask)
    assert angular_distance(result.rotation, rotation.T) < 3


def test_boxes_may_differ(rng):
    points = molecule(rng)
    rotation = random_rotations(1, rng)[0]
    result = align_maps(blob_map(points @ rotation.T, 56), blob_map(points, 49), PIXEL)
    assert result.volume.shape == (49, 49, 49)
    assert angular_distance(result.rotation, rotation.T) < 0.3


def test_a_pair_takes_seconds(rng):
    a, b = blob_map(molecule(rng), 64), blob_map(molecule(rng), 64)
    align_maps(a, b, PIXEL)  # compiles
    begin = time.process_time()
    align_maps(a, b, PIXEL, mirror=True)
    assert time.process_time() - begin < 6  # 1.9 s measured


@pytest.mark.parametrize("bad", [np.zeros((32, 32, 32), np.float32), np.full((32, 32, 32), np.inf, np.float32)])
def test_empty_maps_are_a_user_error(bad, rng):
    good = blob_map(molecule(rng), 32)
    with pytest.raises(UserError, match="moving map is constant"):
        align_maps(bad, good, PIXEL)
    with pytest.raises(UserError, match="reference is constant"):
        align_maps(good, bad, PIXEL)
