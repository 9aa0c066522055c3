import gzip
import re

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given

from relion4plugin.errors import UserError
from relion4plugin.files import _star_read
from relion4plugin.files.star import read_star, write_star


def star(tmp_path, text):
    path = tmp_path / "in.star"
    path.write_text(text)
    return path


LOOP = "data_particles\n\nloop_\n_rlnImageName #1\n_rlnCoordinateX #2\n_rlnClassNumber #3\n"


def test_types_of_columns(tmp_path):
    table = read_star(star(tmp_path, LOOP + " 000001@a.mrcs 1.5 3\n 000002@a.mrcs 2e3 4\n\n"))["particles"]
    assert table["rlnImageName"].tolist() == ["000001@a.mrcs", "000002@a.mrcs"]
    assert table["rlnCoordinateX"].tolist() == [1.5, 2000.0]
    assert table["rlnClassNumber"].dtype == np.int64


def test_names_that_look_like_numbers_stay_text(tmp_path):
    text = "data_\nloop_\n_rlnMicrographName\n_rlnGroupName\n_rlnVoltage\n0012 001 300\n0013 nan 300\n"
    table = read_star(star(tmp_path, text))[""]
    assert table["rlnMicrographName"].tolist() == ["0012", "0013"]
    assert table["rlnGroupName"].tolist() == ["001", "nan"]


def test_one_word_makes_a_column_text(tmp_path):
    table = read_star(star(tmp_path, "data_a\nloop_\n_x\n_y\n1 True\n007 False\nthree True\n"))["a"]
    assert table["x"].tolist() == ["1", "007", "three"]
    assert table["y"].tolist() == ["True", "False", "True"]


def test_not_a_number_and_infinity(tmp_path):
    table = read_star(star(tmp_path, "data_a\nloop_\n_x\n_y\n1.5 inf\n-nan -inf\n"))["a"]
    assert np.isnan(table["x"][1])
    assert table["y"].tolist() == [np.inf, -np.inf]


def test_list_block_and_quotes(tmp_path):
    text = (
        "data_general\n\n_rlnCurrentIteration 12\n_rlnPixelSize   3.54\n"
        '_rlnComment "two words"\n_rlnTau2FudgeScheme ""\n_rlnImageName 7\n_rlnX \'5\'\n'
    )
    block = read_star(star(tmp_path, text))["general"]
    assert block == {
        "rlnCurrentIteration": 12,
        "rlnPixelSize": 3.54,
        "rlnComment": "two words",
        "rlnTau2FudgeScheme": "",
        "rlnImageName": "7",
        "rlnX": "5",
    }


def test_quotes_in_rows(tmp_path):
    rows = "\"a b\" 1 'it''s' \nCTFFIND's 2 \"\"\n'say \"yes\" now' 3 d\"e\n"
    table = read_star(star(tmp_path, "data_a\nloop_\n_x\n_y\n_z\n" + rows))["a"]
    assert table["x"].tolist() == ["a b", "CTFFIND's", 'say "yes" now']
    assert table["y"].tolist() == [1, 2, 3]
    assert table["z"].tolist() == ["it''s", "", 'd"e']


def test_two_column_tables_may_lack_the_value(tmp_path):
    text = "data_joboptions_values\nloop_\n_rlnJobOptionVariable #1\n_rlnJobOptionValue #2\nfn_img particles.star\nother_args\nnr_mpi 1\n\n"
    table = read_star(star(tmp_path, text))["joboptions_values"]
    assert table["rlnJobOptionValue"].tolist() == ["particles.star", "", "1"]


def test_layouts_of_other_programs(tmp_path):
    """CR LF, labels without numbers, tabs, a blank line behind the header, no blank line before the next table, comments."""
    text = (
        "# by hand\r\ndata_optics\r\nloop_\r\n_rlnOpticsGroup\r\n_rlnOpticsGroupName\r\n\r\n1\tone\r\n"
        "data_particles\r\nloop_\r\n_rlnImageName\r\n1@a.mrcs\r\n \r\n# end"
    )
    blocks = read_star(star(tmp_path, text))
    assert list(blocks) == ["optics", "particles"]
    assert blocks["optics"].to_dict("list") == {"rlnOpticsGroup": [1], "rlnOpticsGroupName": ["one"]}
    assert blocks["particles"]["rlnImageName"].tolist() == ["1@a.mrcs"]


def test_a_row_may_begin_like_a_table_name(tmp_path):
    table = read_star(star(tmp_path, "data_a\nloop_\n_rlnMicrographName\n_y\ndata_1.mrc 1\ndata_2.mrc 2\n"))["a"]
    assert table["rlnMicrographName"].tolist() == ["data_1.mrc", "data_2.mrc"]


def test_empty_loop_and_empty_table(tmp_path):
    blocks = read_star(star(tmp_path, "data_a\nloop_\n_rlnImageName\n\ndata_b\n\ndata_c\n_x 1\n"))
    assert len(blocks["a"]) == 0 and list(blocks["a"]) == ["rlnImageName"]
    assert blocks["b"] == {} and blocks["c"] == {"x": 1}


def test_gzip(tmp_path):
    path = tmp_path / "a.star.gz"
    path.write_bytes(gzip.compress(b"data_a\n_x 1\n"))
    assert read_star(path) == {"a": {"x": 1}}


def test_line_counting_over_many_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(_star_read, "_COUNTED_BYTES", 7)
    good = "".join(f"{i} {i * 0.5} w\n" for i in range(50))
    assert len(read_star(star(tmp_path, "data_a\nloop_\n_x\n_y\n_z\n" + good))["a"]) == 50
    with pytest.raises(UserError, match="line 56: 2 values, expected 3"):
        read_star(star(tmp_path, "data_a\nloop_\n_x\n_y\n_z\n" + good + "1 2\n3 4 5\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LOOP + "1@a 2 3\n1@a 2\n", "line 8: 2 values, expected 3"),
        (LOOP + "1@a 2 3\n1@a 2 3 4\n", "line 8: 4 values, expected 3"),
        (LOOP + "1@a 2 3 4\n", "line 7: 4 values, expected 3"),
        (LOOP + "1@a 2 3\n'b c' 2\n", "line 8: 2 values, expected 3"),
        (LOOP + "1@a 2 3\n\n2@a 2 3\n", "line 9: unexpected text '2@a 2 3' outside a table"),
        (LOOP + "1@a 2 3\n# note\n2@a 2 3\n", "line 9: unexpected text"),
        ("x,y\n1,2\n", "line 1: unexpected text 'x,y' before the first data_ block"),
        ("", "no table in this file"),
        ("data_a\nloop_\n1 2\n", "line 3: loop_ without labels"),
        ("data_a\nloop_\n_x\n_x\n1 2\n", "label _x stands twice"),
        ("data_a\n_x\n", "line 2: _x has no value"),
        ("data_a\n_x 1\nloop_\n_y\n1\n", "line 3: unexpected text 'loop_'"),
    ],
)
def test_unreadable_files_name_file_and_line(tmp_path, text, message):
    path = star(tmp_path, text)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        read_star(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"data_a\n_x \0\0", b"\xff\xfe\x00\x01data_", gzip.compress(b"data_a\n_x 1\n" * 50)[:20]])
def test_binary_files(tmp_path, content):
    path = tmp_path / "a.star"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"not a STAR file|damaged gzip"):
        read_star(path)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_star(tmp_path / "none.star")
    with pytest.raises(UserError, match="cannot be read"):
        read_star(tmp_path)


def test_numbers_as_relion_prints_them(tmp_path):
    table = pd.DataFrame({"f": [1.5, -1.5, 2e-4, -2e-4, 123456.7, -1e6, 0.0], "i": range(7), "b": [True] * 7, "s": list("abcdefg")})
    write_star(tmp_path / "a.star", {"t": table}, comment="made by a test\ntwo lines")
    assert (tmp_path / "a.star").read_text() == (
        "# made by a test\n# two lines\n\n# version 30001\n\ndata_t\n\nloop_ \n_f #1 \n_i #2 \n_b #3 \n_s #4 \n"
        "    1.500000            0            1          a \n"
        "    -1.50000            1            1          b \n"
        "2.000000e-04            2            1          c \n"
        "-2.00000e-04            3            1          d \n"
        "1.234567e+05            4            1          e \n"
        "-1.00000e+06            5            1          f \n"
        "    0.000000            6            1          g \n"
        " \n"
    )


def test_tables_without_rows_are_left_out(tmp_path):
    write_star(tmp_path / "a.star", {"empty": pd.DataFrame({"x": []}), "nothing": {}, "t": {"x": 1}})
    assert list(read_star(tmp_path / "a.star")) == ["t"]
    write_star(tmp_path / "a.star", {"t": pd.DataFrame({"rlnImageName": [], "x": []}), "nothing": {}})
    alone = read_star(tmp_path / "a.star")
    assert list(alone) == ["t"] and list(alone["t"]) == ["rlnImageName", "x"] and len(alone["t"]) == 0


@pytest.mark.parametrize("text", ["a\nb", "both \" ' kinds' of\" quotes"])
def test_text_that_cannot_be_stored(tmp_path, text):
    with pytest.raises(UserError, match="cannot be stored"):
        write_star(tmp_path / "a.star", {"t": {"x": text}})
    assert list(tmp_path.iterdir()) == []


def _storable(text):
    return not ('" ' in text and "' " in text) and "  " not in text


WORDS = st.text(st.sampled_from("ab01@/._-\"'#;é "), max_size=9).filter(_storable) | st.sampled_from(
    ["data_x", "loop_", "_x", "", "7", "1e5"]
)
NUMBERS = st.floats(-1e12, 1e12, allow_nan=False).map(lambda v: float(f"{v:.4e}"))


@given(st.lists(st.tuples(WORDS, NUMBERS, st.integers(-(10**9), 10**9), st.booleans(), WORDS), min_size=1, max_size=8))
def test_a_table_survives_writing_and_reading(tmp_path_factory, rows):
    table = pd.DataFrame(rows, columns=["rlnMicrographName", "rlnDefocusU", "rlnClassNumber", "rlnFlag", "rlnGroupName"])
    path = tmp_path_factory.mktemp("s") / "a.star"
    write_star(path, {"one": table, "two": table.iloc[0].to_dict()})
    blocks = read_star(path)
    back = blocks["one"]
    for label in ("rlnMicrographName", "rlnGroupName"):
        assert back[label].tolist() == table[label].tolist()
    np.testing.assert_allclose(back["rlnDefocusU"], table["rlnDefocusU"], rtol=1e-3, atol=0)
    assert back["rlnClassNumber"].tolist() == table["rlnClassNumber"].tolist()
    assert back["rlnFlag"].tolist() == [int(flag) for flag in table["rlnFlag"]]
    assert blocks["two"]["rlnMicrographName"] == rows[0][0]
    assert blocks["two"]["rlnClassNumber"] == rows[0][2]


CELLS = st.sampled_from(["1", "-2.5", "0007", "1e5", "nan", "inf", "x", "a1", "True", "3.", "-", '"a b"', "'5'", '""', "it's", '"x"y z"'])


def _slow_table(rows, labels):
    """Word by word: what the fast reader must give."""
    columns = {}
    for label, cells in zip(labels, zip(*rows, strict=True), strict=True):
        quoted = [cell[0] in "\"'" for cell in cells]
        words = [cell[1:-1] if q else cell for cell, q in zip(cells, quoted, strict=True)]
        try:
            numbers = [float(word) for word in words]
            integers = all(word.lstrip("-").isdecimal() for word in words)
            columns[label] = np.array(numbers, dtype=np.int64 if integers else np.float64)
        except ValueError:
            columns[label] = pd.Series(words, dtype=object)
        if any(quoted):
            columns[label] = pd.Series(words, dtype=object)
    return pd.DataFrame(columns)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=6)))
def test_the_reader_agrees_with_a_slow_one(tmp_path_factory, rows):
    labels = [f"x{i}" for i in range(len(rows[0]))]
    path = tmp_path_factory.mktemp("s") / "a.star"
    path.write_text("data_a\nloop_\n" + "".join(f"_{label}\n" for label in labels) + "\n".join("  ".join(row) for row in rows) + "\n")
    pd.testing.assert_frame_equal(read_star(path)["a"], _slow_table(rows, labels), check_column_type=False)


def _comparable(text):
    """RELION's text without what is not data: version numbers, comments, the sign of nan."""
    lines = [line for line in text.splitlines() if not line.startswith("# ")]
    return [line.replace("-nan", " nan") for line in lines]


@pytest.mark.parametrize(
    "name",
    [
        "class2d/bgal_relion4_vdam_k25/run_it200_data.star",
        "class2d/bgal_empiar10204_relion5_em/run_it025_model.star",
        "class2d/bgal_empiar10204_relion5_em/run_it025_data.star.gz",
        "class2d/bgal_empiar10204_relion5_em/run_it025_sampling.star",
        "class2d/bgal_empiar10204_relion5_em/job_pipeline.star",
        "star/relion31_tutorial_bgal/Class2D/job008/run_it025_optimiser.star",
        "star/relion31_tutorial_bgal/Extract/job007/particles.star",
        "star/relion40_em_testdata/run_it025_model.star",
        "star/relion40_em_testdata/job.star",
    ],
)
def test_files_of_relion_are_rewritten_byte_for_byte(shared_data, tmp_path, name):
    path = shared_data / name
    write_star(tmp_path / "out.star", read_star(path))
    raw = path.read_bytes()
    original = (gzip.decompress(raw) if name.endswith("gz") else raw).decode()
    assert _comparable((tmp_path / "out.star").read_text()) == _comparable(original)


def test_every_real_file_is_read_or_refused_with_its_line(shared_data):
    """RELION 3.1 wrote a tab inside an unquoted value of some job.star files; RELION refuses their rows too."""
    files = [path for folder in ("star", "particles", "class2d") for path in (shared_data / folder).rglob("*.star*")]
    refused = []
    for path in files:
        try:
            blocks = read_star(path)
        except UserError as error:
            refused.append(str(error))
        else:
            assert all(len(block) for block in blocks.values()), path
    assert len(files) > 100
    assert len(refused) < 10
    assert all(re.search(r"job\.star, line \d+: 12 values, expected 11", message) for message in refused)
