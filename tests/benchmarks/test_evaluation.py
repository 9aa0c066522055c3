"""Evaluation of a run whose classes were made from the truth, so that every figure is known."""

import evaluation
import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import write_star
from relion4plugin.geometry.euler import euler_to_matrix
from relion4plugin.progress import Silent
from relion4plugin.simulation.density import make_density
from relion4plugin.simulation.particles import simulate
from relion4plugin.simulation.spec import SimulationSpec

SPEC = SimulationSpec(
    n_particles=60, box_size=32, pixel_size=6.0, n_views=3, view_spread=1.0, junk_fraction=0.2, junk_kinds=("empty",), seed=4
)  # fmt: skip


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    return simulate(SPEC, tmp_path_factory.mktemp("stack"), Silent())


def write_run(folder, truth: pd.DataFrame, classes: np.ndarray, images: np.ndarray):
    """The files of a finished run with given classes, in reversed particle order and with other folders in the names."""
    folder.mkdir()
    k = len(images)
    write_stack(folder / "run_it001_classes.mrcs", images, SPEC.pixel_size)
    names = truth["rlnImageName"].str.replace("@", "@/elsewhere/", regex=False)
    data = pd.DataFrame({"rlnImageName": names, "rlnClassNumber": classes})[::-1]
    write_star(folder / "run_it001_data.star", {"particles": data})
    table = pd.DataFrame({"rlnReferenceImage": [f"{i + 1:06d}@run_it001_classes.mrcs" for i in range(k)],
                          "rlnClassDistribution": 1 / k, "rlnEstimatedResolution": 20.0})  # fmt: skip
    general = {"rlnPixelSize": SPEC.pixel_size, "rlnCurrentResolution": 20.0}
    write_star(folder / "run_it001_model.star", {"model_general": general, "model_classes": table})
    return folder


def true_projections(truth: pd.DataFrame) -> np.ndarray:
    """One projection of the true density per preferred view, by rotating and summing voxels (no Fourier slice)."""
    from scipy.ndimage import affine_transform

    volume = make_density(SPEC).volume
    images = []
    for view in (1, 2, 3):
        row = truth[(truth["rlnSimulatedView"] == view) & (truth["rlnSimulatedIsParticle"] == 1)].iloc[0]
        matrix = euler_to_matrix(row["rlnAngleRot"], row["rlnAngleTilt"], 0.0)[::-1, ::-1].T  # output (z, y, x) to input (z, y, x)
        centre = np.full(3, SPEC.box_size // 2)
        images.append(affine_transform(volume, matrix, centre - matrix @ centre, order=3).sum(axis=0))
    return np.array(images, dtype=np.float32)


def test_perfect_run(stack, tmp_path):
    truth = evaluation.read_star(stack.truth_star)["particles"]
    genuine = truth["rlnSimulatedIsParticle"].to_numpy() == 1
    classes = np.where(genuine, truth["rlnSimulatedView"].to_numpy(), 4)
    images = np.concatenate([true_projections(truth), np.zeros((1, 32, 32), np.float32)])
    run = write_run(tmp_path / "run", truth, classes, images)
    found = evaluation.evaluate(run, evaluation.Truth(stack.truth_star, stack.map_path, 150.0), healpix_order=2)
    assert found["majority_fraction"] == 1.0 and found["kind_purity"] == 1.0 and found["view_purity"] == 1.0
    assert found["empty_classes"] == 0 and found["particles"] == 60 and found["classes"] == 4
    assert found["view_spread"] < 4.0  # views scatter by 1 degree about their preferred one
    assert (found["frc_resolution"][:3] <= 2.2 * SPEC.pixel_size * 1.1).all()  # close to Nyquist
    assert np.isinf(found["frc_resolution"][3])
    assert found["estimated_resolution_ten"] == pytest.approx(20.0)


def test_one_class_for_all(stack, tmp_path):
    truth = evaluation.read_star(stack.truth_star)["particles"]
    run = write_run(tmp_path / "run", truth, np.ones(60, int), np.zeros((2, 32, 32), np.float32))
    found = evaluation.evaluate(run, evaluation.Truth(stack.truth_star, None, 150.0))
    assert found["effective_classes"] == pytest.approx(1.0) and found["empty_classes"] == 1
    assert found["majority_fraction"] == 1.0 and found["kind_purity"] == pytest.approx(0.8)
    assert found["view_purity"] < 0.5 and found["view_spread"] > 20


def test_other_particles_are_refused(stack, tmp_path):
    truth = evaluation.read_star(stack.truth_star)["particles"]
    run = write_run(tmp_path / "run", truth[:50], np.ones(50, int), np.zeros((1, 32, 32), np.float32))
    with pytest.raises(UserError, match="10 particles of the truth"):
        evaluation.evaluate(run, evaluation.Truth(stack.truth_star, None, 150.0))


def test_view_labels_of_a_uniform_set_are_grid_directions():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"rlnAngleRot": rng.uniform(-180, 180, 500), "rlnAngleTilt": np.degrees(np.arccos(rng.uniform(-1, 1, 500))),
                          "rlnSimulatedView": 0})  # fmt: skip
    labels = evaluation.view_labels(table)
    assert set(labels) == set(range(12))
    assert np.bincount(labels).min() > 500 / 12 / 2
