"""Results of 3D runs: which files are taken, what the tables hold, and files of RELION."""

import gzip
import shutil

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.model3d_star import Refine3DResults, fsc_history, is_3d_run, read_3d_results
from relion4plugin.files.mrc import write_volume
from relion4plugin.files.star import read_star, write_star
from tests.web.fake3d import BOX, PIXEL, fsc_curve, make_class3d, make_refine3d


def test_last_finished_iteration_of_a_classification(tmp_path):
    make_class3d(tmp_path, iteration=5, n_classes=3)
    make_class3d(tmp_path, iteration=6, n_classes=3)
    make_class3d(tmp_path, iteration=7, n_classes=3)
    (tmp_path / "run_it007_data.star").unlink()  # written last of these: iteration 7 is not finished
    results = read_3d_results(tmp_path)
    assert (results.iteration, results.box, results.pixel_size) == (6, BOX, PIXEL)
    assert not isinstance(results, Refine3DResults)
    assert [path.name for path in results.maps] == [f"run_it006_class00{k}.mrc" for k in (1, 2, 3)]
    assert results.classes["class_number"].tolist() == [1, 2, 3]
    assert results.classes["n_particles"].tolist() == [30, 30, 30]
    np.testing.assert_allclose(results.classes["distribution"], [1 / 2, 1 / 3, 1 / 6], atol=1e-6)
    np.testing.assert_allclose(results.classes["resolution"], BOX * PIXEL / np.array([8, 7, 6]), rtol=1e-5)
    assert results.current_resolution == pytest.approx(BOX * PIXEL / 8)
    assert len(results.spectra) == 3 and len(results.spectra[0]) == BOX // 2 + 1
    assert results.spectra[0]["frequency"][4] == pytest.approx(4 / (BOX * PIXEL))
    assert results.sampling_star == tmp_path / "run_it006_sampling.star"
    assert read_3d_results(tmp_path, 5).iteration == 5
    assert read_3d_results(tmp_path / "run_it005_optimiser.star").iteration == 5
    with pytest.raises(UserError, match=r"no files of iteration 9, found \[5, 6\]"):
        read_3d_results(tmp_path, 9)


def test_running_refinement_shows_its_halves(tmp_path):
    results = read_3d_results(make_refine3d(tmp_path, iterations=4, final=False))
    assert isinstance(results, Refine3DResults) and not results.converged and results.iteration == 4
    assert [path.name for path in results.half_maps] == ["run_it004_half1_class001.mrc", "run_it004_half2_class001.mrc"]
    assert results.maps == results.half_maps[:1]
    np.testing.assert_allclose(results.fsc, fsc_curve(BOX, BOX / 8 + BOX / 4), atol=1e-5)


def test_converged_refinement_shows_its_final_files(tmp_path):
    make_refine3d(tmp_path, iterations=4)
    results = read_3d_results(tmp_path)
    assert isinstance(results, Refine3DResults) and results.converged and results.iteration == 5
    assert results.maps[0].name == "run_class001.mrc" and results.data_star.name == "run_data.star"
    assert results.half_maps[1].name == "run_half2_class001_unfil.mrc"
    (tmp_path / "run_optimiser.star").unlink()
    assert read_3d_results(tmp_path).iteration == 4  # the newest numbered file
    assert read_3d_results(tmp_path, 2).iteration == 2
    (tmp_path / "run_half2_class001_unfil.mrc").unlink()
    with pytest.raises(UserError, match=r"run_half2_class001_unfil\.mrc: no such file"):
        read_3d_results(tmp_path)


def test_history_of_the_fsc_is_thinned(tmp_path):
    make_refine3d(tmp_path, iterations=9)
    history = fsc_history(tmp_path, most=4)
    assert list(history) == [1, 4, 6, 9]
    np.testing.assert_allclose(history[9], fsc_curve(BOX, BOX / 8 + BOX / 4), atol=1e-5)
    assert fsc_history(make_class3d(tmp_path / "other")) == {}


def test_kind_of_a_folder(tmp_path):
    from tests.web.test_class2d_report import make_run

    assert is_3d_run(make_class3d(tmp_path / "a")) and is_3d_run(make_refine3d(tmp_path / "b", 1, False))
    assert not is_3d_run(make_run(tmp_path / "c")) and not is_3d_run(tmp_path)
    with pytest.raises(UserError, match="2 dimensions"):
        read_3d_results(tmp_path / "c")


@pytest.mark.parametrize("name", ["run_it010_class002.mrc", "run_it010_model.star"])
def test_missing_files_are_one_line(tmp_path, name):
    make_class3d(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(UserError) as caught:
        read_3d_results(tmp_path)
    assert "\n" not in str(caught.value)


def test_class_number_out_of_range(tmp_path):
    make_class3d(tmp_path, n_classes=2)
    blocks = read_star(tmp_path / "run_it010_data.star")
    blocks["particles"].loc[3, "rlnClassNumber"] = 3
    write_star(tmp_path / "run_it010_data.star", blocks)
    with pytest.raises(UserError, match="particle 4 has rlnClassNumber 3, expected 0 to 2"):
        read_3d_results(tmp_path)


def test_refinement_of_relion(shared_data, tmp_path):
    source = shared_data / "star" / "relion31_tutorial_bgal" / "Refine3D" / "job029"
    shutil.copy(source / "run_model.star", tmp_path)
    (tmp_path / "run_data.star").write_bytes(gzip.decompress((source / "run_data.star.gz").read_bytes()))
    for name in ("run_class001.mrc", "run_half1_class001_unfil.mrc", "run_half2_class001_unfil.mrc"):
        write_volume(tmp_path / name, np.zeros((8, 8, 8), np.float32), 1.244)
    results = read_3d_results(tmp_path)
    assert isinstance(results, Refine3DResults) and results.converged
    assert results.pixel_size == pytest.approx(1.244) and results.current_resolution == pytest.approx(2.843428)
    assert len(results.fsc) == 129 and results.fsc[0] == 1.0
    assert results.classes["n_particles"].tolist() == [len(read_star(tmp_path / "run_data.star")["particles"])]
    assert results.classes["accuracy_rotations"].tolist() == [0.36]


def test_classification_of_relion(shared_data, tmp_path):
    source = shared_data / "star" / "relion31_tutorial_bgal" / "Class3D" / "job016"
    shutil.copy(source / "run_it025_model.star", tmp_path)
    make_class3d(tmp_path / "particles", n_classes=4)
    shutil.copy(tmp_path / "particles" / "run_it010_data.star", tmp_path / "run_it025_data.star")
    for k in range(4):
        write_volume(tmp_path / f"run_it025_class{k + 1:03d}.mrc", np.zeros((8, 8, 8), np.float32), 3.54)
    results = read_3d_results(tmp_path)
    assert results.iteration == 25 and results.sampling_star is None
    np.testing.assert_allclose(results.classes["distribution"], [0.055685, 0.033127, 0.072245, 0.838943])
    assert np.isfinite(results.spectra[3]["ssnr"]).all() and np.isfinite(results.spectra[3]["tau2"]).all()
