"""Reading finished 2D classifications, of RELION and of this package, and what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star, write_star
from relion4plugin.ranker.class_run import read_class_run, resolution_from_ssnr
from relion4plugin.refinement.engine import refine
from tests.ranker.vectors import DIAMETER, PDF, PIXEL, images, write_run
from tests.refinement.conftest import small  # noqa: F401
from tests.refinement.simulated import simulate


def rewrite(path: Path, change) -> None:
    """Change the tables of a STAR file."""
    tables = read_star(path)
    change(tables)
    write_star(path, tables)


def test_all_that_the_ranker_needs_is_read(tmp_path):
    folder = tmp_path / "job007"
    folder.mkdir()
    run = read_class_run(write_run(folder, total=1000))
    assert run.job_name == "job007" and run.classes.shape == (5, 70, 70) and run.classes.dtype == np.float32
    np.testing.assert_array_equal(run.classes, images())
    assert (run.pixel_size, run.particle_diameter, run.current_size) == (PIXEL, DIAMETER, 50)
    np.testing.assert_allclose(run.particles, PDF * 1000)
    assert run.sigma2_noise.shape == (36,) and run.ssnr is None and not run.ctf_until_first_peak
    assert run.origins.shape == (1000, 2) and run.class_number.max() == 5 and run.psi.shape == (1000,)
    assert {run.model_path.parent, run.data_path.parent} == {folder}
    assert "optimiser_general" in run.optimiser_tables and "model_classes" in run.model_tables


@pytest.mark.parametrize(
    ("folder", "n_classes", "current_size"), [("bgal_relion4_vdam_k25", 25, 42), ("bgal_empiar10204_relion5_em", 50, 46)]
)
def test_runs_of_relion_4_and_5(shared_data, folder, n_classes, current_size):
    optimiser = sorted((shared_data / "class2d" / folder).glob("run_it*_optimiser.star"))[-1]
    run = read_class_run(optimiser)
    assert run.classes.shape == (n_classes, 64, 64) and run.current_size == current_size
    assert len(run.data) == 2374 and run.pixel_size == 3.54 and run.particle_diameter == 200
    assert run.pdf.sum() == pytest.approx(1, abs=1e-3)
    assert run.ssnr.shape == (n_classes, 33)
    assert np.isfinite(run.resolution).all() and run.resolution.max() <= 999
    # what the file says follows from the spectra, except for classes that are not resolved at all
    from_spectra = resolution_from_ssnr(run.ssnr, 64, run.pixel_size)
    resolved = run.resolution < 200
    assert np.mean(np.abs(from_spectra[resolved] / run.resolution[resolved] - 1) < 1e-3) > 0.9


def test_a_run_of_this_package(tmp_path, small):  # noqa: F811
    truth = simulate(tmp_path / "particles", 150, seed=3)
    result = refine(small(n_iterations=3), truth.particles, tmp_path / "job")
    run = read_class_run(next((tmp_path / "job").glob("*it003_optimiser.star")))
    assert run.data_path == Path(result.data_star) and run.classes.shape == (2, 32, 32)
    assert run.ssnr.shape == (2, 17) and run.pdf.sum() == pytest.approx(1, abs=1e-5) and len(run.psi) == 150


def test_the_first_shell_below_noise_sets_the_resolution():
    ssnr = np.array([[9, 5, 4, 0.5, 3], [9, 0.9, 4, 4, 4], [9, 5, 5, 5, 5]], float)
    np.testing.assert_allclose(resolution_from_ssnr(ssnr, 8, 2.0), [8.0, 999.0, 4.0])


def test_missing_resolutions_come_from_the_spectra(tmp_path):
    optimiser = write_run(tmp_path, total=50, rlnEstimatedResolution=[9.0, 0.0, np.nan, np.inf, 40.0])
    model = tmp_path / "run_it025_model.star"
    with pytest.raises(UserError, match="neither rlnEstimatedResolution nor rlnSsnrMap"):
        read_class_run(optimiser)
    shells = np.arange(36)
    spectra = {f"model_class_{k + 1}": {"rlnSpectralIndex": shells, "rlnSsnrMap": np.where(shells > 10 + k, 0.5, 2)} for k in range(5)}
    rewrite(model, lambda tables: tables.update({name: pd.DataFrame(table) for name, table in spectra.items()}))
    run = read_class_run(optimiser)
    np.testing.assert_allclose(run.resolution, [9.0, 70 * PIXEL / 11, 70 * PIXEL / 12, 999.0, 40.0], rtol=1e-5)


def test_relion_3_files(tmp_path):
    optimiser = write_run(tmp_path, total=50)

    def older(tables):
        tables["model_group_1"] = tables.pop("model_optics_group_1")
        classes = tables["model_classes"]
        tables["model_classes"] = classes.rename(columns={"rlnAccuracyTranslationsAngst": "rlnAccuracyTranslations"})

    rewrite(tmp_path / "run_it025_model.star", older)
    run = read_class_run(optimiser)
    np.testing.assert_allclose(run.accuracy_translation, np.array([3.3, 5, 4.4, 7.7, 9]) * PIXEL, rtol=1e-5)


def test_accuracies_that_were_not_estimated_stay_unknown(tmp_path):
    run = read_class_run(write_run(tmp_path, total=50, rlnAccuracyRotations=[2.0, np.nan, 999.0, 3.0, 4.0]))
    np.testing.assert_allclose(run.accuracy_rotation, [2, 999, 999, 3, 4])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rlnDoCorrectCtf": 0}, "did not correct for the CTF.*--ctf"),
        ({"rlnDoCorrectCtf": None}, "no rlnDoCorrectCtf"),
        ({"rlnReferenceDimensionality": 3}, "3D references; expected the optimiser file of a 2D"),
        ({"rlnParticleDiameter": None}, "optimiser.star: no rlnParticleDiameter"),
        ({"rlnParticleDiameter": "large"}, "rlnParticleDiameter is 'large', expected a number"),
        ({"rlnClassDistribution": None}, "data_model_classes has no column rlnClassDistribution"),
        ({"rlnAccuracyRotations": None}, "no column rlnAccuracyRotations"),
        ({"rlnAccuracyTranslationsAngst": None}, "no column rlnAccuracyTranslationsAngst"),
        ({"rlnEstimatedResolution": ["9", "bad", "9", "9", "9"]}, "row 2 has rlnEstimatedResolution 'bad'"),
        ({"rlnSigma2Noise": None}, "data_model_optics_group_1 has no column rlnSigma2Noise"),
        ({"rlnAnglePsi": None}, "data.star: data_particles has no column rlnAnglePsi"),
        ({"rlnClassNumber": None}, "data.star: data_particles has no column rlnClassNumber"),
        ({"rlnOriginXAngst": None}, "data.star: data_particles has no column rlnOriginXAngst"),
        ({"rlnClassNumber": np.full(50, 6)}, "particle 1 has rlnClassNumber 6, expected 0 to 5"),
        ({"rlnReferenceImage": [f"map{i}.mrc" for i in range(5)]}, "'map0.mrc' is not an image in a stack"),
        ({"rlnReferenceImage": [f"{i}@elsewhere.mrcs" for i in range(1, 6)]}, "class averages elsewhere.mrcs not found"),
    ],
)
def test_a_broken_run_is_refused_in_one_line(tmp_path, changes, message):
    optimiser = write_run(tmp_path, total=50, **changes)
    with pytest.raises(UserError, match=message) as error:
        read_class_run(optimiser)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("box", "message"), [(14, "class averages of 14 px; expected an even number of at least 16")])
def test_a_box_too_small(tmp_path, box, message):
    optimiser = write_run(tmp_path, np.zeros((2, box, box), np.float32), total=50)
    with pytest.raises(UserError, match=message):
        read_class_run(optimiser)


def test_class_averages_without_numbers(tmp_path):
    stack = images()
    stack[2, 5, 5] = np.nan
    with pytest.raises(UserError, match="class average 3 holds values that are not numbers"):
        read_class_run(write_run(tmp_path, stack, total=50))


@pytest.mark.parametrize("kind", ["data", "model", "optimiser"])
def test_a_missing_file(tmp_path, kind):
    optimiser = write_run(tmp_path, total=50)
    (tmp_path / f"run_it025_{kind}.star").unlink()
    with pytest.raises(UserError, match=f"run_it025_{kind}.star: no such file"):
        read_class_run(optimiser)


def test_another_star_file(tmp_path):
    write_run(tmp_path, total=50)
    with pytest.raises(UserError, match="no table data_optimiser_general; expected the optimiser file"):
        read_class_run(tmp_path / "run_it025_data.star")
