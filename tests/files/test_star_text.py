import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.files.star_text import count_rows, float_text, list_block, loop, parse_tables, read_tables, stored_text, tables_text

LOOP = "data_a\n\nloop_\n_x #1\n_y #2\n_z #3\n"


def table(tmp_path, text, name="a"):
    path = tmp_path / "in.star"
    path.write_text(text)
    return read_tables(path)[name]


def test_rows_with_their_lines_and_version(tmp_path):
    found = table(tmp_path, "\n# version 50001\n\n" + LOOP + "1 2 3\n 4   5\t6 \n\n")
    assert found.rows == (("1", "2", "3"), ("4", "5", "6"))
    assert (found.lines, found.version) == ((10, 11), 50001)
    assert list(found.columns("z", "none")) == [("3", ""), ("6", "")]


def test_quotes_and_blanks_inside(tmp_path):
    found = table(tmp_path, LOOP + "\"two  words\" '' it's\n'a \"b' \"\" \"\tx\"\n")
    assert found.rows == (("two words", "", "it's"), ('a "b', "", " x"))


def test_a_missing_second_value_is_empty(tmp_path):
    assert table(tmp_path, "data_a\nloop_\n_x\n_y\nname\nother 1\n").rows == (("name", ""), ("other", "1"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LOOP + "1 2\n", "line 7: 2 values, expected 3"),
        (LOOP + "1 2 3\n# note\n1 2 3\n", "line 9: unexpected text '1 2 3'"),
        ("data_a\nloop_\n1 2\n", "line 2: loop_ without labels"),
        ("data_a\n_x\n", "line 2: _x has no value"),
        ("nothing\n", "line 1: unexpected text"),
        ("", "no table"),
    ],
)
def test_damaged_text_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        table(tmp_path, text)


def test_first_of_two_tables_counts_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "in.star"
    path.write_bytes(b"data_a\r\n_x 1\r\n\r\ndata_a\r\n_x 2\r\n")
    assert read_tables(path)["a"].value("x") == "1"


def test_layout_is_that_of_relion():
    text = tables_text(
        [
            list_block("general", {"rlnName": "Schemes/a/", "rlnCounter": "7"}, numeric=("rlnCounter",)),
            loop("rows", ("rlnName", "rlnFlag"), [("a b", "0"), ("", "12")], numeric=("rlnFlag",)),
            loop("none", ("rlnName",), []),
        ]
    )
    assert text == (
        "\n# version 30001\n\ndata_general\n\n_rlnName               Schemes/a/\n_rlnCounter                       7\n \n"
        '\n# version 30001\n\ndata_rows\n\nloop_ \n_rlnName #1 \n_rlnFlag #2 \n     "a b"            0 \n        ""           12 \n \n'
    )


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)


@given(st.lists(st.tuples(WORDS, WORDS, WORDS), max_size=8))
def test_what_is_written_is_read_again(tmp_path_factory, rows):
    stored = []
    for row in rows:
        try:
            stored.append(tuple(stored_text(value) for value in row))
        except UserError:
            assert any('"' in value and "'" in value for value in row)
    tables = [list_block("g", {"k": "v"}), loop("a", ("x", "y", "z"), stored)]
    again = parse_tables(tables_text(tables), tmp_path_factory.getbasetemp())
    assert again["a"].rows if stored else "a" not in again
    assert not stored or list(again["a"].rows) == stored


@given(st.floats(allow_nan=False))
def test_floats_keep_their_value(value):
    assert float(float_text(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [(48.0, "   48.000000"), (1665273.0, "1.665273e+06"), (-1.5, "    -1.50000"), (math.inf, "         inf"), (0.0004, "4.000000e-04")],
)
def test_floats_look_like_relions(value, text):
    assert float_text(value) == text


@pytest.mark.parametrize("bad", ["a\nb", "a\x00", "\x7f", "\udc80", "a\" b' c"])
def test_texts_that_no_file_can_hold_are_refused(bad):
    with pytest.raises(UserError, match="cannot be stored"):
        stored_text(bad)


def test_reading_stops_where_told(tmp_path):
    path = tmp_path / "job.star"
    path.write_text("data_job\n_x 1\n\ndata_form\nloop_\n_a\n_b\n_c\n1\n")
    assert list(read_tables(path, before="data_form")) == ["job"]


def test_counting_agrees_with_reading(shared_data):
    paths = sorted((shared_data / "star").glob("**/*.star"))[::4]
    assert len(paths) > 20
    for path in paths:
        if path.name == "job.star":
            continue
        for name, block in read_star(path).items():
            assert count_rows(path, name) == (1 if isinstance(block, dict) else len(block)), (path, name)
        assert count_rows(path, "no_such_table") is None


def test_counting_a_table_without_rows(tmp_path):
    path = tmp_path / "in.star"
    for text in ("data_a\nloop_\n_x\n", "data_a\n\nloop_ \n_x #1 \n\ndata_b\nloop_\n_y\n1\n"):
        path.write_text(text)
        assert count_rows(path, "a") == 0
    assert count_rows(path, "b") == 1
