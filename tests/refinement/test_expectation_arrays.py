"""The array form of the expectation step gives what the CPU kernels give, on every array library at hand."""

import dataclasses

import numpy as np
import pytest

from relion4plugin.files.star import read_star
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.expectation_arrays import ArrayExpectation
from relion4plugin.refinement.images import ImageSource
from relion4plugin.refinement.particles import make_batch
from relion4plugin.refinement.settings import Algorithm
from tests.refinement.simulated import simulate
from tests.refinement.test_expectation import Case

CASES = {
    "vdam": {},
    "em, no cap": {"algorithm": Algorithm.EM, "cap": 0},
    "psi prior": {"psi_sigma": 20.0},
    "strict_highres": {"strict": 12},
    "noise fill": {"zero_mask": False},
}


def run_arrays(case: Case, xp, memory_limit: float = 1.0):
    settings = dataclasses.replace(case.settings, memory_limit=memory_limit)
    batch = make_batch(np.arange(len(case.images)), case.particles, case.model, case.poses, case.plan, settings)
    step = ArrayExpectation(ImageSource(case.particles.table, 1.0), case.model_images, settings, xp)
    try:
        return step.run(batch, case.transforms, case.plan, case.model, lambda n: None)
    finally:
        step.close()


def assert_equal_results(one, other):
    for field in dataclasses.fields(one.particles):
        a, b = getattr(one.particles, field.name), getattr(other.particles, field.name)
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4 * max(1e-3, np.abs(a).max()), err_msg=field.name)
    for name in ("class_weight", "noise_power", "data", "weight"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= 2e-4 * np.abs(a).max(), name
    assert one.noise_counts.sum() == other.noise_counts.sum() == one.noise_counts.shape[1] * len(one.particles.weight)
    # a power at the border of a bin may fall to either side of it
    assert np.abs(one.noise_counts.cumsum(axis=2) - other.noise_counts.cumsum(axis=2)).max() <= 1


@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_arrays_equal_kernels(tmp_path, options):
    case = Case(tmp_path, **options)
    assert_equal_results(case.run(), run_arrays(case, np))


def test_batches_do_not_change_results(tmp_path):
    case = Case(tmp_path, noise=3.0)
    assert_equal_results(run_arrays(case, np), run_arrays(case, np, memory_limit=1e-6))


@pytest.mark.gpu
@pytest.mark.parametrize("options", CASES.values(), ids=CASES.keys())
def test_gpu_equals_kernels(tmp_path, options):
    cupy = pytest.importorskip("cupy")
    case = Case(tmp_path, **options)
    assert_equal_results(case.run(), run_arrays(case, cupy))


@pytest.mark.gpu
def test_a_run_on_the_gpu_finds_the_classes(tmp_path, small):
    truth = simulate(tmp_path, 200, n_classes=2)
    refine(small(n_iterations=15, gpu=0), truth.particles, tmp_path / "out")
    numbers = read_star(tmp_path / "out" / "run_it015_data.star")["particles"]["rlnClassNumber"].to_numpy()
    agreement = max(np.mean((numbers == 1) == (truth.classes == 0)), np.mean((numbers == 1) == (truth.classes == 1)))
    assert agreement > 0.95
