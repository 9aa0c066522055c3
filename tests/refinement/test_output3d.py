"""Files of 3D runs: names, tables, numbers, and other programs that read them."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from relion4plugin.files.iterations import append_iteration, read_iterations
from relion4plugin.files.model3d_star import read_3d_results
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.particles import read_particles
from relion4plugin.files.star import read_star
from relion4plugin.refinement import output
from relion4plugin.refinement.settings import Algorithm
from tests.refinement.halfway import BOX, CHANGES, DIRECTIONS, Halfway, N, gold_standard, halfway, initial


def write(run: Halfway, folder: Path, iteration: int, directions: np.ndarray | None = DIRECTIONS) -> None:
    output.write_iteration(folder, iteration, *run.arguments(), directions=directions, half=run.half)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    run = halfway(folder, initial())
    write(run, folder, 20)
    return run, folder, output.result_files(folder, 20, False, run.settings)


@pytest.fixture(scope="module")
def gold(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gold")
    run = halfway(folder, gold_standard())
    write(run, folder, 7)
    return run, folder, output.result_files(folder, 7, False, run.settings)


@pytest.fixture(scope="module")
def final(gold, tmp_path_factory):
    run, folder, _ = gold
    unfiltered = np.random.default_rng(3).normal(size=(2, BOX, BOX, BOX)).astype(np.float32)
    arguments = (run.particles, run.models[0], unfiltered, run.poses, run.images, run.sampling, CHANGES)
    output.write_final(folder, 8, run.settings, *arguments, directions=DIRECTIONS, half=run.half)
    return unfiltered, output.result_files(folder, 8, True, run.settings, converged=True)


def names(folder: Path, pattern: str) -> set[str]:
    return {path.name for path in folder.glob(pattern)}


def test_files_of_a_classification(classes):
    run, folder, result = classes
    kinds = ("data.star", "model.star", "sampling.star", "optimiser.star", "class001.mrc", "class002.mrc", "moments.npz", "state.npz")
    assert names(folder, "run_*") == {f"run_it020_{kind}" for kind in kinds}
    assert result.maps == (folder / "run_it020_class001.mrc", folder / "run_it020_class002.mrc")
    assert result.classes == result.maps[0]
    assert not result.half_maps
    for path, volume in zip(result.maps, run.models[0].references, strict=True):
        stored, pixel_size = read_mrc(path)
        assert np.array_equal(stored, volume)
        assert pixel_size == pytest.approx(3.0)


def test_model_of_a_classification(classes):
    run, _, result = classes
    model, blocks = run.models[0], read_star(result.model_star)
    general, table = blocks["model_general"], blocks["model_classes"]
    assert (int(general["rlnReferenceDimensionality"]), int(general["rlnNrClasses"])) == (3, 2)
    assert int(general["rlnOrientationalPriorMode"]) == 0
    assert all(Path(name).is_file() for name in table["rlnReferenceImage"])
    assert not {"rlnGradMoment1", "rlnClassPriorOffsetX"} & set(table.columns)
    for k in (0, 1):
        density = blocks[f"model_pdf_orient_class_{k + 1}"]["rlnOrientationDistribution"].to_numpy(float)
        assert np.allclose(density, model.pdf_direction[k], rtol=1e-4, atol=1e-6)
    assert blocks["model_class_1"]["rlnGoldStandardFsc"].astype(float).max() == 0
    # voxels of a shell grow with the square of its radius: the last of shells 1..5 weighs 25 of 55
    weight = np.arange(6) ** 2
    resolved = model.data_vs_prior[0] >= 1
    last = int(np.argmin(resolved[1:]) + 1)
    assert last == 6
    expected = (weight * model.coverage[0, :6]).sum() / 55
    assert float(table["rlnOverallFourierCompleteness"].iloc[0]) == pytest.approx(expected, abs=1e-6)


def test_sampling_lists_directions_and_all_labels(classes):
    run, folder, _ = classes
    blocks = read_star(folder / "run_it020_sampling.star")
    general = dict(blocks["sampling_general"])
    assert float(general.pop("rlnSamplingPerturbInstance")) == pytest.approx(run.models[0].perturbation, abs=1e-6)
    assert general.pop("rlnSymmetryGroup") == "D2"
    expected = {
        "rlnIs3DSampling": 1, "rlnIs3DTranslationalSampling": 0, "rlnHealpixOrder": 4, "rlnTiltAngleLimit": -91, "rlnPsiStep": 3.75,
        "rlnOffsetRange": 3.21 * 3, "rlnOffsetStep": 0.987 * 3, "rlnHelicalOffsetStep": -1, "rlnSamplingPerturbFactor": 0.5,
        "rlnHealpixOrderOriginal": 1, "rlnPsiStepOriginal": 30, "rlnOffsetRangeOriginal": 15, "rlnOffsetStepOriginal": 6,
    }  # fmt: skip
    assert {key: float(value) for key, value in general.items()} == pytest.approx(expected, abs=1e-5)
    table = blocks["sampling_directions"]
    assert np.allclose(table[["rlnAngleRot", "rlnAngleTilt"]].to_numpy(float), DIRECTIONS, atol=1e-5)


def test_poses_are_written_with_all_three_angles(classes, gold):
    run, _, result = classes
    found = read_particles(result.data_star)
    for column, name in enumerate(("Rot", "Tilt", "Psi")):
        assert np.allclose(found.column(f"rlnAngle{name}"), run.poses.angles[:, column], atol=1e-4)
    assert "rlnRandomSubset" not in found.table
    halves = read_particles(gold[2].data_star).column("rlnRandomSubset")
    assert np.array_equal(halves, gold[0].half + 1)


def test_optimiser_of_a_classification(classes):
    _, _, result = classes
    table = read_star(result.optimiser_star)["optimiser_general"]
    for label in ("rlnModelStarFile", "rlnExperimentalDataStarFile", "rlnOrientSamplingStarFile"):
        assert Path(table[label]).is_file()
    assert "rlnModelStarFile2" not in table
    flags = {label: int(table[label]) for label in ("rlnDoAutoRefine", "rlnDoAutoSampling", "rlnDoSplitRandomHalves", "rlnHasConverged")}
    assert flags == {"rlnDoAutoRefine": 0, "rlnDoAutoSampling": 1, "rlnDoSplitRandomHalves": 0, "rlnHasConverged": 0}


def test_files_of_an_auto_refinement(gold):
    run, folder, result = gold
    kinds = {"data.star", "sampling.star", "optimiser.star", "state.npz"}
    kinds |= {f"half{h}_{kind}" for h in (1, 2) for kind in ("class001.mrc", "model.star")}
    assert names(folder, "run_it007*") == {f"run_it007_{kind}" for kind in kinds}
    assert result.model_star.name == "run_it007_half1_model.star"
    assert [path.name for path in result.half_maps] == ["run_it007_half1_class001.mrc", "run_it007_half2_class001.mrc"]
    for path, model in zip(result.half_maps, run.models, strict=True):
        assert np.array_equal(read_mrc(path)[0], model.references[0])


def test_models_of_both_halves(gold):
    run, folder, _ = gold
    counts = 0
    for half, model in enumerate(run.models):
        blocks = read_star(folder / f"run_it007_half{half + 1}_model.star")
        assert blocks["model_classes"]["rlnReferenceImage"].tolist() == [str(folder / f"run_it007_half{half + 1}_class001.mrc")]
        numbers = blocks["model_groups"]["rlnGroupNrParticles"].astype(int)
        assert numbers.sum() == (run.half == half).sum()
        counts = counts + numbers.to_numpy()
        assert np.allclose(blocks["model_class_1"]["rlnGoldStandardFsc"].astype(float), model.fsc, atol=1e-6)
        general = blocks["model_general"]
        assert int(general["rlnOrientationalPriorMode"]) == 1
        assert [float(general[f"rlnSigmaPrior{name}Angle"]) for name in ("Rot", "Tilt", "Psi")] == [3.75] * 3
    assert np.array_equal(counts, np.bincount(run.particles.group))


def test_optimiser_of_an_auto_refinement(gold):
    _, folder, result = gold
    table = read_star(result.optimiser_star)["optimiser_general"]
    assert table["rlnModelStarFile2"] == str(folder / "run_it007_half2_model.star")
    assert table["rlnSolventMaskName"] == "mask.mrc"
    expected = {
        "rlnDoAutoRefine": 1, "rlnDoSplitRandomHalves": 1, "rlnJoinHalvesUntilThisResolution": 40, "rlnDoSolventFscCorrection": 1,
        "rlnAutoLocalSearchesHealpixOrder": 4, "rlnNumberOfIterWithoutChangingAssignments": 2, "rlnSmallestChangesOrientations": 1.25,
        "rlnSmallestChangesOffsets": 0.75, "rlnSmallestChangesClasses": 0, "rlnHasConverged": 0, "rlnNumberOfIterations": 999,
        "rlnHasHighFscAtResolLimit": 1, "rlnCurrentIteration": 7, "rlnNumberOfIterWithoutResolutionGain": 1,
    }  # fmt: skip
    assert {label: float(table[label]) for label in expected} == expected


def test_final_files(gold, final):
    run, folder, _ = gold
    unfiltered, result = final
    stars = {f"run_{kind}.star" for kind in ("data", "model", "optimiser", "sampling")}
    assert names(folder, "run_[!i]*") == stars | {"run_class001.mrc", "run_half1_class001_unfil.mrc", "run_half2_class001_unfil.mrc"}
    assert (result.classes, result.data_star) == (folder / "run_class001.mrc", folder / "run_data.star")
    assert np.array_equal(read_mrc(result.classes)[0], run.models[0].references[0])
    for path, volume in zip(result.half_maps, unfiltered, strict=True):
        assert np.array_equal(read_mrc(path)[0], volume)
    blocks = read_star(result.model_star)
    assert blocks["model_groups"]["rlnGroupNrParticles"].astype(int).sum() == N
    table = read_star(result.optimiser_star)["optimiser_general"]
    assert (int(table["rlnHasConverged"]), int(table["rlnCurrentIteration"])) == (1, 8)
    assert table["rlnModelStarFile"] == str(folder / "run_model.star")
    assert "rlnModelStarFile2" not in table


def test_iteration_zero_has_no_sampling_file(tmp_path):
    run = halfway(tmp_path, initial())
    model = run.models[0]
    model.moment1 = model.moment2 = None
    model.pdf_direction = np.zeros((0, 0))
    write(run, tmp_path, 0, None)
    assert names(tmp_path, "run_*") == {f"run_it000_{kind}" for kind in ("data.star", "model.star", "optimiser.star", "class001.mrc",
                                                                        "class002.mrc", "state.npz")}  # fmt: skip
    assert read_star(tmp_path / "run_it000_optimiser.star")["optimiser_general"]["rlnOrientSamplingStarFile"] == "None"


def test_local_searches_have_no_table_of_directions(tmp_path):
    run = halfway(tmp_path, gold_standard())
    write(run, tmp_path, 3, None)
    assert list(read_star(tmp_path / "run_it003_sampling.star")) == ["sampling_general"]


def test_moments_of_the_last_two_written_iterations_stay(tmp_path):
    run = halfway(tmp_path, initial())
    for iteration in (10, 20, 30):
        write(run, tmp_path, iteration)
    assert names(tmp_path, "*moments*") == {"run_it020_moments.npz", "run_it030_moments.npz"}
    write(run, tmp_path, 20)  # of a run that went back: what lies ahead is left alone
    assert names(tmp_path, "*moments*") == {"run_it020_moments.npz", "run_it030_moments.npz"}


def test_moments_take_little_space_where_few_voxels_were_reached(classes):
    _, folder, _ = classes
    full = 2 * BOX * BOX * (BOX // 2 + 1) * (16 + 4)
    assert (folder / "run_it020_moments.npz").stat().st_size < full / 20


def test_records_hold_what_a_3d_run_decides(tmp_path, classes, gold):
    common = {"stepsize": 0.5, "tau2_fudge": 1.0, "subset_size": N, "image_size": 24, "seconds": 1.0, "cpu": 2.0}
    for run, _, _ in (classes, gold):
        line = output.record(7, run.models, CHANGES, None, 3.0, **common, sampling=run.sampling, oversampling=1, converged=True)
        append_iteration(tmp_path / "run_iterations.jsonl", line)
    first, second = read_iterations(tmp_path / "run_iterations.jsonl")
    model = classes[0].models[0]
    assert first["algorithm"] == "vdam"
    assert second["algorithm"] == "em"
    assert {key: first[key] for key in ("healpix_order", "angular_step", "local", "converged")} == {
        "healpix_order": 4, "angular_step": 1.875, "local": False, "converged": True,
    }  # fmt: skip
    assert first["offset_range"] == pytest.approx(3 * 3.21)
    assert first["offset_step"] == pytest.approx(3 * 0.987 / 2)
    assert first["accuracy_rotation"] == model.accuracy_rotation.min()
    assert "fsc" not in first
    assert second["fsc"] == pytest.approx(gold[0].models[0].fsc.tolist())
    assert second["log_likelihood"] == sum(m.log_likelihood for m in gold[0].models)
    plain = output.record(7, model, CHANGES, None, 3.0, **common)
    assert set(first) - set(plain) == {
        "healpix_order", "angular_step", "offset_step", "offset_range", "accuracy_rotation", "accuracy_translation", "local", "converged",
    }  # fmt: skip


def relion(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.relion
def test_table_printer_reads_direction_priors(classes):
    run, folder, result = classes
    table = ("data_model_pdf_orient_class_2", "rlnOrientationDistribution")
    printed = relion(folder, "relion_star_printtable", str(result.model_star), *table)
    assert np.allclose(np.array(printed.split(), float), run.models[0].pdf_direction[1], atol=1e-6)
    printed = relion(folder, "relion_star_printtable", str(folder / "run_it020_sampling.star"), "data_sampling_directions", "rlnAngleTilt")
    assert np.allclose(np.array(printed.split(), float), DIRECTIONS[:, 1], atol=1e-4)


@pytest.mark.relion
def test_relion_reconstructs_one_half_from_our_particles(gold, tmp_path):
    _, folder, result = gold
    for subset in ("1", "2"):
        options = ("--o", str(tmp_path / f"half{subset}.mrc"), "--ctf", "--subset", subset)
        relion(folder, "relion_reconstruct", "--i", str(result.data_star), *options)
    first, second = (read_mrc(tmp_path / f"half{subset}.mrc")[0] for subset in "12")
    assert first.shape == (BOX, BOX, BOX)
    assert not np.allclose(first, second)


@pytest.mark.relion
def test_image_handler_reads_our_maps(classes):
    run, folder, result = classes
    text = relion(folder, "relion_image_handler", "--i", str(result.maps[1]), "--stats")
    assert float(text.split("avg=")[1].split()[0]) == pytest.approx(run.models[0].references[1].mean(), abs=1e-3)


def test_a_2d_result_has_no_maps(tmp_path):
    result = output.result_files(tmp_path, 25, True)
    assert (result.classes, result.maps) == (tmp_path / "run_it025_classes.mrcs", ())


def test_em_classes_have_no_moments(tmp_path):
    run = halfway(tmp_path, initial(algorithm=Algorithm.EM, reference="map.mrc"))
    write(run, tmp_path, 2)
    assert not names(tmp_path, "*moment*")


def test_the_results_reader_finds_all_states(classes, gold, final):
    run, folder, _ = classes
    found = read_3d_results(folder)
    assert (found.iteration, len(found.maps), found.box) == (20, 2, BOX)
    assert np.allclose(found.classes["distribution"], run.models[0].pdf_class, atol=1e-6)
    _, folder, result = gold
    before, after = read_3d_results(folder, 7), read_3d_results(folder)
    assert (before.converged, after.converged) == (False, True)
    assert before.half_maps == result.half_maps
    assert after.half_maps == final[1].half_maps
    assert np.allclose(after.fsc, gold[0].models[0].fsc, atol=1e-6)
