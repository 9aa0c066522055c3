"""Projections, noise, contaminants and normalisation against closed forms."""

import numpy as np
import pytest

from relion4plugin.geometry.euler import euler_to_matrix, random_rotations
from relion4plugin.imaging.ctf import CtfParameters
from relion4plugin.imaging.fourier import half_multiplicity, half_to_image, image_to_half
from relion4plugin.imaging.projection import project_volume
from relion4plugin.simulation.contaminants import break_volume, edge_images, extra_images, place_phases
from relion4plugin.simulation.images import normalise
from relion4plugin.simulation.noise import BLOCK, draw_noise, noise_gain, noise_power
from relion4plugin.simulation.plan import Extras
from relion4plugin.simulation.projector import Projector

N = 32


def blob(centre: tuple[float, float, float], n: int = N, sigma: float = 2.0) -> np.ndarray:
    """Gaussian blob at (x, y, z) px from the centre, as a map [z, y, x]."""
    axis = np.arange(n) - n // 2
    x, y, z = (np.exp(-0.5 * ((axis - c) / sigma) ** 2) for c in centre)
    return (z[:, None, None] * y[:, None] * x).astype(np.float32)


def no_ctf(m: int) -> CtfParameters:
    """CTF of 1 at every frequency: a phase plate of a quarter turn and nothing else."""
    zero, one = np.zeros(m), np.ones(m)
    return CtfParameters(zero, zero, zero, 300 * one, zero, zero, 90 * one, zero, one)


def test_projection_of_a_blob_is_a_gaussian_at_the_rotated_place() -> None:
    place = np.array([5.0, -3.0, 4.0])
    matrices = euler_to_matrix(np.array([10.0, -70.0, 130.0]), np.array([20.0, 95.0, 160.0]), np.array([0.0, 33.0, -100.0]))
    images = half_to_image(Projector(blob(tuple(place)))(matrices), N)
    axis = np.arange(N) - N // 2
    for image, matrix in zip(images, matrices, strict=True):
        x, y, _ = matrix @ place
        expected = 2.0 * np.sqrt(2 * np.pi) * np.exp(-0.5 * ((axis - x) ** 2 + (axis[:, None] - y) ** 2) / 4)
        assert np.abs(image - expected).max() < 0.02 * expected.max()


@pytest.mark.parametrize("padded_size", [0, 3 * N])
def test_projector_agrees_with_project_volume(padded_size: int) -> None:
    rng = np.random.default_rng(3)
    volume = sum(blob(tuple(rng.uniform(-7, 7, 3)), sigma=1.5) for _ in range(8))
    matrices = random_rotations(6, rng)
    found = half_to_image(Projector(volume, padded_size)(matrices), N)
    expected = project_volume(volume, matrices)
    assert np.abs(found - expected).max() < 0.02 * expected.max()


def test_phases_move_content_towards_larger_columns_and_rows() -> None:
    image = np.zeros((1, N, N), np.float32)
    image[0, N // 2, N // 2] = 1
    moved = half_to_image(image_to_half(image) * place_phases(np.array([[3.0, -5.0]]), N), N)[0]
    assert np.unravel_index(moved.argmax(), moved.shape) == (N // 2 - 5, N // 2 + 3)


def test_noise_has_unit_variance_and_the_spectrum_asked_for() -> None:
    count = 40 * BLOCK
    power = noise_power(N, 3.5, 1.5)
    assert (power * half_multiplicity(N)).sum() == pytest.approx(1, abs=1e-5)
    images = half_to_image(draw_noise(1, 0, 0, count, N) * noise_gain(power, power, 0.0), N)
    assert images.var() == pytest.approx(1, abs=0.02)
    found = (np.abs(image_to_half(images)) ** 2).mean(axis=0) / power
    found[0, 0] = 1  # one real number for each image: too few to average
    assert np.abs(found - 1).max() < 6 * np.sqrt(2 / count)
    assert np.abs(found[1:, 1:-1].mean() - 1) < 0.01
    assert power[0, 1] > 3 * power[N // 2, 0]
    assert np.ptp(noise_power(N, 3.5, 0.0)) < 1e-9


def test_noise_of_an_image_does_not_depend_on_its_companions() -> None:
    together = draw_noise(7, 2, 0, 3 * BLOCK + 5, N)
    apart = np.concatenate([draw_noise(7, 2, start, min(BLOCK, 3 * BLOCK + 5 - start), N) for start in range(0, 3 * BLOCK + 5, BLOCK)])
    assert np.array_equal(together, apart)
    assert not np.array_equal(together[:BLOCK], together[BLOCK : 2 * BLOCK])
    assert not np.array_equal(together[:BLOCK], draw_noise(7, 3, 0, BLOCK, N))
    with pytest.raises(ValueError, match="block"):
        draw_noise(7, 2, 3, 4, N)


def test_structural_noise_follows_the_ctf_and_keeps_the_variance() -> None:
    power = noise_power(N, 3.5, 1.0)
    ctf = np.zeros((1, N, N // 2 + 1), np.float32)
    ctf[:, :, 4:8] = 0.7
    gain = noise_gain(power, ctf, 0.6)
    assert ((gain**2) * half_multiplicity(N)).sum() == pytest.approx(1, abs=1e-4)
    assert np.allclose(gain[0, :, 10] ** 2, 0.4 * power[:, 10], rtol=1e-4)
    assert (gain[0, :, 5] ** 2 > power[:, 5]).all()


def test_molecule_outside_the_box_does_not_come_back_on_the_other_side() -> None:
    places = np.array([[0.9 * N, 0.0], [6.5, -4.0]])
    extras = Extras(np.array([0, 0]), np.stack([np.eye(3)] * 2), places)
    images = extra_images(Projector(blob((0, 0, 0))), extras, no_ctf(2), 3.5)
    assert np.abs(images[0]).max() < 0.02 * images[1].max()
    axis = np.arange(N) - N // 2
    expected = 2.0 * np.sqrt(2 * np.pi) * np.exp(-0.5 * ((axis - 6.5) ** 2 + (axis[:, None] + 4.0) ** 2) / 4)
    assert np.abs(images[1] - expected).max() < 0.02 * expected.max()


def test_edge_is_a_step_of_its_height_at_its_place() -> None:
    image = edge_images(np.array([[0.0, 4.0, -3.0]]), 64)[0]
    assert np.ptp(image, axis=0).max() < 1e-6  # straight, along y
    assert np.abs(image[0, :24]).max() < 0.01
    assert image[0, 60] == pytest.approx(-3 * (1 + 0.02 * 24 / (0.03 * 64)), rel=1e-3)
    assert image[0, 32] > 0.3  # fringe of the other sign


def test_broken_volume_loses_one_side() -> None:
    volume = blob((0, 0, 0), sigma=5.0)
    broken = break_volume(volume, np.random.default_rng(0))
    assert 0.3 < broken.sum() / volume.sum() < 0.7
    assert (broken <= volume + 1e-6).all()


def test_normalised_background_has_mean_0_and_deviation_1() -> None:
    images = 3 + 5 * np.random.default_rng(0).standard_normal((4, N, N), dtype=np.float32)
    images[:, 10:20, 10:20] += 50
    normalise(images)
    axis = np.arange(N) - N // 2
    outside = axis[:, None] ** 2 + axis**2 > (0.375 * N) ** 2
    assert np.abs(images[:, outside].mean(axis=1)).max() < 1e-5
    assert np.abs(images[:, outside].std(axis=1) - 1).max() < 1e-5
    assert images[:, 15, 15].min() > 5
