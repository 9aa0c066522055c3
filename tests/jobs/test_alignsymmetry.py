import json
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc, write_volume
from relion4plugin.files.star import write_star
from relion4plugin.jobs.alignsymmetry import AlignSymmetryParameters, from_options, relion_command, run, validate
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.parameters import to_job_options
from relion4plugin.postprocessing.align_symmetry import align_symmetry
from relion4plugin.progress import Silent


def four_blobs(n=32, symmetric=True):
    axis = np.arange(n) - n // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    points = [(7, 2, 3), (7, -2, -3), (-7, 2, -3), (-7, -2, 3)] if symmetric else [(7, 2, 3), (0, -6, 1), (3, 3, -6), (-4, 0, 0)]
    return sum(np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / 6) for a, b, c in points).astype(np.float32)


@pytest.fixture
def map_path(tmp_path):
    write_volume(tmp_path / "map.mrc", four_blobs(), 4.0)
    return tmp_path / "map.mrc"


@pytest.fixture
def model_path(tmp_path):
    for k, symmetric in ((1, False), (2, True)):
        write_volume(tmp_path / f"run_it010_class{k:03d}.mrc", four_blobs(symmetric=symmetric), 4.0)
    table = pd.DataFrame(
        {
            "rlnReferenceImage": ["run_it010_class001.mrc", "run_it010_class002.mrc"],
            "rlnClassDistribution": [0.8, 0.2],
            "rlnEstimatedResolution": [15.0, 12.0],
        }
    )
    write_star(tmp_path / "run_it010_model.star", {"model_general": {"rlnPixelSize": 4.0}, "model_classes": table})
    return tmp_path / "run_it010_model.star"


def test_a_job_directory_is_left(map_path, tmp_path):
    out = run(AlignSymmetryParameters(fn_in=str(map_path), sym_name="D2", apply_sym=True), tmp_path / "job", Silent())
    assert out.symmetry == "D2" and out.score > 0.9 and out.remarks == ()
    assert (tmp_path / "job" / "RELION_JOB_EXIT_SUCCESS").exists()
    assert read_job_star(tmp_path / "job" / "job.star").type_label == "relion.alignsymmetry"
    summary = json.loads((tmp_path / "job" / "symmetry.json").read_text())
    assert summary["symmetry"] == "D2" and np.shape(summary["rotation"]) == (3, 3)
    expected = align_symmetry(four_blobs(), 4.0, "D2").symmetrised
    written, pixel_size = read_mrc(out.map)
    np.testing.assert_array_equal(written, expected)
    assert pixel_size == 4.0
    with pytest.raises(UserError, match="holds results"):
        run(AlignSymmetryParameters(fn_in=str(map_path), sym_name="D2"), tmp_path / "job", Silent())


def test_without_apply_sym_the_map_is_only_turned(map_path, tmp_path):
    run(AlignSymmetryParameters(fn_in=str(map_path), sym_name="D2"), tmp_path / "a.mrc", Silent())
    np.testing.assert_array_equal(read_mrc(tmp_path / "a.mrc")[0], align_symmetry(four_blobs(), 4.0, "D2").volume)


@pytest.mark.parametrize(
    ("choice", "expected"), [({}, 2), ({"select_largest_class": True}, 1), ({"select_best_class": True}, 2)]
)
def test_the_class_is_chosen(choice, expected, model_path, tmp_path):
    out = run(AlignSymmetryParameters(fn_in=str(model_path), sym_name="D2", **choice), tmp_path / "o.mrc", Silent())
    assert out.class_number == expected
    assert bool(out.remarks) == (expected == 1)  # D2 is doubtful in class 1


def test_c1_copies_the_selected_class(model_path, tmp_path):
    with pytest.raises(UserError, match="C1 cannot choose"):
        run(AlignSymmetryParameters(fn_in=str(model_path), sym_name="C1"), tmp_path / "o.mrc", Silent())
    chosen = AlignSymmetryParameters(fn_in=str(model_path), sym_name="C1", select_largest_class=True, apply_sym=True)
    run(chosen, tmp_path / "o.mrc", Silent())
    np.testing.assert_array_equal(read_mrc(tmp_path / "o.mrc")[0], four_blobs(symmetric=False))


def test_the_group_is_found_and_compared(map_path, tmp_path, capsys):
    words = ["symmetry", "--i", str(map_path), "--find", "--sym", "C3", "--candidates", "C2,C3,D2", "--json"]
    assert main([*words, "--o", str(tmp_path / "o.mrc"), "--quiet"]) == 0
    captured = capsys.readouterr()
    outputs = json.loads(captured.out)["outputs"]
    assert outputs["symmetry"] == "D2"
    assert "note: found D2, not C3" in captured.err


def test_options_survive_job_star(map_path):
    changed = AlignSymmetryParameters(str(map_path), 2.5, True, False, "D7", True, "C2,D7", True, True, 12.0)
    assert len(fields(changed)) == 10
    assert from_options(to_job_options(changed)) == changed


def test_relions_command(map_path, tmp_path):
    parameters = AlignSymmetryParameters(fn_in=str(map_path), sym_name="D2", apply_sym=True, select_largest_class=True)
    words = relion_command(parameters, tmp_path / "job")
    assert words[0] == "relion_align_symmetry"
    assert words[-2:] == ["--apply_sym", "--select_largest_class"]
    with pytest.raises(UserError, match="cannot find"):
        relion_command(AlignSymmetryParameters(fn_in=str(map_path), find=True), tmp_path / "job")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--i", "gone.mrc", "--sym", "D2"], "gone.mrc: no such file"),
        (["--sym", "D2"], "no input map"),
        (["--i", "MAP"], "no point group"),
        (["--i", "MAP", "--sym", "Q7"], "symmetry 'Q7'"),
        (["--i", "MAP", "--find", "--candidates", "C2,Z"], "symmetry 'Z'"),
        (["--i", "MAP", "--sym", "D2", "--select_largest_class"], "there is no class to select"),
        (["--i", "MAP", "--sym", "D2", "--select_largest_class", "--select_best_class"], "choose one"),
        (["--i", "BOX", "--sym", "D2"], "expected a cube"),
        (["--i", "MAP", "--sym", "D2", "--o", "/nowhere/o.mrc"], "no folder /nowhere"),
        (["--i", "MAP", "--sym", "D2", "--o", "MAP"], "exists"),
    ],
)
def test_mistakes_are_one_line(options, message, map_path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_volume("box.mrc", np.random.default_rng(0).normal(size=(20, 24, 24)), 4.0)
    words = [{"MAP": "map.mrc", "BOX": "box.mrc"}.get(word, word) for word in options]
    words += [] if "--o" in words else ["--o", "job"]
    assert main(["symmetry", *words, "--quiet"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "job").exists()


def test_remarks_on_options_without_effect(map_path):
    assert "no effect" in validate(AlignSymmetryParameters(fn_in=str(map_path), sym_name="D2", candidates="C2"))[0]
