"""Angles and shifts that the data can tell, against loops over particles and perturbations."""

from types import SimpleNamespace

import numpy as np
import pytest

from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.refinement import accuracy
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.references import PaddedGrid, forward
from relion4plugin.refinement.state import Model, Poses
from relion4plugin.refinement.volume_slices import central_slices
from tests.refinement.gaussian_volumes import CENTRES, HEIGHTS, blob_volume

BOX, PAD, N, SIZE = 24, 2, 60, 18


def fake_images(rng):
    """CTFs and noise of two optics groups, without files."""
    pixels = PixelList.of(BOX)
    ctf = rng.uniform(0.3, 1, (N, len(pixels.flat))).astype(np.float32)
    optics = SimpleNamespace(index=np.arange(N) % 2)
    return SimpleNamespace(pixels=pixels, optics=optics, pixel_size=3.0, ctf_values=lambda rows, count: ctf[rows][:, :count]), ctf


def state(rng, noise):
    model = Model(blob_volume(BOX, CENTRES, HEIGHTS)[None].repeat(3, axis=0), np.array([0.6, 0.395, 0.005]), noise, np.ones(1))
    model.current_size = SIZE
    poses = Poses.start(rng.uniform(0, 180, (N, 3)), np.zeros((N, 2)), np.where(np.arange(N) < 40, 1, 2))
    return model, poses, forward(model.references, PaddedGrid(BOX, PAD, 3), corrected=True)


def first_telling(model, values, snr_of):
    for value in values:
        if snr_of(value) > 4.60517:
            return value
    return values[-1]


@pytest.mark.parametrize("level", [2e-5, 2e-3])
def test_accuracies_of_volumes_equal_loops(rng, monkeypatch, level):
    images, ctf = fake_images(rng)
    pixels = images.pixels
    model, poses, transforms = state(rng, level * rng.uniform(0.5, 2, (2, BOX // 2 + 1)))
    monkeypatch.setattr(accuracy, "CHUNK", 7)
    accuracy.estimate(model, poses, images, transforms, PAD, (1, 2))
    count = pixels.count(SIZE)
    kx, ky = pixels.kx[:count], pixels.ky[:count]
    draw = np.random.default_rng((1, 2))
    for k in (0, 1):
        rows = draw.permutation(np.flatnonzero(poses.class_number == k + 1))[:100]
        which, axes = draw.integers(0, 3, len(rows)), draw.integers(0, 2, len(rows))
        angles, shifts = [], []
        for i, row in enumerate(rows):
            weight = ctf[row, :count] ** 2 / (2 * model.sigma2_noise[row % 2][pixels.shell[:count]])
            weight[0] = 0

            def view(turn, row=row, k=k, axis=which[i]):
                angle = poses.angles[row].copy()
                angle[axis] += turn
                return central_slices(transforms[k], euler_to_matrix(*angle)[None], kx, ky, PAD, SIZE // 2)[0]

            still, frequency = view(0), (kx, ky)[axes[i]]
            angles.append(first_telling(model, accuracy.ANGLES, lambda a: (weight * np.abs(view(a) - still) ** 2).sum()))  # noqa: B023
            phase = lambda s: np.abs(1 - np.exp(-2j * np.pi * s * frequency / BOX)) ** 2  # noqa: B023, E731
            shifts.append(first_telling(model, accuracy.SHIFTS, lambda s: (weight * np.abs(still) ** 2 * phase(s)).sum()))  # noqa: B023
        assert model.accuracy_rotation[k] == pytest.approx(np.mean(angles), rel=1e-3)
        assert model.accuracy_translation[k] == pytest.approx(np.mean(shifts) * 3.0, rel=1e-3)
        assert model.orientability[k].sum() == pytest.approx(1.0)
        assert not model.orientability[k, SIZE // 2 + 1 :].any()
    assert model.accuracy_rotation[2] == model.accuracy_translation[2] == 999.0


def test_more_noise_tells_less(rng):
    images, _ = fake_images(rng)
    found = []
    for level in (1e-6, 1e-4, 1e-2):
        model, poses, transforms = state(rng, np.full((2, BOX // 2 + 1), level))
        accuracy.estimate(model, poses, images, transforms, PAD, (1, 2))
        found.append((model.accuracy_rotation[0], model.accuracy_translation[0]))
    assert found[0] < found[1] < found[2]
    assert found[0][0] < 2


def test_an_isotropic_map_tells_no_angle(rng):
    images, _ = fake_images(rng)
    model, poses, _ = state(rng, np.full((2, BOX // 2 + 1), 1e-4))
    ball = blob_volume(BOX, np.zeros((1, 3)), np.ones(1))[None].repeat(3, axis=0)
    accuracy.estimate(model, poses, images, forward(ball, PaddedGrid(BOX, PAD, 3), corrected=True), PAD, (1, 2))
    assert model.accuracy_rotation[0] == 30.0
    assert model.accuracy_translation[0] < 30.0
