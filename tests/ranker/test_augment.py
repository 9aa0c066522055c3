import numpy as np
import torch

from relion4plugin.ranker.augment import Augmentation, augment, moved_images, scaled_features
from relion4plugin.ranker.features import FEATURE_NAMES, normalise
from tests.ranker.samples_for_tests import toy_samples


def test_quarter_turns_and_mirrors_are_exact():
    images = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, 64, 64)).astype(np.float32))
    quarter = np.array([[[0.0, -1, 0], [1, 0, 0]]])
    mirror = np.array([[[-1.0, 0, 0], [0, 1, 0]]])
    assert torch.allclose(moved_images(images, quarter), torch.rot90(images, 1, (2, 3)), atol=1e-4)
    assert torch.allclose(moved_images(images, mirror), images.flip(3), atol=1e-4)


def test_turned_discs_stay_and_corners_become_zero():
    y, x = np.mgrid[-31.5:32, -31.5:32]
    disc = np.exp(-(x * x + y * y) / 80).astype(np.float32)
    images, _ = augment(np.repeat(disc[None], 6, 0), np.zeros((6, 24), np.float32), np.random.default_rng(1), Augmentation())
    assert np.abs(images[:, 0].numpy() - disc).max() < 0.01
    ones, _ = augment(np.ones((6, 64, 64), np.float32), np.zeros((6, 24), np.float32), np.random.default_rng(1), Augmentation())
    assert (ones[:, 0, 32, 32] == 1).all() and float(ones[:, 0, 0, 0].min()) == 0.0


def test_every_sample_is_turned_by_its_own_angle():
    image = toy_samples(1).images
    images, _ = augment(np.repeat(image, 4, 0), np.zeros((4, 24), np.float32), np.random.default_rng(2), Augmentation())
    assert len({float(i.sum()) for i in images}) == 4


def test_shift_is_bounded():
    point = np.zeros((50, 64, 64), np.float32)
    point[:, 32, 32] = 1
    moved, _ = augment(point, np.zeros((50, 24), np.float32), np.random.default_rng(3), Augmentation(rotate=False, shift=3.0))
    rows, columns = np.mgrid[:64, :64]
    centre = np.stack([(moved[:, 0].numpy() * axis).sum((1, 2)) for axis in (rows, columns)], 1) - 32
    assert np.abs(centre).max() <= 3.001 and centre.std(axis=0).min() > 1


def test_zoom_changes_the_size_and_cuts_at_the_mask():
    y, x = np.mgrid[-31.5:32, -31.5:32]
    blob = np.exp(-(x * x + y * y) / 200).astype(np.float32)
    zoomed, _ = augment(
        np.repeat(blob[None], 200, 0), np.zeros((200, 24), np.float32), np.random.default_rng(5), Augmentation(rotate=False, zoom=1.5)
    )
    size = np.sqrt(zoomed[:, 0].numpy().sum((1, 2)) / blob.sum())
    assert 0.66 < size.min() < 0.72 and 1.2 < size.max() < 1.5
    assert float(zoomed[:, 0, 0, 32].abs().max()) == 0.0


def test_features_follow_the_grey_values():
    raw = np.random.default_rng(4).uniform(0.1, 3, (5, 24))
    gain, offset = np.array([2, 1, 0.5, 1.2, 1]), np.array([0, 0.3, 0, 0.1, 0])
    expected = raw.copy()
    for name in ("ring_mean", "solvent_mean", "lowpass_mean", "lowpass_min", "lowpass_max"):
        expected[:, FEATURE_NAMES.index(name)] = gain * raw[:, FEATURE_NAMES.index(name)] + offset
    for name in ("ring_stddev", "protein_stddev", "solvent_stddev", "lowpass_stddev"):
        expected[:, FEATURE_NAMES.index(name)] *= gain
    found = scaled_features(normalise(raw), gain.astype(np.float32), offset.astype(np.float32))
    assert np.allclose(found, normalise(expected), atol=1e-4)


def test_gain_and_features_dropped():
    samples = toy_samples(200)
    settings = Augmentation(rotate=False, gain=1.25, feature_dropout=0.25)
    images, features = augment(samples.images, samples.features, np.random.default_rng(5), settings)
    ratio = images[:, 0, 32, 32].numpy() / samples.images[:, 32, 32]
    assert ratio.min() > 0.79 and ratio.max() < 1.26 and ratio.std() > 0.05
    assert 0.12 < (features == 0).all(axis=1).mean() < 0.4
    nothing = augment(samples.images, samples.features, np.random.default_rng(5), Augmentation(rotate=False))
    assert np.array_equal(nothing[0][:, 0].numpy(), samples.images) and np.array_equal(nothing[1], samples.features)
