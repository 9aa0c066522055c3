"""Drawn junk has the property its name says, before any CTF."""

import numpy as np
import pytest

from relion4plugin.imaging.fourier import half_to_image
from relion4plugin.simulation import chains, debris
from relion4plugin.simulation.canvas import Canvas
from relion4plugin.simulation.noise import noise_power

W, PIXEL, COUNT = 128, 4.0, 24
CANVAS = Canvas(W, PIXEL, 1.0, 1000.0, np.sqrt(noise_power(W, PIXEL, 2.0)))


def draw(drawer) -> np.ndarray:
    return half_to_image(drawer(np.random.default_rng(4), COUNT, CANVAS), W)


def inner(images: np.ndarray) -> np.ndarray:
    return images[:, W // 4 : -W // 4, W // 4 : -W // 4]


def test_ice_is_flat_pieces_of_three_to_twenty_times_the_contrast() -> None:
    images = draw(debris.ice)
    extreme = images.max(axis=(1, 2)) - images.min(axis=(1, 2))
    assert extreme.min() > 2.5 and extreme.max() < 45  # pieces may lie on each other
    shown = np.abs(inner(images)).max(axis=(1, 2)) > 1
    assert shown.mean() > 0.8
    assert {-1.0, 1.0} == set(np.sign(images.sum(axis=(1, 2))))
    sharp = np.abs(np.diff(images, axis=2)).max(axis=(1, 2)) / np.abs(images).max(axis=(1, 2))
    assert np.median(sharp) > 0.25


def test_edge_has_a_rough_side_and_nothing_on_the_other() -> None:
    for image in draw(debris.edge):
        filled = np.abs(image) > 0.2
        assert 0.1 < filled.mean() < 0.9
        smooth = image[np.abs(image) < 1e-3]
        assert len(smooth) > 100 and image[filled].std() > 1


def test_gold_is_a_bright_ball_in_the_box() -> None:
    images = draw(debris.gold)
    assert images.max(axis=(1, 2)).min() > 15 and images.max(axis=(1, 2)).max() < 101
    area = (images > 0.5).sum(axis=(1, 2)) * PIXEL**2
    radius = np.sqrt(area / np.pi)
    assert radius.min() > 20 and radius.max() < 80
    assert (inner(images).max(axis=(1, 2)) == images.max(axis=(1, 2))).all()


def test_membranes_are_pairs_of_lines_forty_angstroms_apart() -> None:
    depth = np.arange(-80.0, 81.0)
    profile = debris._bilayer(depth.astype(np.float32))
    peaks = depth[1:-1][(profile[1:-1] > profile[:-2]) & (profile[1:-1] > profile[2:])]
    assert np.allclose(peaks, [-20, 20], atol=2)
    images = draw(debris.membrane)
    assert (np.abs(inner(images)).max(axis=(1, 2)) > 1).mean() > 0.9
    power = np.abs(np.fft.rfft2(images)).mean(axis=0)
    along = np.hypot(np.fft.fftfreq(W, PIXEL)[:, None], np.fft.rfftfreq(W, PIXEL))
    assert power[np.abs(along - 1 / 40) < 0.002].mean() > 3 * power[np.abs(along - 1 / 22) < 0.002].mean()


def test_fibre_has_the_mass_of_a_particle_and_is_thin() -> None:
    images = draw(chains.fibre)
    mass = images.sum(axis=(1, 2))
    assert mass.min() > 0.35 * 1000 and mass.max() < 1.01 * 1000
    assert (images > 0.1 * images.max(axis=(1, 2), keepdims=True)).mean() < 0.2


@pytest.mark.parametrize(("drawer", "width"), [(chains.rod, (20, 60)), (chains.dna, (20, 20)), (chains.filament, (50, 100))])
def test_chains_are_long_and_narrow(drawer, width) -> None:
    images = inner(draw(drawer))
    for image in images:
        weight = np.where(image > 0.3 * image.max(), image, 0)
        y, x = np.nonzero(weight)
        spread = np.sqrt(np.linalg.eigvalsh(np.cov(np.stack([x, y]), aweights=weight[y, x])))
        assert spread[1] > 1.5 * spread[0] or drawer is not chains.rod
        covered = (weight > 0).sum() * PIXEL**2
        assert covered < 2.2 * width[1] * 1.3 * W / 2 * PIXEL  # an area of about width times box
    assert images.max(axis=(1, 2)).min() > 0.3


def test_dna_bends_more_than_a_rod() -> None:
    def bend(drawer) -> float:
        values = []
        for image in inner(draw(drawer)):
            y, x = np.nonzero(image > 0.5 * image.max())
            values.append(np.sqrt(np.linalg.eigvalsh(np.cov(np.stack([x, y])))[0]))
        return float(np.median(values)) * PIXEL

    assert bend(chains.dna) > 1.2 * bend(lambda rng, n, canvas: chains._worm(rng, np.full(n, 20.0), np.full(n, 400.0), 1e5, 0.0, canvas))


def test_points_are_put_where_they_belong() -> None:
    places, weight = np.array([[[10.0, -22.0], [1e4, 0.0]]]), np.array([[2.0, 5.0]])
    image = chains._splat(places, weight, CANVAS)[0]
    axis = CANVAS.axis
    assert image.sum() == pytest.approx(2.0)
    assert (image.sum(axis=0) @ axis) / 2 == pytest.approx(10.0, abs=1e-3)
    assert (image.sum(axis=1) @ axis) / 2 == pytest.approx(-22.0, abs=1e-3)
