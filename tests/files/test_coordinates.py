from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.coordinates import X, Y, read_coordinate_list, read_coordinates, write_coordinate_list
from relion4plugin.files.job_names import output_root, without_job
from relion4plugin.files.star import write_star


def picks(path: Path, x=(1.5, 2.0), y=(3.0, 4.0), **more) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_star(path, {"": pd.DataFrame({X: list(x), Y: list(y), **more})})
    return path


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("MotionCorr/job002/Movies/May08_03.05.02.mrc", "Movies/May08_03.05.02"),
        ("Movies/a.b/x.mrc", "Movies/a.b/x"),
        ("old/Project/MotionCorr/job1234/x.tiff", "x"),
        ("MotionCorr/job02/x.mrc", "MotionCorr/job02/x"),  # RELION's job numbers have three digits or more
        ("/data/x.mrc", "data/x"),
        ("../other/x.mrc", "other/x"),
        ("x", "x"),
    ],
)
def test_where_the_output_of_an_input_goes(name, root):
    assert output_root(Path("Extract/job006"), name) == Path("Extract/job006") / root


def test_only_the_first_job_directory_is_cut_off():
    assert without_job("MotionCorr/job002/AutoPick/job003/x.mrc") == "AutoPick/job003/x.mrc"


def test_list_of_relion_4(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    picks(tmp_path / "AutoPick/job005/Movies/m1_autopick.star")
    write_coordinate_list("AutoPick/job005/autopick.star", ["MotionCorr/job002/Movies/m1.mrc"], ["AutoPick/job005/Movies/m1_autopick.star"])
    found = read_coordinate_list("AutoPick/job005/autopick.star")
    for name in ("MotionCorr/job002/Movies/m1.mrc", "MotionCorr/job009/Movies/m1.mrc", "Movies/m1.mrc"):
        assert found.file_of(name) == Path("AutoPick/job005/Movies/m1_autopick.star")
    assert found.file_of("Movies/m2.mrc") is None
    assert found.not_among(["Movies/m2.mrc"]) == ("Movies/m1.mrc",)
    assert found.not_among(["MotionCorr/job009/Movies/m1.mrc"]) == ()


def test_files_beside_the_list_are_found(tmp_path):
    write_coordinate_list(tmp_path / "manualpick.star", ["m1.mrc"], ["m1_manualpick.star"])
    picks(tmp_path / "m1_manualpick.star")
    assert read_coordinate_list(tmp_path / "manualpick.star").file_of("m1.mrc") == tmp_path / "m1_manualpick.star"


def test_list_of_relion_31(tmp_path):
    (tmp_path / "coords_suffix_autopick.star").write_text("CtfFind/job003/micrographs_ctf.star\n")
    picks(tmp_path / "Movies" / "m.1_autopick.star")
    found = read_coordinate_list(tmp_path / "coords_suffix_autopick.star")
    assert found.file_of("MotionCorr/job002/Movies/m.1.mrc") == tmp_path / "Movies/m.1_autopick.star"
    assert found.file_of("MotionCorr/job002/Movies/m2.mrc") is None


def test_real_lists_and_picks(shared_data):
    folder = shared_data / "micrographs" / "apoferritin_empiar10146"
    found = read_coordinate_list(folder / "manualpick.star")
    path = found.file_of("May08_03.05.02.mrc")
    assert path is not None and read_coordinates(path)[[X, Y]].iloc[0].tolist() == [235.0, 746.0]
    table = read_coordinates(shared_data / "micrographs/ucsf_stack_1142/Ucsf_stack_1142_DW_autopick.star")
    assert list(table.columns) == [X, Y, "rlnAutopickFigureOfMerit", "rlnClassNumber", "rlnAnglePsi"]
    assert table[X].iloc[0] == 839.125024


def test_whole_numbers_become_floats_and_other_columns_stay(tmp_path):
    table = read_coordinates(picks(tmp_path / "a.star", (1, 2), (3, 4), rlnClassNumber=[7, 8]))
    assert table[X].dtype == table[Y].dtype == np.float64 and table["rlnClassNumber"].tolist() == [7, 8]


def test_no_picks(tmp_path):
    assert len(read_coordinates(picks(tmp_path / "a.star", (), ()))) == 0


def test_box_files_hold_corners_and_text_files_centres(tmp_path):
    (tmp_path / "m.box").write_text("36 40 128 128 -3\n\n100 200 64 32\n")
    assert read_coordinates(tmp_path / "m.box").to_numpy().tolist() == [[100.0, 104.0], [132.0, 216.0]]
    (tmp_path / "m.txt").write_text("10.5 20\n30 40 0.9\n")
    assert read_coordinates(tmp_path / "m.txt").to_numpy().tolist() == [[10.5, 20.0], [30.0, 40.0]]


@pytest.mark.parametrize(
    ("write", "read", "message"),
    [
        (lambda p: None, read_coordinates, "no such file"),
        (lambda p: None, read_coordinate_list, "no such file"),
        (lambda p: picks(p), read_coordinate_list, "lists no coordinates"),
        (lambda p: write_star(p, {"": pd.DataFrame({"rlnAnglePsi": [1.0]})}), read_coordinates, "no columns rlnCoordinateX"),
        (lambda p: picks(p, ("a", 1.0)), read_coordinates, "pick 1 has rlnCoordinateX 'a'"),
        (lambda p: picks(p, (1.0, np.nan)), read_coordinates, "pick 2 has rlnCoordinateX"),
    ],
)
def test_mistakes_are_said_in_one_line(tmp_path, write, read, message):
    path = tmp_path / "a.star"
    write(path)
    with pytest.raises(UserError, match=message):
        read(path)


def test_text_that_is_no_coordinates(tmp_path):
    (tmp_path / "m.box").write_text("36 40\n")
    with pytest.raises(UserError, match="expected 4 numbers in each row"):
        read_coordinates(tmp_path / "m.box")
