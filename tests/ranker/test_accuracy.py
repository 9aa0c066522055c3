"""Accuracies against RELION's, against sums written out, and on real runs against what the refinement estimated."""

import dataclasses

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.ranker.accuracy import SHIFTS, TRIED, TURNS, complete_accuracies, expected_accuracies
from relion4plugin.ranker.class_run import read_class_run
from tests.ranker.vectors import write_run
from tests.refinement.simulated import rotation, slow_ctf


def test_the_grid_of_relion():
    assert TURNS[-1] == pytest.approx(30.1) and SHIFTS[-1] == pytest.approx(10.1)
    np.testing.assert_allclose(TURNS[[0, 3, 4, 12, 17]], [0.05, 0.2, 0.3, 1.1, 2.1])
    np.testing.assert_allclose(np.diff(TURNS)[-3:], [2, 5, 5])


def test_vectors_of_relion(tmp_path):
    run = read_class_run(write_run(tmp_path, accuracies=False, total=200))
    turn, shift = expected_accuracies(run, np.arange(4))
    np.testing.assert_allclose(turn, [30.401, 3.131, 30.401, 30.401], atol=1e-3)
    assert shift[1] == pytest.approx(0.896, rel=0.15)  # RELION draws the axis of each shift
    np.testing.assert_allclose(shift[[0, 2, 3]], 10.201, atol=1e-3)


def bumpy(n: int, rng) -> np.ndarray:
    """Gaussians off the centre."""
    y, x = np.mgrid[:n, :n] - n // 2
    places = rng.uniform(-n / 5, n / 5, (6, 2))
    return 1.2 * sum(np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) for a, b in places)


def striped(n: int) -> np.ndarray:
    """Waves along one direction: a change of the angle of shifts or of the astigmatism is seen at once."""
    y, x = np.mgrid[:n, :n] - n // 2
    along = np.cos(np.deg2rad(20)) * x + np.sin(np.deg2rad(20)) * y
    return 0.5 * np.cos(2 * np.pi * along / 7) * np.exp(-(x**2 + y**2) / (2 * (n / 6) ** 2))


def slow_accuracies(image, particle, size, noise, pixel):
    """First told turn of one particle, and the mean over random axes of the first told shift; transforms at any frequency, written out."""
    n = len(image)
    x = np.arange(n) - n // 2
    ky, kx = (k.ravel() for k in np.meshgrid(np.arange(-size // 2, size // 2 + 1), np.arange(size // 2 + 1), indexing="ij"))
    keep = (kx**2 + ky**2 <= (size // 2) ** 2) & ((kx > 0) | (ky >= 0))
    ky, kx = ky[keep], kx[keep]

    def transform(psi):
        k = rotation(psi).T @ np.stack([kx, ky])
        waves_x, waves_y = (np.exp(-2j * np.pi * np.outer(line, x) / n) for line in k)
        return np.einsum("py,yx,px->p", waves_y, image, waves_x) / n**2

    scale = 1 / (n * pixel)
    ctf = slow_ctf(kx * scale, ky * scale, *particle["defocus"], 300.0, 2.7, 0.1)
    weight = ctf**2 / (2 * noise[np.floor(np.hypot(kx, ky) + 0.5).astype(int)])
    still = transform(particle["psi"])

    def snr(other):
        return (weight * np.abs(still - other) ** 2).sum()

    turn = next((t for t in TURNS[:-1] if snr(transform(particle["psi"] + t)) > 4.60517), TURNS[-1])
    mean, missed = 0.0, 1.0
    for s in SHIFTS[:-1]:
        told = np.mean([snr(still * np.exp(-2j * np.pi * k * s / n)) > 4.60517 for k in (kx, ky)])
        mean, missed = mean + missed * told * s, missed * (1 - told)
    return turn, mean + missed * SHIFTS[-1]


def test_accuracies_are_those_of_sums_written_out(tmp_path, rng):
    """Astigmatism, in-plane angles and both shift axes matter: the defocus differences are large."""
    n, size, pixel = 32, 24, 3.1
    stack = np.stack([bumpy(n, rng), striped(n)]).astype(np.float32)
    psi = np.tile([33.0, -110.0, 71.0], 70)[:200]
    defocus = np.tile([20000.0, 9000.0, 14000.0], 70)[:200], np.tile([6000.0, 8000.0, 12000.0], 70)[:200]
    angle = np.tile([10.0, 80.0, -45.0], 70)[:200]
    optimiser = write_run(
        tmp_path, stack, accuracies=False, total=200, rlnAnglePsi=psi, rlnDefocusU=defocus[0], rlnDefocusV=defocus[1],
        rlnDefocusAngle=angle, rlnCurrentImageSize=size, rlnSigma2Noise=np.linspace(2e-4, 6e-4, 17),
    )  # fmt: skip
    run = read_class_run(optimiser)
    turn, shift = expected_accuracies(run, np.arange(2))
    for k in range(2):
        each = [
            slow_accuracies(stack[k], {"psi": psi[i], "defocus": (defocus[0][i], defocus[1][i], angle[i])}, size, run.sigma2_noise, pixel)
            for i in range(3)
        ]
        share = np.bincount(np.arange(TRIED) % 3) / 100
        expected = share @ np.array(each)
        assert 0.3 < expected[0] < 20 and 0.2 < expected[1] < 5
        assert turn[k] == pytest.approx(expected[0], rel=0.01)
        assert shift[k] == pytest.approx(expected[1], rel=0.01)


def test_premultiplied_data_counts_the_ctf_twice(tmp_path):
    run = read_class_run(write_run(tmp_path, accuracies=False, total=200))
    optics = tuple(dataclasses.replace(group, ctf_premultiplied=True) for group in run.data.optics)
    twice = dataclasses.replace(run, data=dataclasses.replace(run.data, optics=optics))
    assert expected_accuracies(twice, np.array([1]))[0] > expected_accuracies(run, np.array([1]))[0]


def test_ignoring_the_first_peak_makes_low_frequencies_tell_more(tmp_path):
    run = read_class_run(write_run(tmp_path, accuracies=False, total=200))
    ignored = dataclasses.replace(run, ctf_until_first_peak=True)
    assert expected_accuracies(ignored, np.array([1]))[1] <= expected_accuracies(run, np.array([1]))[1]


def test_known_accuracies_are_kept_and_small_classes_get_constants(tmp_path):
    optimiser = write_run(
        tmp_path, total=200, rlnAccuracyRotations=[2.0, 999.0, 3.0, 999.0, 5.0], rlnAccuracyTranslationsAngst=[1.0, 2.0, 999.0, 999.0, 6.0],
        rlnClassDistribution=[0.1, 0.6, 0.1, 0.1, 0.1],
    )  # fmt: skip
    turn, shift = complete_accuracies(read_class_run(optimiser), np.arange(5))
    np.testing.assert_allclose(turn, [2.0, 3.131, 5.0, 5.0, 5.0], atol=1e-3)
    np.testing.assert_allclose(shift[[0, 2, 3, 4]], [1, 8, 8, 6])
    assert shift[1] < 2


@pytest.mark.parametrize("folder", ["bgal_relion4_vdam_k25", "bgal_empiar10204_relion5_em"])
def test_real_classes_against_the_refinement(shared_data, folder):
    optimiser = sorted((shared_data / "class2d" / folder).glob("run_it*_optimiser.star"))[-1]
    run = read_class_run(optimiser)
    known = np.flatnonzero(run.accuracy_rotation < 99)
    turn, shift = expected_accuracies(run, known)
    assert len(known) > 15
    assert np.corrcoef(turn, run.accuracy_rotation[known])[0, 1] > 0.9
    assert np.corrcoef(shift, run.accuracy_translation[known])[0, 1] > 0.9
    np.testing.assert_allclose(np.median(turn / run.accuracy_rotation[known]), 1, atol=0.1)
    np.testing.assert_allclose(np.median(shift * run.pixel_size / run.accuracy_translation[known]), 1, atol=0.15)


def test_particles_without_a_ctf_are_refused(tmp_path):
    run = read_class_run(write_run(tmp_path, accuracies=False, total=1000, rlnDefocusU=None))
    with pytest.raises(UserError, match="no column rlnDefocusU"):
        complete_accuracies(run, np.arange(2))
