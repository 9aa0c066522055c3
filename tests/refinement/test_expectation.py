"""The expectation step against loops in float64, and what must not change its result."""

from dataclasses import replace

import mrcfile
import numpy as np
import pytest

from relion4plugin.files.particles import read_particles
from relion4plugin.refinement.expectation_cpu import CpuExpectation
from relion4plugin.refinement.images import ImageModel, ImageSource
from relion4plugin.refinement.particles import SortedParticles, make_batch
from relion4plugin.refinement.references import PaddedGrid, forward
from relion4plugin.refinement.sampling import make_sampling
from relion4plugin.refinement.search import make_search_plan
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Model, Poses
from tests.refinement.simulated import BLOBS, HEIGHTS, PIXEL, blob_image, rotation, write_tables
from tests.refinement.slow_expectation import slow_expectation

BOX, N, CLASSES = 24, 6, 3
CURRENT, COARSE = 20, 14


class Case:
    """Particles, model and plan of one comparison."""

    def __init__(self, folder, *, algorithm=Algorithm.VDAM, psi_sigma=-1.0, n=N, noise=1.0, cap=15, strict=0, **settings):
        rng = np.random.default_rng(5)
        self.settings = RefinementSettings(
            algorithm=algorithm, n_classes=CLASSES, particle_diameter=48.0, psi_step=24.0, max_significants=cap,
            psi_prior_sigma=psi_sigma, offset_range=4.0, **settings,
        )  # fmt: skip
        self.references = np.stack([blob_image(BOX, 0.7 * b, HEIGHTS, 1.3) for b in BLOBS[:CLASSES]]).astype(np.float32)
        psi = rng.uniform(-180, 180, n)
        self.images = np.empty((n, BOX, BOX), np.float32)
        for i in range(n):
            where = 0.7 * BLOBS[i % 2] @ rotation(psi[i]).T + rng.uniform(-1, 1, 2)
            self.images[i] = -0.7 * blob_image(BOX, where, HEIGHTS, 1.3) + noise * rng.normal(size=(BOX, BOX))
        self.images *= -1
        with mrcfile.new(folder / "particles.mrcs", data=self.images, overwrite=True) as mrc:
            mrc.voxel_size = PIXEL
        defocus = rng.uniform(9000, 20000, n)
        write_tables(
            folder / "particles.star", n, BOX, np.arange(n) // 2, defocus, n_optics=3,
            optics_rlnCtfDataAreCtfPremultiplied=[0, 0, 1], optics_rlnBeamTiltX=[0.0, 1.5, 0.0], optics_rlnBeamTiltY=[0.0, -0.7, 0.0],
            rlnAnglePsiPrior=psi + rng.normal(0, 8, n), rlnOriginXPriorAngst=rng.normal(0, 2, n), rlnOriginYPriorAngst=rng.normal(0, 2, n),
        )  # fmt: skip
        self.table = {
            "u": defocus + 300, "v": defocus - 300, "angle": np.full(n, 25.0), "scale_group": np.arange(n) // 2,
        }  # fmt: skip
        groups = np.arange(n) % 3
        self.optics = [(g, 200.0 if g == 1 else 300.0, g == 2) for g in groups]
        particles = read_particles(folder / "particles.star")
        self.particles = SortedParticles.of(particles, self.settings)
        self.model_images = ImageModel.of(particles, self.settings)
        shells = BOX // 2 + 1
        sigma2 = noise**2 / (2 * BOX**2) * np.linspace(1.3, 0.8, shells) * np.array([[1.0], [1.1], [0.9]])
        dvp = np.ones((CLASSES, shells))
        dvp[0, :5], dvp[1, :8] = 10.0, 10.0
        self.model = Model(self.references, np.array([0.6, 0.4, 0.0]), sigma2, np.linspace(0.8, 1.2, -(-n // 2)))
        self.model.avg_norm, self.model.sigma_offset, self.model.data_vs_prior = 0.9, 6.0, dvp
        self.poses = Poses.start(np.stack([0 * psi, 0 * psi, psi], axis=1), rng.uniform(-6, 6, (n, 2)), np.ones(n))
        self.poses.offset[0] = (1.5 * PIXEL, -0.5 * PIXEL)  # halves round away from zero
        self.poses.norm[:] = rng.uniform(0.8, 1.1, n)
        self.poses.n_significant[:] = 1  # visited before: their norms count
        self.plan = make_search_plan(
            make_sampling(self.settings, 0.17), self.model_images.pixels, 2, current_size=CURRENT, coarse_size=COARSE,
            likelihood_size=strict or CURRENT, fraction=0.999, max_significants=cap, gradient=algorithm is Algorithm.VDAM,
        )  # fmt: skip
        self.sizes = (CURRENT, COARSE, strict or CURRENT)
        self.transforms = forward(self.references, PaddedGrid(BOX, 2), corrected=True)

    def run(self, **changes):
        settings = replace(self.settings, **changes)
        batch = make_batch(np.arange(len(self.images)), self.particles, self.model, self.poses, self.plan, settings)
        step = CpuExpectation(ImageSource(self.particles.table, settings.memory_limit), self.model_images, settings)
        try:
            return step.run(batch, self.transforms, self.plan, self.model, lambda n: None)
        finally:
            step.close()

    def slow(self):
        modulation = self.model_images.optics.modulation
        prior = self.particles.table.column("rlnAnglePsiPrior")
        half = np.arange(len(self.images)) % 2
        return slow_expectation(
            self.images, self.table, self.optics, modulation, self.model, self.poses, self.particles.offset_prior, prior,
            self.settings.psi_prior_sigma, half, self.plan.sampling, self.sizes, self.settings, self.transforms.astype(complex),
        )  # fmt: skip


def compare(fast, slow, psi_fine):
    sums = fast.particles
    assert np.array_equal(sums.best_class, slow.label)
    assert np.array_equal(sums.best_angles[:, 2], psi_fine[slow.psi])
    assert np.array_equal(sums.best_shift, slow.shift)
    assert np.array_equal(sums.n_significant, slow.n_significant)
    assert np.allclose(sums.log_likelihood, slow.log_likelihood, rtol=0, atol=1e-3)
    for name, expected in (
        ("pmax", slow.pmax), ("weight", slow.weight), ("norm_power", slow.norm), ("offset_power", slow.offset),
        ("scale_cross", slow.cross), ("scale_power", slow.power),
    ):  # fmt: skip
        assert np.allclose(getattr(sums, name), expected, rtol=3e-4), name
    assert np.allclose(fast.class_weight, slow.class_weight, rtol=1e-4, atol=1e-6)
    assert np.allclose(fast.noise_power, slow.noise, rtol=1e-4)
    for found, expected in ((fast.data, slow.data), (fast.weight, slow.grid)):
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"algorithm": Algorithm.EM, "cap": 0},
        {"psi_sigma": 12.0},
        {"cap": 3, "noise": 3.0},
        {"strict": 10},
    ],
    ids=["vdam", "em", "psi prior", "hard cap", "limited resolution"],
)
def test_equals_explicit_loops(tmp_path, changes):
    case = Case(tmp_path, **changes)
    slow = case.slow()
    assert max(slow.n_significant) > 1  # the comparison means nothing if every posterior is a spike
    compare(case.run(), slow, case.plan.sampling.psi_fine)


def test_empty_class_gets_nothing(tmp_path):
    result = Case(tmp_path).run()
    assert result.class_weight[2] == 0
    assert not result.data[:, 2].any()
    assert not result.weight[:, 2].any()
    for values in vars(result.particles).values():
        assert np.isfinite(values).all()


def same(first, second):
    for name, values in vars(first.particles).items():
        assert np.array_equal(values, getattr(second.particles, name)), name
    for name in ("class_weight", "noise_power", "noise_counts", "data", "weight"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return Case(tmp_path_factory.mktemp("many"), n=150)


@pytest.mark.parametrize("zero_mask", [True, False])
def test_number_of_threads_changes_nothing(many, zero_mask):
    same(many.run(threads=1, zero_mask=zero_mask), many.run(threads=4, zero_mask=zero_mask))


def test_memory_limit_changes_grids_by_rounding_only(many):
    first, second = many.run(), many.run(memory_limit=1e-6)
    for name, values in vars(first.particles).items():
        assert np.array_equal(values, getattr(second.particles, name)), name
    assert np.array_equal(first.noise_power, second.noise_power)
    assert np.array_equal(first.class_weight, second.class_weight)
    for name in ("data", "weight"):
        a, b = getattr(first, name), getattr(second, name)
        assert np.abs(a - b).max() < 1e-6 * np.abs(a).max()


def test_noise_fill_changes_only_what_is_outside_the_mask(tmp_path):
    case = Case(tmp_path)
    zero, filled = case.run(), case.run(zero_mask=False)
    assert not np.array_equal(zero.noise_power, filled.noise_power)
    assert (filled.noise_power[:, 8:].sum() / zero.noise_power[:, 8:].sum()) > 1.1
