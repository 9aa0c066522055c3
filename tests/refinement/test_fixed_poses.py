"""Kept poses: the class posterior against a loop in float64, poses that stay, and shifts that are still searched."""

import dataclasses

import numpy as np
import pytest

from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import read_star
from relion4plugin.refinement.engine import refine
from relion4plugin.refinement.fixed_poses import FixedPosesExpectation
from relion4plugin.refinement.images import ImageSource, make_weights
from relion4plugin.refinement.particles import make_batch
from relion4plugin.refinement.settings import Algorithm
from relion4plugin.refinement.slices import extract_slices, make_slice_plan
from tests.refinement.simulated import HEIGHTS, PIXEL, blob_image, simulate
from tests.refinement.test_expectation import Case


def particles_at_truth(truth):
    """The particles with their true angles and origins as input poses."""
    origin = truth.origin * PIXEL
    columns = {"rlnAnglePsi": truth.psi, "rlnOriginXAngst": origin[:, 0], "rlnOriginYAngst": origin[:, 1]}
    return truth.particles.with_columns(columns)


@pytest.fixture
def truth(tmp_path):
    return simulate(tmp_path, 160, n_classes=2)


@pytest.mark.parametrize("memory_limit", [1.0, 1e-5])
def test_class_posterior_equals_a_loop(tmp_path, memory_limit):
    case = Case(tmp_path, noise=2.0)
    settings = dataclasses.replace(case.settings, skip_align=True, memory_limit=memory_limit, adaptive_fraction=1.0)
    plan = dataclasses.replace(case.plan, fraction=1.0)
    rows = np.arange(len(case.images))
    batch = make_batch(rows, case.particles, case.model, case.poses, plan, settings)
    step = FixedPosesExpectation(ImageSource(case.particles.table, 1.0), case.model_images, settings, np)
    result = step.run(batch, case.transforms, plan, case.model, lambda n: None)

    masked, _ = step._images.transform(batch, case.images[rows], case.model.sigma2_noise)
    weights = make_weights(case.model_images, rows, plan.count, case.model.sigma2_noise, batch.scale)
    inverse = (1 / case.model.sigma2_noise)[:, plan.pixels.shell[: plan.count]]
    expected = np.zeros(3)
    for i in rows:
        slices = extract_slices(case.transforms, make_slice_plan(batch.angles[i : i + 1, 2], plan.pixels, plan.current_size, 2), np)[:, 0]
        angle = -2 * np.pi * (plan.pixels.kx * batch.rest[i, 0] + plan.pixels.ky * batch.rest[i, 1]) / 24
        image = masked[i, : plan.count] * np.exp(1j * angle[: plan.count])
        logs = np.full(3, -np.inf)
        for k in (0, 1):
            residual = np.abs(image - weights.model[i] * slices[k]) ** 2 * inverse[case.model_images.optics.index[i]] / 2
            logs[k] = np.log(case.model.pdf_class[k]) - residual[1 : plan.count_likelihood].sum()
        posterior = np.exp(logs - logs.max())
        expected += posterior / posterior.sum()
        assert result.particles.pmax[i] == pytest.approx(posterior.max() / posterior.sum(), abs=2e-3)
    np.testing.assert_allclose(result.class_weight, expected, atol=5e-3)


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_skip_align_keeps_poses_and_finds_classes(tmp_path, truth, small, algorithm):
    particles = particles_at_truth(truth)
    iterations = 50 if algorithm is Algorithm.VDAM else 8
    # with poses fixed, whichever random start is better soon takes all: start from blurred truth instead
    images = np.stack([blob_image(32, blobs, HEIGHTS, 1.8) for blobs in truth.blobs]).astype(np.float32)
    write_stack(tmp_path / "start.mrcs", images, PIXEL)
    settings = small(algorithm=algorithm, n_iterations=iterations, skip_align=True, reference=str(tmp_path / "start.mrcs"))
    refine(settings, particles, tmp_path / "out")
    table = read_star(tmp_path / "out" / f"run_it{iterations:03d}_data.star")["particles"]
    np.testing.assert_allclose(table["rlnAnglePsi"], truth.psi, atol=1e-5)
    np.testing.assert_allclose(table["rlnOriginXAngst"], truth.origin[:, 0] * PIXEL, atol=1e-5)
    first = table["rlnClassNumber"].to_numpy() == 1
    assert max(np.mean(first == (truth.classes == 0)), np.mean(first == (truth.classes == 1))) > 0.95


def test_skip_rotate_keeps_angles_and_finds_shifts(tmp_path, truth, small):
    particles = truth.particles.with_columns({"rlnAnglePsi": truth.psi})
    refine(small(algorithm=Algorithm.EM, n_iterations=8, skip_rotate=True), particles, tmp_path / "out")
    table = read_star(tmp_path / "out" / "run_it008_data.star")["particles"]
    np.testing.assert_allclose(table["rlnAnglePsi"], truth.psi, atol=1e-5)
    found = table[["rlnOriginXAngst", "rlnOriginYAngst"]].to_numpy() / PIXEL
    for k in (0, 1):
        mine = truth.classes == k
        # a class may sit off centre: the same vector in its own frame for all its particles
        angle = np.deg2rad(truth.psi[mine])
        rest = found[mine] - truth.origin[mine]
        frame = np.stack(
            [np.cos(angle) * rest[:, 0] - np.sin(angle) * rest[:, 1], np.sin(angle) * rest[:, 0] + np.cos(angle) * rest[:, 1]], 1
        )
        assert np.median(np.linalg.norm(frame - np.median(frame, axis=0), axis=1)) < 0.8
