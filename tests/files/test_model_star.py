import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.model_star import read_class2d_results
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import write_star


def write_iteration(folder, number, data=True, stack=True, numbers=(1, 3, 3, 0)):
    classes = pd.DataFrame(
        {
            "rlnReferenceImage": [f"{i:06d}@Class2D/job001/run_it{number:03d}_classes.mrcs" for i in (1, 2, 3)],
            "rlnClassDistribution": [0.3, 0.1, 0.6],
            "rlnEstimatedResolution": [20.0, 30.0, 10.0],
        }
    )
    general = {"rlnPixelSize": 2.0, "rlnCurrentResolution": 9.5}
    write_star(folder / f"run_it{number:03d}_model.star", {"model_general": general, "model_classes": classes})
    if data:
        write_star(folder / f"run_it{number:03d}_data.star", {"particles": pd.DataFrame({"rlnClassNumber": list(numbers)})})
    if stack:
        write_stack(folder / f"run_it{number:03d}_classes.mrcs", np.zeros((3, 4, 4)), 2.0)


def test_last_finished_iteration_of_a_folder(tmp_path):
    write_iteration(tmp_path, 9)
    write_iteration(tmp_path, 10)
    write_iteration(tmp_path, 11, data=False)
    results = read_class2d_results(tmp_path)
    assert results.iteration == 10 and results.pixel_size == 2.0 and results.current_resolution == 9.5
    assert results.classes["class_number"].tolist() == [1, 2, 3]
    assert results.classes["slice_index"].tolist() == [0, 1, 2]
    assert results.classes["n_particles"].tolist() == [1, 0, 2]
    assert results.classes["resolution"].tolist() == [20, 30, 10]
    assert results.classes["accuracy_rotations"].isna().all()
    assert results.classes_path == tmp_path / "run_it010_classes.mrcs"
    assert read_class2d_results(tmp_path, iteration=9).iteration == 9


@pytest.mark.parametrize("kind", ["optimiser", "model", "data"])
def test_a_file_of_the_run_stands_for_its_iteration(tmp_path, kind):
    write_iteration(tmp_path, 9)
    write_iteration(tmp_path, 10)
    write_star(tmp_path / "run_it009_optimiser.star", {"optimiser_general": {"rlnCurrentIteration": 9}})
    assert read_class2d_results(tmp_path / f"run_it009_{kind}.star").iteration == 9


def test_stack_in_the_project_folder(tmp_path, monkeypatch):
    job = tmp_path / "Class2D" / "job001"
    job.mkdir(parents=True)
    write_iteration(job, 5)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("run_it005_model.star", "run_it005_data.star"):
        (copy / name).write_bytes((job / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert read_class2d_results(copy).classes_path == job / "run_it005_classes.mrcs"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": False}, "no finished iteration"),
        ({"stack": False}, "class averages .* not found"),
        ({"numbers": (1, 4)}, "particle 2 has rlnClassNumber 4, expected 0 to 3"),
        ({"numbers": (1, "x")}, "particle 2 has rlnClassNumber x"),
    ],
)
def test_incomplete_runs(tmp_path, arguments, message):
    write_iteration(tmp_path, 5, **arguments)
    with pytest.raises(UserError, match=message):
        read_class2d_results(tmp_path)


def test_other_mistakes(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read_class2d_results(tmp_path / "none")
    with pytest.raises(UserError, match="no finished iteration"):
        read_class2d_results(tmp_path)
    write_iteration(tmp_path, 5)
    with pytest.raises(UserError, match=r"no model of iteration 7, found \[5\]"):
        read_class2d_results(tmp_path, 7)
    write_star(tmp_path / "run_it005_model.star", {"model_general": {"rlnPixelSize": 2.0}})
    with pytest.raises(UserError, match="data_model_general has no rlnCurrentResolution"):
        read_class2d_results(tmp_path)


@pytest.mark.parametrize(
    ("name", "iteration", "n_classes", "resolution", "first"),
    [("bgal_relion4_vdam_k25", 200, 25, 18.88, 186), ("bgal_empiar10204_relion5_em", 25, 50, 17.427692, 22)],
)
def test_runs_of_relion(shared_data, name, iteration, n_classes, resolution, first):
    results = read_class2d_results(shared_data / "class2d" / name)
    assert (results.iteration, len(results.classes), results.current_resolution) == (iteration, n_classes, resolution)
    assert results.classes["n_particles"].sum() == 2374 and results.classes["n_particles"][0] == first
    assert results.classes["distribution"].sum() == pytest.approx(1, abs=1e-4)
    optimiser = read_class2d_results(shared_data / "class2d" / name / f"run_it{iteration:03d}_optimiser.star")
    pd.testing.assert_frame_equal(optimiser.classes, results.classes)
