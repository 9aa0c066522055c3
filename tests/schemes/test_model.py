import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import Edge, Scheme, SchemeJob, Variable, next_node
from relion4plugin.schemes.variables import (
    Kind,
    find_value,
    kinds_of,
    number_prefix,
    number_text,
    parse_value,
    shown_value,
    whole_number_text,
)
from tests.schemes.world import toy

EDGES = (Edge("A", "B"), Edge("B", "C", True, "A", "flag"), Edge("C", "X"), Edge("C", "A"))


def test_the_next_node():
    scheme = toy(bools={"flag": False}, edges=EDGES)
    assert [next_node(scheme, node) for node in "ABCX"] == ["B", "C", "A", "undefined"]  # of two edges the last counts
    assert next_node(scheme.with_bool("flag", True), "B") == "A"
    assert scheme.start_node == "A"


def test_a_fork_needs_its_boolean():
    with pytest.raises(UserError, match="the fork at B depends on 'flag'"):
        next_node(toy(floats={"flag": 1}, edges=EDGES), "B")


def test_changes_leave_the_old_scheme_alone():
    scheme = toy(floats={"n": 1}, bools={"b": True}, strings={"s": "x"})
    changed = scheme.with_float("n", 2.0).with_bool("b", False).with_string("s", "y").with_float("new", 3.0)
    assert (scheme.floats["n"].value, scheme.bools["b"].value, scheme.strings["s"].value) == (1, True, "x")
    assert (changed.floats["n"], changed.floats["new"]) == (Variable(2.0, 0.0), Variable(3.0, 3.0))


def test_reset():
    jobs = {
        "a": SchemeJob("a", "Import/job001/", "continue", True),
        "ghost": SchemeJob("ghost", "", "", False),
    }
    scheme = Scheme("Schemes/toy/", "B", {"n": Variable(5.0, 1.0)}, {"b": Variable(True, False)}, {"s": Variable("x", "")}, {}, jobs, EDGES)
    reset = scheme.reset()
    assert (reset.current_node, reset.floats["n"].value, reset.bools["b"].value, reset.strings["s"].value) == ("A", 1, False, "")
    assert reset.jobs == {"a": SchemeJob("a", "a", "continue", False), "ghost": jobs["ghost"]}
    assert reset.edges == scheme.edges


def test_priorities_of_names():
    scheme = toy(floats={"x": 2}, bools={"x": True}, strings={"x": "text"})
    assert kinds_of(scheme, "x") == (Kind.BOOL, Kind.FLOAT, Kind.STRING)
    assert (find_value(scheme, "x"), shown_value(scheme, "x")) == (True, "text")
    assert (find_value(scheme, "y"), shown_value(scheme, "y")) == (None, None)
    assert find_value(toy(floats={"x": 2}, strings={"x": "text"}), "x") == 2.0


@pytest.mark.parametrize(
    ("value", "text", "strict"),
    [
        (50.0, "50", "50"),
        (0.885, "0.885", "0.885"),
        (1665273.0, "1665273", "1.66527e+06"),
        (1 / 3, "0.333333", "0.333333"),
        (-0.0, "0", "-0"),
        (1e300, "inf", "inf"),
        (float("inf"), "inf", "inf"),
        (2.5e-7, "2.5e-07", "2.5e-07"),
    ],
)
def test_numbers_as_they_go_into_options(value, text, strict):
    assert (number_text(value), number_text(value, strict=True)) == (text, strict)


def test_reading_numbers():
    assert [number_prefix(text) for text in ("3dref.mrc", "1.5e3x", "-.5", "XXX_5", "", "nano")] == [3, 1500, -0.5, None, None, None]
    assert [whole_number_text(text) for text in ("3dref", " 2.50 ", "inf")] == [None, 2.5, float("inf")]


def test_texts_of_persons():
    assert (parse_value(Kind.BOOL, "b", "True"), parse_value(Kind.FLOAT, "f", "3"), parse_value(Kind.STRING, "s", '""')) == (True, 3.0, "")
    for kind, text in ((Kind.BOOL, "2"), (Kind.FLOAT, "3A")):
        with pytest.raises(UserError, match=f"variable x cannot be '{text}'"):
            parse_value(kind, "x", text)
