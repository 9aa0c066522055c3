"""Modes of difference against projections whose map, poses and mixture are known."""

import numpy as np
import pytest

from relion4plugin.geometry.euler import random_rotations
from relion4plugin.geometry.symmetry import point_group
from relion4plugin.refinement.difference_modes import DifferenceModes, Views, deal
from relion4plugin.refinement.orientations import rotation_vectors_to_matrices
from relion4plugin.refinement.pixels import PixelList
from tests.refinement.gaussian_volumes import transform_at
from tests.refinement.projections import molecule

BOX, RADIUS = 32, 6
BODY = molecule(5)


def views(rng, n, parts, share, *, noise=1.0, wobble=0.0):
    """Images of a body that has further balls where `share` (n, parts) says so, with errors of the poses (deg)."""
    pixels = PixelList.of(BOX)
    count = pixels.count(2 * RADIUS)
    kx, ky = pixels.kx[:count], pixels.ky[:count]
    matrices = random_rotations(n, rng)
    points = np.einsum("nij,ip->npj", matrices[:, :2], np.stack([kx, ky]))
    images = transform_at(points, BOX, BODY, np.ones(len(BODY)))
    for part, height in zip(parts, share.T, strict=True):
        images = images + height[:, None] * transform_at(points, BOX, part, np.full(len(part), 1.5))
    factor = np.broadcast_to(np.where(kx**2 + ky**2 > 0, 50.0, 0.0), images.shape) * rng.choice([-1.0, 1.0], (n, 1))
    noisy = factor * images + noise * (rng.normal(size=images.shape) + 1j * rng.normal(size=images.shape)) * (factor != 0)
    known = rotation_vectors_to_matrices(rng.normal(0, wobble, (n, 3))) @ matrices
    return Views(noisy.astype(np.complex64), factor.astype(np.float32), known, kx, ky)


ARM = np.array([[9.0, 0.0, 0.0], [9.0, 3.0, 0.0], [10.0, 1.0, 2.0]])
LEG = np.array([[0.0, -10.0, 0.0], [0.0, -9.0, 3.0]])


@pytest.mark.parametrize("wobble", [0.0, 4.0])
def test_the_first_mode_tells_a_domain_whatever_the_poses(rng, wobble):
    has = (np.arange(400) % 2)[:, None]
    given = views(rng, 400, [ARM], has, wobble=wobble)
    found = DifferenceModes.fit(given, RADIUS, point_group("C1"), 1, seed=1)
    scores = found.scores(given)[:, 0]
    agreement = np.mean((scores > np.median(scores)) == has[:, 0])
    assert max(agreement, 1 - agreement) > 0.9


def test_particles_that_were_not_in_the_sample_are_scored_alike(rng):
    has = (np.arange(600) % 2)[:, None]
    found = DifferenceModes.fit(views(rng, 300, [ARM], has[:300]), RADIUS, point_group("C1"), 1, seed=1)
    scores = found.scores(views(rng, 300, [ARM], has[300:]))[:, 0]
    agreement = np.mean((scores > np.median(scores)) == has[300:, 0])
    assert max(agreement, 1 - agreement) > 0.9


def test_two_modes_tell_two_domains_apart(rng):
    has = np.stack([np.arange(600) % 2, np.arange(600) // 2 % 2], axis=1)
    given = views(rng, 600, [ARM, LEG], has)
    scores = DifferenceModes.fit(given, RADIUS, point_group("C1"), 2, seed=1).scores(given)
    # both domains are seen in the plane of both modes
    design = np.column_stack([scores, np.ones(len(scores))])
    for part in has.T:
        fitted = design @ np.linalg.lstsq(design, part, rcond=None)[0]
        assert np.mean((fitted > 0.5) == part) > 0.9


def test_the_seed_decides_only_the_sign_of_a_clear_mode(rng):
    given = views(rng, 300, [ARM], (np.arange(300) % 2)[:, None])
    one, same, other = (DifferenceModes.fit(given, RADIUS, point_group("C1"), 1, seed).scores(given)[:, 0] for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert abs(np.corrcoef(one, other)[0, 1]) > 0.98


def test_modes_share_the_point_group(rng):
    given = views(rng, 200, [ARM], (np.arange(200) % 2)[:, None])
    mode = DifferenceModes.fit(given, RADIUS, point_group("C2"), 1, seed=1).modes[0]
    # half a turn about z: (x, y, z) is (-x, -y, z), the mate of (x, y, -z)
    straight = np.roll(mode[::-1], 1, axis=0)[:, :, 1:3].conj()
    assert np.abs(mode[:, :, 1:3] - straight).max() < 1e-3 * np.abs(mode).max()


@pytest.mark.parametrize("n_classes", [1, 2, 3, 5])
def test_deals_are_even_and_follow_the_modes(rng, n_classes):
    scores = rng.normal(size=(100, 3))
    dealt = deal(scores, n_classes)
    count = np.bincount(dealt, minlength=n_classes)
    assert len(count) == n_classes and np.ptp(count) <= 2
    if n_classes == 2:
        assert scores[dealt == 0, 0].max() < scores[dealt == 1, 0].min()


def test_three_classes_are_parted_by_both_modes():
    scores = np.array([[-2.0, 0.0], [-1.0, 5.0], [1.0, 3.0], [2.0, -3.0], [3.0, 2.0], [4.0, -2.0]])
    assert deal(scores, 3).tolist() == [0, 0, 2, 1, 2, 1]
