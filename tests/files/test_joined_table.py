from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files import joined_table
from relion4plugin.files.joined_table import JoinedTable
from relion4plugin.files.star import read_star, write_star

OPTICS = {"optics": pd.DataFrame({"rlnOpticsGroup": [1], "rlnVoltage": [300.0]})}


def piece(folder: Path, number: int, n_rows: int = 3, **more) -> Path:
    rng = np.random.default_rng(number)
    names = [f"{i + 1:06d}@m{number}.mrcs" for i in range(n_rows)]
    table = pd.DataFrame({"rlnCoordinateX": rng.normal(0, 1000, n_rows), "rlnImageName": pd.Series(names, dtype=object), **more})
    path = folder / f"m{number}_extract.star"
    write_star(path, {"images": table})
    return path


def expected(files: dict[str, Path]) -> pd.DataFrame:
    return pd.concat([read_star(path)["images"] for path in files.values()], ignore_index=True)


def test_joined_is_what_the_files_hold(tmp_path):
    files = {f"m{i}": piece(tmp_path, i, i) for i in range(1, 6)}
    joined = JoinedTable(tmp_path / "particles.star", "particles")
    assert joined.write(OPTICS, files) == 15
    found = read_star(tmp_path / "particles.star")
    pd.testing.assert_frame_equal(found["particles"], expected(files))
    assert found["optics"]["rlnVoltage"].tolist() == [300.0]


def test_as_write_star_would_have_written_it(tmp_path):
    files = {f"m{i}": piece(tmp_path, i) for i in range(3)}
    JoinedTable(tmp_path / "particles.star", "particles").write(OPTICS, files)
    write_star(tmp_path / "whole.star", {**OPTICS, "particles": expected(files)})
    assert (tmp_path / "particles.star").read_bytes() == (tmp_path / "whole.star").read_bytes()


def test_known_files_are_not_opened_again_and_new_ones_may_stand_anywhere(tmp_path, monkeypatch):
    files = {name: piece(tmp_path, i) for i, name in enumerate("bdf")}
    JoinedTable(tmp_path / "particles.star", "particles").write(OPTICS, files)
    more = {name: files.get(name) or piece(tmp_path, 10 + i) for i, name in enumerate("abcdefg")}
    wanted = expected(more)
    opened: list[str] = []
    locate = joined_table._locate
    monkeypatch.setattr(joined_table, "_locate", lambda path: opened.append(path.name) or locate(path))
    again = JoinedTable(tmp_path / "particles.star", "particles")
    assert again.write(OPTICS, more) == 21
    assert sorted(opened) == ["m10_extract.star", "m12_extract.star", "m14_extract.star", "m16_extract.star"]
    pd.testing.assert_frame_equal(read_star(tmp_path / "particles.star")["particles"], wanted)
    opened.clear()
    fewer = {name: more[name] for name in "gca"}
    assert again.write(OPTICS, fewer) == 9 and not opened
    pd.testing.assert_frame_equal(read_star(tmp_path / "particles.star")["particles"], expected(fewer))


def test_a_list_that_was_changed_is_made_from_the_files(tmp_path):
    files = {name: piece(tmp_path, i) for i, name in enumerate("ab")}
    path = tmp_path / "particles.star"
    JoinedTable(path, "particles").write(OPTICS, files)
    path.write_text(path.read_text().replace("000001@m0", "000009@m0"))
    JoinedTable(path, "particles").write(OPTICS, files)
    pd.testing.assert_frame_equal(read_star(path)["particles"], expected(files))


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_text("{"), lambda p: p.write_text('{"size": 1}')])
def test_a_lost_or_damaged_index_costs_only_time(tmp_path, damage):
    files = {name: piece(tmp_path, i) for i, name in enumerate("ab")}
    path = tmp_path / "particles.star"
    JoinedTable(path, "particles").write(OPTICS, files)
    damage(tmp_path / "particles_index.json")
    assert JoinedTable(path, "particles").write(OPTICS, files) == 6


def test_a_file_that_was_written_again_is_read_again(tmp_path):
    files = {name: piece(tmp_path, i) for i, name in enumerate("ab")}
    joined = JoinedTable(tmp_path / "particles.star", "particles")
    joined.write(OPTICS, files)
    write_star(files["a"], {"images": read_star(files["b"])["images"]})
    joined.forget("a")
    joined.write(OPTICS, files)
    pd.testing.assert_frame_equal(read_star(tmp_path / "particles.star")["particles"], expected(files))


def test_columns_that_some_files_lack_are_filled(tmp_path):
    files = {"a": piece(tmp_path, 1, rlnClassNumber=[1, 2, 3]), "b": piece(tmp_path, 2, rlnMicrographName=["x", "y", "z"])}
    path = tmp_path / "particles.star"
    joined = JoinedTable(path, "particles")
    for _ in range(2):
        assert joined.write(OPTICS, files) == 6
        found = read_star(path)["particles"]
        assert found["rlnClassNumber"].tolist() == [1, 2, 3, 0, 0, 0]
        assert found["rlnMicrographName"].tolist() == ["", "", "", "x", "y", "z"]
    assert not (tmp_path / "particles_index.json").exists()


def test_files_without_rows_and_without_a_table(tmp_path):
    empty = piece(tmp_path, 1, 0)
    files = {"a": empty, "b": piece(tmp_path, 2)}
    assert JoinedTable(tmp_path / "particles.star", "particles").write(OPTICS, files) == 3
    empty.write_text("nothing\n")
    with pytest.raises(UserError, match=r"m1_extract\.star has no table"):
        JoinedTable(tmp_path / "other.star", "particles").write(OPTICS, files)
