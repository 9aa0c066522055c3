"""Noise, norm, scale, class and offset parameters, and the state before the first iteration."""

from dataclasses import replace

import mrcfile
import numpy as np
import pytest

from relion4plugin.files.particles import read_particles
from relion4plugin.refinement import initialise, nuisance
from relion4plugin.refinement.expectation_cpu import CpuExpectation
from relion4plugin.refinement.images import ImageModel, ImageSource
from relion4plugin.refinement.particles import SortedParticles, make_batch
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.references import PaddedGrid, forward
from relion4plugin.refinement.sampling import make_sampling
from relion4plugin.refinement.search import make_search_plan
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Model, Poses
from tests.refinement.simulated import PIXEL, write_tables
from tests.refinement.slow_expectation import raised_cosine_disc

BOX, N = 32, 400


@pytest.fixture(scope="module")
def white(tmp_path_factory):
    folder = tmp_path_factory.mktemp("white")
    images = np.random.default_rng(2).normal(size=(N, BOX, BOX)).astype(np.float32)
    images[1::2] *= 2.0
    with mrcfile.new(folder / "particles.mrcs", data=images) as mrc:
        mrc.voxel_size = PIXEL
    write_tables(folder / "particles.star", N, BOX, np.arange(N) // 100, np.full(N, 15000.0), n_optics=2)
    settings = RefinementSettings(
        algorithm=Algorithm.EM, n_classes=1, particle_diameter=BOX * PIXEL, norm_correction=False, scale_correction=False, psi_step=60,
        offset_range=0.0,
    )  # fmt: skip
    particles = read_particles(folder / "particles.star")
    return settings, SortedParticles.of(particles, settings), ImageModel.of(particles, settings), ImageSource(particles, 1.0)


def inside_power():
    """Share of white noise's power that the particle mask leaves."""
    return (raised_cosine_disc(BOX, BOX / 2) ** 2).mean()


def test_start_noise_of_white_images(white):
    _, _, images, source = white
    spectra = initialise.noise_spectra(source, images, initialise.sample_rows(images.optics.index, 1), robust=False)
    expected = np.array([[1.0], [4.0]]) * inside_power() / (2 * BOX**2)
    assert np.allclose(spectra[:, 2:] / expected, 1.0, atol=0.12)
    assert np.allclose((spectra[:, 2:] / expected).mean(axis=1), 1.0, atol=0.02)


class Alike:
    """Images that share a strong pattern, besides their noise."""

    def __init__(self, source):
        self._source = source
        self._pattern = 10 * np.random.default_rng(5).normal(size=(BOX, BOX)).astype(np.float32)

    def read(self, rows):
        return self._source.read(rows) + self._pattern


def test_what_all_images_share_is_no_noise_and_robust_noise_has_a_floor(white):
    _, _, images, source = white
    rows, expected = initialise.sample_rows(images.optics.index, 1), np.array([[1.0], [4.0]]) * inside_power() / (2 * BOX**2)
    plain, robust = (initialise.noise_spectra(Alike(source), images, rows, robust) for robust in (False, True))
    assert np.allclose((plain[:, 2:] / expected).mean(axis=1), 1.0, atol=0.02)
    assert (robust[0, 2:] / expected[0]).mean() > initialise.LEAST_NOISE * 50  # of a pattern with 100 times the noise


def test_noise_after_one_update_of_empty_references(white):
    settings, particles, images, source = white
    shells = BOX // 2 + 1
    sigma2 = np.full((2, shells), 1.0 / (2 * BOX**2))
    model = Model(np.zeros((1, BOX, BOX), np.float32), np.ones(1), sigma2, np.ones(particles.n_groups))
    model.data_vs_prior = np.zeros((1, shells))
    poses = Poses.start(np.zeros((N, 3)), np.zeros((N, 2)), np.zeros(N))
    plan = make_search_plan(
        make_sampling(settings, 0.0), images.pixels, 2, current_size=20, coarse_size=10, likelihood_size=20, fraction=1.0,
        max_significants=0, gradient=False,
    )  # fmt: skip
    batch = make_batch(np.arange(N), particles, model, poses, plan, settings)
    step = CpuExpectation(source, images, settings)
    result = step.run(batch, forward(model.references, PaddedGrid(BOX, 2), corrected=True), plan, model, lambda n: None)
    step.close()
    nuisance.update(
        model, poses, batch, result, 0.0, optics=images.optics.index, groups=particles.group, pixels=images.pixels, norm=False, scale=False
    )
    expected = np.array([[1.0], [4.0]]) * inside_power() / (2 * BOX**2)
    assert np.allclose(model.sigma2_noise[:, 1:] / expected, 1.0, atol=0.12)
    assert np.allclose((model.sigma2_noise[:, 1:] / expected).mean(axis=1), 1.0, atol=0.02)


def test_sample_is_random_and_bounded_per_optics_group():
    index = np.repeat([0, 1], [3000, 50])
    rows = initialise.sample_rows(index, 4)
    assert np.bincount(index[rows]).tolist() == [1000, 50]
    assert len(np.unique(rows)) == len(rows)
    assert rows[index[rows] == 0].max() > 2500
    assert np.array_equal(rows, initialise.sample_rows(index, 4))


def test_start_references_are_lowpassed_masked_blobs_of_the_averages_strength(white):
    settings, _, images, source = white
    settings = replace(settings, n_classes=3, particle_diameter=60.0)
    averages = initialise.random_averages(source, images, np.arange(90), settings, 7)
    references = initialise.start_references(averages, settings, PIXEL, 7)
    assert references.shape == (3, BOX, BOX)
    assert np.isfinite(references).all()
    assert not np.allclose(references[0], references[1])
    power = np.abs(np.fft.fft2(np.fft.ifftshift(references, axes=(1, 2)))) ** 2
    k = np.abs(np.fft.fftfreq(BOX, 1 / BOX))
    high = np.hypot(k[:, None], k[None]) > 8
    assert power[:, high].sum() < 0.01 * power.sum()
    axis = np.arange(BOX) - BOX // 2
    outside = np.hypot(axis[:, None], axis[None]) > 15.5
    assert np.ptp(references[:, outside], axis=1).max() < 1e-6
    without = initialise.start_references(averages, replace(settings, init_blobs=False), PIXEL, 7)
    assert not np.allclose(without, references)
    assert initialise.start_shell(settings, 100, 3.0) == 7
    assert initialise.start_shell(replace(settings, initial_lowpass=30.0), 100, 3.0) == 10


def bare_model(k=2, groups=3):
    return Model(np.zeros((k, BOX, BOX), np.float32), np.full(k, 1 / k), np.ones((2, BOX // 2 + 1)), np.ones(groups))


def test_scale_pixels_are_those_of_well_resolved_shells():
    pixels = PixelList.of(BOX)
    dvp = np.full((3, BOX // 2 + 1), 0.5)
    dvp[1, :6] = 10.0
    dvp[2] = 10.0
    counts = nuisance.scale_pixels(dvp, pixels, pixels.count(20))
    assert counts.tolist() == [1, pixels.count(10), pixels.count(20)]


class Sums:
    """The parts of an expectation that the update reads, for n particles."""

    def __init__(self, n, **values):
        zeros = {
            "weight": np.ones(n),
            "norm_power": np.ones(n),
            "offset_power": np.zeros(n),
            "scale_cross": np.zeros(n),
            "scale_power": np.zeros(n),
        }
        self.particles = type("Particles", (), {**zeros, **values})
        self.class_weight = values.get("class_weight", np.array([n, 0.0]))
        self.noise_power = values.get("noise_power", np.ones((2, BOX // 2 + 1)))
        self.noise_counts = values.get("noise_counts", np.zeros((0, 0, 0)))
        self.direction_weight = values.get("direction_weight", np.zeros((0, 0)))


class Rows:
    def __init__(self, rows, factor=1.0):
        self.rows = np.asarray(rows)
        self.factor = np.broadcast_to(np.float32(factor), len(self.rows)) if np.isscalar(factor) else np.asarray(factor)


def update(model, sums, mu, *, n=4, groups=None, norm=False, scale=False, poses=None, factor=1.0):
    poses = poses or Poses.start(np.zeros((n, 3)), np.zeros((n, 2)), np.zeros(n))
    groups = np.zeros(n, int) if groups is None else groups
    nuisance.update(
        model,
        poses,
        Rows(np.arange(n), factor),
        sums,
        mu,
        optics=np.zeros(n, int),
        groups=groups,
        pixels=PixelList.of(BOX),
        norm=norm,
        scale=scale,
    )
    return poses


def test_class_distribution_has_momentum_and_sums_to_one():
    model = bare_model()
    update(model, Sums(4, class_weight=np.array([3.0, 1.0])), 0.9)
    assert np.allclose(model.pdf_class, [0.9 * 0.5 + 0.1 * 0.75, 0.9 * 0.5 + 0.1 * 0.25])
    model.pdf_class = np.array([0.8, 0.8])  # after a class was copied
    update(model, Sums(4, class_weight=np.array([2.0, 2.0])), 0.9)
    assert model.pdf_class.sum() == pytest.approx(1.0)


def test_noise_of_a_group_without_particles_stays():
    model = bare_model()
    pixels = PixelList.of(BOX)
    update(model, Sums(4, noise_power=np.ones((2, BOX // 2 + 1))), 0.9)
    assert np.allclose(model.sigma2_noise[0], 0.9 + 0.1 / (8 * pixels.per_shell))
    assert np.all(model.sigma2_noise[1] == 1.0)


def test_shells_without_power_take_the_neighbours_noise():
    model = bare_model()
    power = np.ones((2, BOX // 2 + 1))
    power[0, 5] = 0.0
    update(model, Sums(4, noise_power=power), 0.0)
    assert model.sigma2_noise[0, 5] == model.sigma2_noise[0, 4] > 0


def test_offset_spread_is_the_root_mean_square_per_coordinate():
    model = bare_model()
    model.sigma_offset = 10.0
    update(model, Sums(4, offset_power=np.full(4, 50.0)), 0.0)
    assert model.sigma_offset == pytest.approx(5.0)


def test_norm_undoes_the_factor_of_reading():
    model, n = bare_model(), 4
    poses = Poses.start(np.zeros((n, 3)), np.zeros((n, 2)), np.zeros(n))
    poses.norm[:], poses.n_significant[:], model.avg_norm = (1.0, 2.0, 1.0, 1.0), 1, 0.8
    update(model, Sums(n, norm_power=np.full(n, 0.32)), 0.9, norm=True, poses=poses, factor=0.8 / poses.norm)
    assert np.allclose(poses.norm, np.array([1.0, 2.0, 1.0, 1.0]) / 0.8 * 0.8)
    assert model.avg_norm == pytest.approx(0.9 * 0.8 + 0.1 * 1.25)


def test_the_first_batch_sets_the_average_norm():
    model, n = bare_model(), 4
    poses = Poses.start(np.zeros((n, 3)), np.zeros((n, 2)), np.zeros(n))
    update(model, Sums(n, norm_power=np.full(n, 0.125)), 0.9, norm=True, poses=poses)
    assert np.allclose(poses.norm, 0.5) and model.avg_norm == pytest.approx(0.5)


def test_scales_are_relative_and_bounded():
    model = bare_model(groups=3)
    groups = np.array([0, 1, 2, 2])
    update(model, Sums(4, scale_cross=np.array([1.0, 2.0, 1.0, 1.0]), scale_power=np.ones(4)), 0.0, groups=groups, scale=True)
    assert np.allclose(model.scale, np.array([1.0, 2.0, 1.0]) / 1.25)
    update(model, Sums(4, scale_cross=np.array([1.0, 100.0, 1.0, 1.0]), scale_power=np.ones(4)), 0.0, groups=groups, scale=True)
    assert model.scale[1] / np.median(model.scale) == pytest.approx(5.0)


def test_scale_of_a_group_outside_the_batch_stays():
    model = bare_model(groups=2)
    model.scale = np.array([1.0, 1.5])
    update(model, Sums(4, scale_cross=np.ones(4), scale_power=np.ones(4)), 0.9, groups=np.zeros(4, int), scale=True)
    assert model.scale[1] / model.scale[0] == pytest.approx(1.5)
