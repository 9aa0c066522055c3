"""The expectation step with 3D references against loops in float64, and what must not change its result."""

from dataclasses import replace

import mrcfile
import numpy as np
import pandas as pd
import pytest

from relion4plugin.files.mrc import write_volume
from relion4plugin.files.particles import read_particles
from relion4plugin.files.star import read_star, write_star
from relion4plugin.geometry.euler import angular_distance, euler_to_matrix, random_rotations
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.expectation_volume_arrays import VolumeArrayExpectation
from relion4plugin.refinement.expectation_volume_cpu import VolumeCpuExpectation
from relion4plugin.refinement.images import ImageModel, ImageSource
from relion4plugin.refinement.orientations import angles_of, make_global_grid, make_local_lattice
from relion4plugin.refinement.particles import SortedParticles, make_batch
from relion4plugin.refinement.references import PaddedGrid, forward
from relion4plugin.refinement.sampling import make_shifts
from relion4plugin.refinement.settings import Algorithm, RefinementSettings
from relion4plugin.refinement.state import Model, Poses
from relion4plugin.refinement.volume_search import make_volume_plan
from tests.refinement.simulated import HEIGHTS, PIXEL, blob_image, write_tables
from tests.refinement.slow_volume_expectation import slow_volume_expectation

BOX, N, CLASSES = 20, 5, 2
CURRENT, COARSE = 16, 12
BALLS = np.array(
    [
        [[-4, 0, 1], [4, 0, -2], [0, 3, 3], [2, -4, 0], [-2, 1, -4]],
        [[0, -5, 0], [0, 4, 2], [1, 0, -4], [-3, 2, 3], [2, 3, 0]],
    ],
    float,
)


def ball_map(box: int, centres: np.ndarray, heights: np.ndarray, sigma: float = 1.3) -> np.ndarray:
    """Sum of Gaussians at (x, y, z) px from the centre, [z, y, x], whose projections are `blob_image`s."""
    axis = np.arange(box) - box // 2
    x, y, z = (np.exp(-((axis - centres[:, j, None]) ** 2) / (2 * sigma**2)) for j in range(3))
    return np.einsum("b,bz,by,bx->zyx", heights / (np.sqrt(2 * np.pi) * sigma), z, y, x).astype(np.float32)


class Case:
    """Particles, model and plan of one comparison."""

    def __init__(
        self, folder, *, n=N, gradient=True, order=0, oversampling=1, symmetry="C1", lattice=None, keep_shifts=False, correlate=False,
        cap=15, noise=2.0, strict=0, padding=2, n_optics=3, current=CURRENT, coarse=COARSE, **settings,
    ):  # fmt: skip
        rng = np.random.default_rng(7)
        self.order, self.oversampling, self.perturbation, self.cap = order, oversampling, 0.17, cap
        self.gradient, self.keep_shifts, self.correlate = gradient, keep_shifts, correlate
        self.settings = RefinementSettings(
            dimension=3, algorithm=Algorithm.VDAM if gradient else Algorithm.EM, n_classes=CLASSES, particle_diameter=39.0, padding=padding,
            **settings,
        )  # fmt: skip
        self.truth = random_rotations(n, rng)
        self.write(folder, n, n_optics, noise, rng)
        particles = read_particles(folder / "particles.star")
        self.particles = SortedParticles.of(particles, self.settings)
        self.offset_prior = self.particles.offset_prior
        self.model_images = ImageModel.of(particles, self.settings)
        grid, points = None, None
        if lattice is None:
            grid = make_global_grid(order, symmetry, self.perturbation, oversampling)
        else:
            points = make_local_lattice(*lattice, self.perturbation, oversampling)
        self.pixels = None if grid is None else grid.pixel
        self.fill_model(noise, n_optics, rng)
        self.fill_poses(n, rng)
        shifts = make_shifts(2.0, 0.0 if keep_shifts else 2.0, 0.0 if keep_shifts else 0.17, 0 if keep_shifts else oversampling)
        self.sizes = (current, coarse, strict or current)
        self.plan = make_volume_plan(
            self.model_images.pixels, padding, shifts, grid, points, current_size=current, coarse_size=coarse,
            likelihood_size=strict or current, fraction=self.settings.adaptive_fraction, max_significants=cap, gradient=gradient,
            correlate=correlate, keep_shifts=keep_shifts,
        )  # fmt: skip
        self.transforms = forward(self.model.references, PaddedGrid(BOX, padding, 3), corrected=True)

    def write(self, folder, n, n_optics, noise, rng):
        """Make projections with noise, and their STAR file."""
        self.images, self.shift = np.empty((n, BOX, BOX), np.float32), rng.uniform(-1, 1, (n, 2))
        for i in range(n):
            where = (BALLS[i % 2] @ self.truth[i].T)[:, :2] + self.shift[i]
            self.images[i] = 0.8 * blob_image(BOX, where, HEIGHTS, 1.3) + noise * rng.normal(size=(BOX, BOX))
        with mrcfile.new(folder / "particles.mrcs", data=self.images, overwrite=True) as mrc:
            mrc.voxel_size = PIXEL
        defocus = rng.uniform(9000, 20000, n)
        columns = {}
        if n_optics == 3:
            columns["optics_rlnCtfDataAreCtfPremultiplied"] = [0, 0, 1]
        write_tables(
            folder / "particles.star", n, BOX, np.arange(n) // 2, defocus, n_optics=n_optics,
            rlnOriginXPriorAngst=rng.normal(0, 2, n), rlnOriginYPriorAngst=rng.normal(0, 2, n), **columns,
        )  # fmt: skip
        self.defocus = np.stack([defocus + 300, defocus - 300, np.full(n, 25.0)], axis=1)
        self.scale_group = np.arange(n) // 2
        group = np.arange(n) % n_optics
        self.optics = [(g, 200.0 if g == 1 else 300.0, g == 2) for g in group]

    def fill_model(self, noise, n_optics, rng):
        """Make references and spectra; classes and directions have unequal priors, one direction none."""
        shells = BOX // 2 + 1
        references = np.stack([ball_map(BOX, balls, HEIGHTS, 1.5) for balls in BALLS])
        sigma2 = noise**2 / (2 * BOX**2) * np.linspace(1.3, 0.8, shells) * np.array([[1.0], [1.1], [0.9]])[:n_optics]
        self.model = Model(references, np.array([0.6, 0.4]), sigma2, np.linspace(0.8, 1.2, self.particles.n_groups))
        self.model.avg_norm, self.model.sigma_offset = 0.9, 6.0
        self.model.data_vs_prior = np.ones((CLASSES, shells))
        self.model.data_vs_prior[0, :5], self.model.data_vs_prior[1, :7] = 10.0, 10.0
        if self.pixels is not None:
            directions = rng.uniform(0.5, 1.5, (CLASSES, 12 * 4**self.order)) * self.model.pdf_class[:, None]
            directions[0, self.pixels[1]] = 0.0
            self.model.pdf_direction = directions / directions.sum()

    def fill_poses(self, n, rng):
        """Start near the truth, with offsets, some of them at halves of a pixel."""
        tilted = random_rotations(n, rng)  # small turns: a tenth of the way
        angles = angles_of(self.truth)
        angles += np.clip(angles_of(tilted), -8, 8) * 0.5
        self.poses = Poses.start(angles, rng.uniform(-3, 3, (n, 2)), np.ones(n))
        self.poses.offset[0] = (1.5 * PIXEL, -0.5 * PIXEL)
        self.poses.norm[:] = rng.uniform(0.8, 1.1, n)
        self.poses.n_significant[:] = 1

    def run(self, xp=None, **changes):
        """Run the kernels, or the array operations on `xp`."""
        settings = replace(self.settings, **changes)
        batch = make_batch(np.arange(len(self.images)), self.particles, self.model, self.poses, self.plan, settings)
        source = ImageSource(self.particles.table, 1.0)
        if xp is None:
            step = VolumeCpuExpectation(source, self.model_images, settings)
        else:
            step = VolumeArrayExpectation(source, self.model_images, settings, xp)
        done = []
        try:
            result = step.run(batch, self.transforms, self.plan, self.model, done.append)
        finally:
            step.close()
        assert sum(done) == len(self.images)
        return result

    def closed(self, grids):
        """What the half grids mean up to the current radius: the x = 0 plane completed, other voxels zero."""
        grid = PaddedGrid(BOX, self.plan.padding, 3)
        out = np.zeros_like(grids).reshape(*grids.shape[:2], -1)
        inside = grid.inside(self.sizes[0])
        out[..., inside] = grids.reshape(out.shape)[..., inside]
        out = out.reshape(grids.shape)
        plane = out[..., 0]
        opposite = np.roll(plane[..., ::-1, ::-1], 1, axis=(-2, -1))
        out[..., 0] = plane + opposite.conj()
        return out


CASES = {
    "vdam": {},
    "em, no cap": {"gradient": False, "cap": 0, "n": 3},
    "finer grid": {"order": 1, "noise": 4.0, "n": 3},
    "symmetry": {"symmetry": "D2", "order": 1, "noise": 4.0},
    "hard cap": {"cap": 3, "noise": 4.0},
    "no oversampling": {"oversampling": 0},
    "one optics group": {"n_optics": 1},
    "limited resolution": {"strict": 10},
    "no padding": {"padding": 1},
    "to Nyquist": {"current": BOX, "coarse": BOX},
    "lattice": {"lattice": (8.0, 4.0), "noise": 3.0, "cap": 0, "n": 3},
    "lattice, no oversampling": {"lattice": (8.0, 5.0), "noise": 4.0, "oversampling": 0, "gradient": False},
    "fixed angles": {"lattice": (8.0, 0.0), "noise": 5.0},
    "fixed poses": {"lattice": (8.0, 0.0), "keep_shifts": True, "oversampling": 0, "skip_align": True, "noise": 9.0},
    "correlation": {"correlate": True},
    "correlation, lattice": {"correlate": True, "lattice": (8.0, 5.0)},
}


def compare(case, fast, slow):
    """Compare a result with the explicit loops."""
    sums = fast.particles
    np.testing.assert_array_equal(sums.best_class, slow.best_class)
    found = euler_to_matrix(*sums.best_angles.T)
    assert angular_distance(found, np.array(slow.matrix)).max() < 0.01
    np.testing.assert_array_equal(sums.best_shift, slow.best_shift)
    np.testing.assert_array_equal(sums.n_significant, slow.n_significant)
    if not case.correlate:
        np.testing.assert_allclose(sums.log_likelihood, slow.log_likelihood, rtol=0, atol=2e-3)
    for name in ("pmax", "weight", "norm_power", "offset_power", "scale_cross", "scale_power"):
        np.testing.assert_allclose(getattr(sums, name), getattr(slow, name), rtol=5e-4, err_msg=name)
    np.testing.assert_allclose(fast.class_weight, slow.class_weight, rtol=3e-4, atol=1e-5)
    np.testing.assert_allclose(fast.direction_weight, case.plan.spread_directions(slow.direction_weight), atol=2e-4)
    np.testing.assert_allclose(fast.noise_power, slow.noise_power, rtol=1e-4, atol=1e-4 * slow.noise_power.mean())
    for found, expected in ((fast.data, slow.data), (fast.weight, slow.grid)):
        assert found.shape == expected.shape
        found, expected = case.closed(found), case.closed(expected)
        assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_kernels_and_arrays_equal_explicit_loops(tmp_path, options):
    case = Case(tmp_path, **options)
    slow = slow_volume_expectation(case)
    if not (case.correlate or case.keep_shifts):
        assert max(slow.n_significant) > 1  # the comparison means nothing if every posterior is a spike
    compare(case, case.run(), slow)
    compare(case, case.run(np), slow)


def same(first, second):
    """Results equal to the last bit."""
    for name, values in vars(first.particles).items():
        np.testing.assert_array_equal(values, getattr(second.particles, name), err_msg=name)
    for name in ("class_weight", "direction_weight", "noise_power", "data", "weight"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def nearly_same(first, second, tolerance=2e-5):
    """Results equal up to rounding."""
    for name, values in vars(first.particles).items():
        other = getattr(second.particles, name)
        np.testing.assert_allclose(values, other, rtol=tolerance, atol=tolerance * max(1e-3, np.abs(values).max()), err_msg=name)
    for name in ("class_weight", "direction_weight", "noise_power", "data", "weight"):
        one, other = getattr(first, name), getattr(second, name)
        assert one.shape == other.shape
        assert np.abs(one - other).max(initial=0) <= tolerance * np.abs(one).max(initial=0), name


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A case with several blocks in several lanes."""
    return Case(tmp_path_factory.mktemp("many"), n=150, n_optics=1)


@pytest.mark.parametrize("options", [{}, {"zero_mask": False}])
def test_number_of_threads_changes_nothing(many, options):
    same(many.run(threads=1, **options), many.run(threads=3, **options))


def test_number_of_threads_changes_nothing_on_a_lattice(tmp_path):
    case = Case(tmp_path, n=20, n_optics=1, lattice=(8.0, 4.0))
    same(case.run(threads=1), case.run(threads=3))


def test_memory_limit_changes_rounding_only(many):
    nearly_same(many.run(), many.run(memory_limit=1e-4))


def test_class_without_weight_gets_nothing(tmp_path):
    case = Case(tmp_path)
    case.model.pdf_class[:] = 1.0, 0.0
    case.model.pdf_direction[1] = 0.0
    result = case.run()
    assert result.class_weight[1] == 0
    assert not result.data[:, 1].any()
    assert not result.weight[:, 1].any()
    for values in vars(result.particles).values():
        assert np.isfinite(values).all()


def test_noise_fill_changes_only_what_is_outside_the_mask(tmp_path):
    case = Case(tmp_path)
    zero, filled = case.run(), case.run(zero_mask=False)
    assert not np.array_equal(zero.noise_power, filled.noise_power)
    assert filled.noise_power[:, 6:].sum() > 1.1 * zero.noise_power[:, 6:].sum()


def test_kept_poses_stay(tmp_path):
    case = Case(tmp_path, **CASES["fixed poses"])
    result = case.run()
    turned = angular_distance(euler_to_matrix(*result.particles.best_angles.T), euler_to_matrix(*case.poses.angles.T))
    assert turned.max() < 0.01
    assert not result.particles.best_shift.any()
    assert result.particles.n_significant.max() == CLASSES  # nothing but classes is searched


@pytest.fixture(scope="module")
def sharp(tmp_path_factory):
    """Particles with little noise and exact poses in their table; and a STAR file of blurred start maps."""
    folder = tmp_path_factory.mktemp("sharp")
    case = Case(folder, n=40, noise=0.3, n_optics=1)
    rot, tilt, psi = angles_of(case.truth).T
    origins = -case.shift * PIXEL
    angles = {"rlnAngleRot": rot, "rlnAngleTilt": tilt, "rlnAnglePsi": psi}
    poses = angles | {"rlnOriginXAngst": origins[:, 0], "rlnOriginYAngst": origins[:, 1]}
    for k, balls in enumerate(BALLS):
        write_volume(folder / f"start{k}.mrc", ball_map(BOX, balls, HEIGHTS, 2.0), PIXEL)
    names = [str(folder / f"start{k}.mrc") for k in range(CLASSES)]
    write_star(folder / "start.star", {"references": pd.DataFrame({"rlnReferenceImage": names})})
    settings = {
        "dimension": 3, "algorithm": Algorithm.EM, "n_classes": CLASSES, "n_iterations": 4, "particle_diameter": 39.0, "padding": 1,
        "reference": str(folder / "start.star"), "ctf_correction": False,
    }  # fmt: skip
    return read_particles(folder / "particles.star").with_columns(poses), RefinementSettings(**settings)


def test_a_run_with_skip_align_keeps_poses_and_finds_classes(sharp, tmp_path):
    particles, settings = sharp
    refine(replace(settings, skip_align=True), particles, tmp_path)
    table = read_star(tmp_path / "run_it004_data.star")["particles"]
    for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi", "rlnOriginXAngst", "rlnOriginYAngst"):
        np.testing.assert_allclose(table[name], particles.table[name], atol=1e-4, err_msg=name)
    assert np.mean(table["rlnClassNumber"].to_numpy() - 1 == np.arange(40) % 2) > 0.95


def test_a_run_with_skip_rotate_keeps_angles_and_finds_shifts(sharp, tmp_path):
    particles, settings = sharp
    origins = particles.table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy()
    centred = particles.with_columns({"rlnOriginXAngst": np.zeros(40), "rlnOriginYAngst": np.zeros(40)})
    refine(replace(settings, skip_rotate=True, offset_step=0.5, offset_range=2.5), centred, tmp_path)
    table = read_star(tmp_path / "run_it004_data.star")["particles"]
    for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"):
        np.testing.assert_allclose(table[name], particles.table[name], atol=1e-4, err_msg=name)
    found = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy()
    assert np.median(np.linalg.norm(found - origins, axis=1)) < 0.4 * np.median(np.linalg.norm(origins, axis=1))


def test_poses_of_a_fine_search_are_near_the_truth(tmp_path):
    case = Case(tmp_path, n=12, order=2, noise=0.1, cap=300, n_optics=1, current=BOX, coarse=BOX, padding=1, ctf_correction=False)
    case.poses.norm[:] = case.model.avg_norm = 1.0
    case.model.scale[:] = 0.8
    case.poses.offset[:] = 0.0
    case.model.sigma2_noise *= 9.0  # what the grid's step leaves is more than this little noise
    result = case.run()
    turned = angular_distance(euler_to_matrix(*result.particles.best_angles.T), case.truth)
    assert np.mean(result.particles.best_class == np.arange(12) % 2) > 0.9
    assert np.median(turned) < 10.0  # the fine grid has 7.5 degrees


def test_an_interrupted_step_ends_with_the_block_in_work(tmp_path, monkeypatch):
    """Lanes that wait or work end with the first that is interrupted, not when they are through."""
    monkeypatch.setattr("relion4plugin.refinement.expectation_volume_cpu.BLOCK", 1)
    case = Case(tmp_path, n=12, noise=4.0)
    batch = make_batch(np.arange(12), case.particles, case.model, case.poses, case.plan, case.settings)
    step = VolumeCpuExpectation(ImageSource(case.particles.table, 1.0), case.model_images, case.settings)
    done = []

    def interrupt(count: int) -> None:
        done.append(count)
        if len(done) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step.run(batch, case.transforms, case.plan, case.model, interrupt)
    step.close()
    assert len(done) < 5  # the other lane has six blocks
