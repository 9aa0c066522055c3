import subprocess
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star, write_star
from relion4plugin.jobs import joinstar
from relion4plugin.jobs.joinstar_parameters import JoinStarParameters
from relion4plugin.jobs.output_nodes import read_output_nodes
from relion4plugin.jobs.selectvalues import from_options, run, split_rows, usual
from relion4plugin.jobs.selectvalues_parameters import SelectValuesParameters
from relion4plugin.progress import Silent

BOX = 8


def optics(names=("og1",), voltage=300.0) -> pd.DataFrame:
    n = len(names)
    return pd.DataFrame(
        {
            "rlnOpticsGroupName": list(names),
            "rlnOpticsGroup": range(1, n + 1),
            "rlnVoltage": [voltage] * n,
            "rlnSphericalAberration": [2.7] * n,
            "rlnAmplitudeContrast": [0.1] * n,
            "rlnImagePixelSize": [2.0] * n,
            "rlnImageSize": [BOX] * n,
            "rlnImageDimensionality": [2] * n,
        }
    )


def particles(n: int, stack: str = "stack.mrcs", seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "rlnImageName": [f"{i + 1:06d}@{stack}" for i in range(n)],
            "rlnMicrographName": [f"mic{i % 3}.mrc" for i in range(n)],
            "rlnCoordinateX": rng.uniform(0, 60, n).round(2),
            "rlnCoordinateY": rng.uniform(0, 60, n).round(2),
            "rlnOriginXAngst": rng.normal(0, 3, n).round(2),
            "rlnOriginYAngst": rng.normal(0, 3, n).round(2),
            "rlnDefocusU": rng.uniform(5000, 30000, n).round(1),
            "rlnOpticsGroup": [1] * n,
        }
    )


@pytest.fixture
def star(tmp_path, monkeypatch) -> str:
    monkeypatch.chdir(tmp_path)
    write_star("p.star", {"optics": optics(), "particles": particles(60)})
    return "p.star"


def names(path: Path | str) -> list[str]:
    return list(read_star(path)["particles"]["rlnImageName"])


def values_of(**changes) -> SelectValuesParameters:
    start = SelectValuesParameters(fn_data="p.star", do_select_values=True, select_label="rlnDefocusU")
    return replace(start, select_minval=10000.0, select_maxval=20000.0, **changes)


def relion(*words: str) -> None:
    """Run RELION's program as its job does; its output directory must exist."""
    subprocess.run(["relion_star_handler", *words], check=True, capture_output=True)


def test_rows_in_the_range_are_kept_in_order_with_everything_around_them(star):
    all_rows = read_star(star)["particles"]
    limits = sorted(all_rows["rlnDefocusU"])[10], sorted(all_rows["rlnDefocusU"])[40]
    counts = run(values_of(), Path("Select/job001"), Silent()).counts
    wanted = all_rows[(all_rows["rlnDefocusU"] >= 10000) & (all_rows["rlnDefocusU"] <= 20000)]
    assert counts == {Path("Select/job001/particles.star"): len(wanted)}
    written = read_star("Select/job001/particles.star")
    pd.testing.assert_frame_equal(written["particles"], wanted.reset_index(drop=True), check_dtype=False)
    pd.testing.assert_frame_equal(written["optics"], read_star(star)["optics"])
    # both limits belong to the range
    run(replace(values_of(), select_minval=limits[0], select_maxval=limits[1]), Path("Select/job002"), Silent())
    assert len(names("Select/job002/particles.star")) == 31


def test_nothing_selected_leaves_a_file_without_rows(star):
    selected = run(replace(values_of(), select_minval=1e6, select_maxval=2e6), Path("Select/job001"), Silent())
    assert selected.remarks == ("no row was selected",)
    assert set(read_star("Select/job001/particles.star")) == {"optics"}


def test_micrographs_are_selected_by_default_resolution(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame({"rlnMicrographName": ["a.mrc", "b.mrc", "c.mrc"], "rlnCtfMaxResolution": [4.0, 25.0, float("nan")]})
    write_star("m.star", {"optics": optics(), "micrographs": rows})
    options = {"fn_mic": "m.star", "do_select_values": "Yes", "select_minval": "-9999.", "select_maxval": "6"}
    run(from_options(options), Path("out"), Silent())
    assert list(read_star("out/micrographs.star")["micrographs"]["rlnMicrographName"]) == ["a.mrc"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"select_label": "rlnNoSuchThing"}, "p.star: there is no column rlnNoSuchThing; choose one of rlnImageName"),
        ({"select_label": "rlnMicrographName"}, "p.star: column rlnMicrographName does not hold numbers"),
        ({"fn_data": "q.star"}, "particles q.star: no such file"),
        ({"fn_data": ""}, "nothing to select from"),
        ({"do_split": True}, "exactly one of .*, not 2"),
        ({"do_select_values": False}, "exactly one of .*, not 0"),
        ({"select_minval": 30000.0}, "exchange them"),
        ({"do_select_values": False, "do_split": True, "split_size": 0}, "give one of them a value above 0"),
        ({"do_select_values": False, "do_remove_duplicates": True, "fn_data": "", "fn_mic": "p.star"}, "from particles only"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(star, changes, expected):
    with pytest.raises(UserError, match=expected) as caught:
        run(replace(values_of(), **changes), Path("Select/job001"), Silent())
    assert "\n" not in str(caught.value)
    assert not Path("Select").exists()


def test_an_earlier_result_is_replaced_only_on_demand(star):
    run(values_of(), Path("out"), Silent())
    with pytest.raises(UserError, match="holds results of an earlier run"):
        run(values_of(), Path("out"), Silent())
    run(replace(values_of(), select_maxval=11000.0), Path("out"), Silent(), overwrite=True)
    assert len(names("out/particles.star")) < 10


@pytest.mark.parametrize(
    ("n_rows", "n_subsets", "size", "expected"),
    [(10, -1, 4, [4, 4, 2]), (10, 3, -1, [4, 4, 2]), (10, 2, 3, [3, 3]), (2, 5, 1, [1, 1]), (0, -1, 4, []), (4, -1, 4, [4])],
)
def test_sizes_of_subsets(n_rows, n_subsets, size, expected):
    parts = split_rows(n_rows, n_subsets, size, None)
    assert [len(part) for part in parts] == expected
    together = np.concatenate([np.empty(0, int), *parts])
    np.testing.assert_array_equal(together, np.arange(len(together)))


def test_a_shuffle_repeats_and_loses_nothing():
    first, second = (np.concatenate(split_rows(50, 4, -1, 0)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert sorted(first) == list(range(50)) and list(first) != list(range(50))


def test_subsets_are_declared_as_files_of_the_job(star):
    split = SelectValuesParameters(fn_data=star, do_split=True, split_size=25)
    run(split, Path("Select/job004"), Silent())
    files = [f"Select/job004/particles_split{i}.star" for i in (1, 2, 3)]
    assert read_output_nodes(Path("Select/job004")) == dict.fromkeys(files, "ParticlesData.star.relion")
    assert [name for file in files for name in names(file)] == names(star)
    run(replace(split, split_size=40), Path("Select/job004"), Silent(), overwrite=True)
    assert not Path(files[2]).exists() and len(read_output_nodes(Path("Select/job004"))) == 2


def test_images_far_from_the_others_are_discarded(star):
    images = np.random.default_rng(1).normal(size=(60, BOX, BOX)).astype(np.float32)
    images[7] += 100
    images[20] *= 200
    with mrcfile.new("stack.mrcs", data=images) as mrc:
        mrc.voxel_size = 2.0
    run(SelectValuesParameters(fn_data=star, do_discard=True, discard_sigma=4.0), Path("out"), Silent())
    assert names("out/particles.star") == [name for i, name in enumerate(names(star)) if i not in (7, 20)]


def test_the_average_image_is_usual():
    assert usual(np.zeros(5), np.ones(5), 1.0).all()
    assert list(usual(np.array([0.0, 0, 0, 0, 10]), np.ones(5), 1.5)) == [True] * 4 + [False]


def test_duplicates_are_removed_as_by_relion_rule(star):
    rows = particles(60)
    run(SelectValuesParameters(fn_data=star, do_remove_duplicates=True, duplicate_threshold=9.0), Path("out"), Silent())
    x = rows["rlnCoordinateX"] * 2.0 - rows["rlnOriginXAngst"]
    y = rows["rlnCoordinateY"] * 2.0 - rows["rlnOriginYAngst"]
    kept = [
        i for i in range(60)
        if not any(
            rows["rlnMicrographName"][i] == rows["rlnMicrographName"][j] and np.hypot(x[i] - x[j], y[i] - y[j]) < 9.0
            for j in range(i + 1, 60)
        )
    ]  # fmt: skip
    assert 40 < len(kept) < 60
    assert names("out/particles.star") == [rows["rlnImageName"][i] for i in kept]


def test_different_pixel_sizes_need_one_that_is_given(star):
    two = optics(("og1", "og2")).assign(rlnImagePixelSize=[1.0, 2.0])
    write_star("p.star", {"optics": two, "particles": particles(6)})
    parameters = SelectValuesParameters(fn_data=star, do_remove_duplicates=True)
    with pytest.raises(UserError, match="different values of rlnImagePixelSize: give image_angpix"):
        run(parameters, Path("out"), Silent())
    run(replace(parameters, image_angpix=2.0), Path("out"), Silent())


@pytest.mark.relion
@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (values_of(), ("--select", "rlnDefocusU", "--minval", "10000", "--maxval", "20000")),
        (SelectValuesParameters(fn_data="p.star", do_remove_duplicates=True, duplicate_threshold=9.0), ("--remove_duplicates", "9")),
        (SelectValuesParameters(fn_data="p.star", do_remove_duplicates=True, duplicate_threshold=40.0), ("--remove_duplicates", "40")),
        (SelectValuesParameters(fn_data="p.star", do_discard=True, discard_sigma=1.5), ("--discard_on_stats", "--discard_sigma", "1.5")),
    ],
    ids=["values", "duplicates", "many duplicates", "statistics"],
)
def test_relion_selects_the_same_rows(star, parameters, words):
    with mrcfile.new("stack.mrcs", data=np.random.default_rng(1).normal(size=(60, BOX, BOX)).astype(np.float32)) as mrc:
        mrc.voxel_size = 2.0
    run(parameters, Path("ours"), Silent())
    Path("theirs").mkdir()
    relion("--i", star, "--o", "theirs/particles.star", *words)
    assert names("ours/particles.star") == names("theirs/particles.star")
    assert 5 < len(names("ours/particles.star")) < 60


@pytest.mark.relion
def test_relion_splits_in_the_same_way(star):
    run(SelectValuesParameters(fn_data=star, do_split=True, split_size=25), Path("ours"), Silent())
    Path("theirs").mkdir()
    relion("--i", star, "--o", "theirs/particles.star", "--split", "--size_split", "25")
    for i in (1, 2, 3):
        assert names(f"ours/particles_split{i}.star") == names(f"theirs/particles_split{i}.star")
    theirs = read_star("theirs/RELION_OUTPUT_NODES.star")["output_nodes"]  # RELION 3.1 numbers the kinds
    assert list(theirs["rlnPipeLineNodeName"]) == [f"theirs/particles_split{i}.star" for i in (1, 2, 3)]


def write_two(second_optics: pd.DataFrame) -> JoinStarParameters:
    write_star("a.star", {"optics": optics(("og1", "og2")), "particles": particles(4).assign(rlnOpticsGroup=[1, 2, 1, 2])})
    other = particles(3, "other.mrcs", seed=1).assign(rlnOpticsGroup=[2, 1, 2], rlnExtra=1.0)
    write_star("b.star", {"optics": second_optics, "particles": other})
    return JoinStarParameters(do_part=True, fn_part1="a.star", fn_part2="b.star")


def test_joined_files_share_optics_groups_of_one_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    joined = joinstar.run(write_two(optics(("og1", "og3"))), Path("JoinStar/job001"), Silent())
    written = read_star("JoinStar/job001/join_particles.star")
    assert joined.n_rows == 7 and list(written["optics"]["rlnOpticsGroupName"]) == ["og1", "og2", "og3"]
    assert list(written["optics"]["rlnOpticsGroup"]) == [1, 2, 3]
    assert list(written["particles"]["rlnOpticsGroup"]) == [1, 2, 1, 2, 3, 1, 3]
    assert "rlnExtra" not in written["particles"] and joined.remarks == ("columns that not all files have are left out: rlnExtra",)


def test_groups_of_one_name_must_be_equal(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"b.star: optics group og1 has rlnVoltage 200.0, but 300.0 in a file before it: rename the group"):
        joinstar.run(write_two(optics(("og1", "og3"), voltage=200.0)), Path("out"), Silent())
    assert not Path("out").exists()


def test_repeated_images_are_kept_and_said(star):
    parameters = JoinStarParameters(do_part=True, fn_part1=star, fn_part2=star)
    joined = joinstar.run(parameters, Path("out"), Silent())
    assert joined.n_rows == 120 and joined.remarks == ("60 values of rlnImageName occur more than once; all rows are kept",)


def test_files_of_different_kinds_do_not_join(star):
    write_star("m.star", {"optics": optics(), "micrographs": pd.DataFrame({"rlnMicrographName": ["a"], "rlnOpticsGroup": [1]})})
    with pytest.raises(UserError, match="join files of one kind"):
        joinstar.run(JoinStarParameters(do_part=True, fn_part1=star, fn_part2="m.star"), Path("out"), Silent())


@pytest.mark.relion
def test_relion_joins_in_the_same_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    joinstar.run(write_two(optics(("og1", "og3"))), Path("ours"), Silent())
    relion("--combine", "--i", " a.star b.star ", "--check_duplicates", "rlnImageName", "--o", "theirs.star")
    ours, theirs = read_star("ours/join_particles.star"), read_star("theirs.star")
    for name in ("optics", "particles"):
        pd.testing.assert_frame_equal(ours[name][list(theirs[name].columns)], theirs[name], check_dtype=False)
