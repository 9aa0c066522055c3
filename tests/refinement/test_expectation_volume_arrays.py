"""The array form of the 3D expectation step on every array library at hand: slices, batches, and against the kernels.

`test_expectation_volume` compares it with explicit loops on numpy.
"""

from dataclasses import replace

import numpy as np
import pytest

from relion4plugin.arrays import to_numpy
from relion4plugin.files.star import read_star
from relion4plugin.geometry.euler import random_rotations
from relion4plugin.refinement import expectation
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.pixels import PixelList
from relion4plugin.refinement.volume_search import crop_transforms, uncrop
from relion4plugin.refinement.volume_slices import central_slices, insert_slices
from relion4plugin.refinement.volume_slices_arrays import SliceArrays
from tests.refinement.slow_volume_expectation import slow_volume_expectation
from tests.refinement.test_expectation_volume import CASES, Case, compare, nearly_same, sharp  # noqa: F401 (a fixture)


@pytest.mark.parametrize("options", [{}, {"lattice": (8.0, 4.0)}, {"correlate": True}], ids=["grid", "lattice", "correlation"])
def test_batches_change_rounding_only(tmp_path, xp, options):
    case = Case(tmp_path, n=12, noise=4.0, n_optics=1, **options)
    nearly_same(case.run(xp), case.run(xp, memory_limit=1e-4), tolerance=2e-4)


def test_arrays_equal_kernels_on_many_particles(tmp_path, xp):
    case = Case(tmp_path, n=40, noise=4.0, n_optics=1)
    nearly_same(case.run(), case.run(xp), tolerance=3e-4)


def test_class_without_weight_gets_nothing(tmp_path, xp):
    case = Case(tmp_path)
    case.model.pdf_direction[1] = 0.0
    result = case.run(xp)
    assert result.class_weight[1] == 0
    assert not result.data[:, 1].any()
    for values in vars(result.particles).values():
        assert np.isfinite(values).all()


def test_a_run_on_arrays_equals_one_on_kernels(sharp, tmp_path, monkeypatch, xp):  # noqa: F811
    particles, settings = sharp
    settings = replace(settings, n_iterations=2, healpix_order=1)
    monkeypatch.setattr(expectation, "device_namespace", lambda gpu: xp)
    tables = []
    for gpu in (None, 0):
        folder = tmp_path / f"gpu_{gpu}"
        refine(replace(settings, gpu=gpu), particles, folder)
        tables.append(read_star(folder / "run_it002_data.star")["particles"])
    for name in ("rlnLogLikeliContribution", "rlnMaxValueProbDistribution", "rlnOriginXAngst"):
        np.testing.assert_allclose(tables[0][name], tables[1][name], rtol=1e-3, atol=1e-3, err_msg=name)
    np.testing.assert_array_equal(tables[0]["rlnClassNumber"], tables[1]["rlnClassNumber"])


class Slices:
    """Two maps and some slices of them."""

    def __init__(self, xp, rng, padding):
        self.size, self.padding, self.radius = 16 * padding, padding, 6
        shape = (2, self.size, self.size, self.size // 2 + 1)
        self.maps = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
        pixels = PixelList.of(16)
        self.count = pixels.count(14)
        self.kx, self.ky = pixels.kx[: self.count], pixels.ky[: self.count]
        cropped = crop_transforms(self.maps, padding * self.radius + 1, padding * self.radius)
        self.cropped = cropped.shape[1:4]
        self.grids = xp.asarray(cropped).view(xp.complex64).ravel()
        self.arrays = SliceArrays.of(xp, self.cropped, padding, pixels, self.count, self.radius)
        self.which, self.matrices = np.array([0, 1, 1, 0, 0]), random_rotations(5, rng).astype(np.float32)


@pytest.mark.parametrize("padding", [1, 2])
def test_cut_slices_are_central_slices(xp, rng, padding):
    case = Slices(xp, rng, padding)
    found = to_numpy(case.arrays.cut(case.grids, xp.asarray(case.which), xp.asarray(case.matrices)))
    for k, matrix, values in zip(case.which, case.matrices, found, strict=True):
        expected = central_slices(case.maps[k], matrix[None], case.kx, case.ky, padding, case.radius)[0]
        np.testing.assert_allclose(values, expected, atol=2e-5)


@pytest.mark.parametrize("padding", [1, 2])
def test_inserted_slices_are_the_transpose(xp, rng, padding):
    case = Slices(xp, rng, padding)
    values = (rng.normal(size=(5, case.count)) + 1j * rng.normal(size=(5, case.count))).astype(np.complex64)
    weights = rng.uniform(1, 2, (5, case.count)).astype(np.float32)
    sums = tuple(xp.zeros(2 * int(np.prod(case.cropped)), xp.float32) for _ in range(3))
    case.arrays.insert(sums, xp.asarray(case.which), xp.asarray(case.matrices), xp.asarray(values), xp.asarray(weights))
    real, imag, weight = (to_numpy(total).reshape(2, *case.cropped) for total in sums)
    axis = np.fft.fftfreq(case.size, 1 / case.size)
    inside = axis[:, None, None] ** 2 + axis[:, None] ** 2 + np.arange(case.size // 2 + 1) ** 2 <= (padding * case.radius) ** 2
    for k in (0, 1):
        data, total = np.zeros(case.maps.shape[1:], np.complex64), np.zeros(case.maps.shape[1:], np.float32)
        mine = case.which == k
        insert_slices(data, total, values[mine], weights[mine], case.matrices[mine], case.kx, case.ky, padding, case.radius)
        np.testing.assert_allclose(uncrop(real[k] + 1j * imag[k], case.size)[inside], data[inside], atol=5e-5)
        np.testing.assert_allclose(uncrop(weight[k], case.size)[inside], total[inside], atol=5e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_gpu_equals_explicit_loops(tmp_path, options):
    cupy = pytest.importorskip("cupy")
    case = Case(tmp_path, **options)
    compare(case, case.run(cupy), slow_volume_expectation(case))


@pytest.mark.gpu
@pytest.mark.parametrize("options", [{"order": 2, "noise": 4.0}, {"lattice": (4.0, 4.0), "noise": 4.0}], ids=["grid", "lattice"])
def test_gpu_equals_kernels(tmp_path, options):
    cupy = pytest.importorskip("cupy")
    case = Case(tmp_path, n=100, n_optics=1, **options)
    nearly_same(case.run(), case.run(cupy), tolerance=5e-4)
