import pytest

from relion4plugin.errors import UserError
from relion4plugin.schemes.editing import (
    add_edge,
    add_operator,
    add_variable,
    set_current_node,
    set_has_started,
    set_job_mode,
    set_variable,
)
from relion4plugin.schemes.model import Edge, Operator, Variable
from relion4plugin.schemes.project import Project, open_project
from tests.schemes.world import toy

SCHEME = toy(floats={"n": 1}, bools={"b": False}, strings={"s": "x"}, jobs=[("a", "Import/job001/")], edges=(Edge("a", "b"),))


def test_variables():
    scheme = set_variable(set_variable(SCHEME, "n", "2.5"), "b", "true", reset="1")
    assert (scheme.floats["n"], scheme.bools["b"]) == (Variable(2.5, 0.0), Variable(True, True))
    assert set_variable(SCHEME, "s", '""').strings["s"].value == ""
    wrong = (("z", "1", "no variable 'z'; it has: b, n, s"), ("n", "3A", "expected a number"), ("b", "2", "expected True"))
    for name, text, message in wrong:
        with pytest.raises(UserError, match=message):
            set_variable(SCHEME, name, text)


def test_new_variables_get_their_kind_from_the_text():
    scheme = add_variable(add_variable(add_variable(SCHEME, "f", "3", "4"), "flag", "True"), "map", "3dref.mrc")
    assert (scheme.floats["f"], scheme.bools["flag"].value, scheme.strings["map"].value) == (Variable(3.0, 4.0), True, "3dref.mrc")
    assert add_variable(SCHEME, "n", "7").floats["n"] == Variable(7.0, 0.0)
    with pytest.raises(UserError, match="no name for a variable"):
        add_variable(SCHEME, "two words", "1")


def test_jobs_and_nodes():
    assert set_job_mode(SCHEME, "a", "continue").jobs["a"].mode == "continue"
    assert not set_has_started(SCHEME, "a", "False").jobs["a"].has_started
    assert set_current_node(SCHEME, "a").current_node == "a"
    for change, message in (
        (lambda: set_job_mode(SCHEME, "a", "sometimes"), "expected new or continue"),
        (lambda: set_job_mode(SCHEME, "z", "new"), "no job 'z'"),
        (lambda: set_has_started(SCHEME, "a", "perhaps"), "expected True or False"),
        (lambda: set_current_node(SCHEME, "z"), "no node 'z'"),
    ):
        with pytest.raises(UserError, match=message):
            change()


def test_operators_and_edges():
    operator = Operator("PLUS", "float=plus", "n", "n", "n")
    assert add_operator(SCHEME, operator).operators == {"PLUS": operator}
    with pytest.raises(UserError, match="input1 's' is not a float variable"):
        add_operator(SCHEME, Operator("PLUS", "float=plus", "n", "s", "n"))
    assert add_edge(SCHEME, Edge("b", "c")).edges[-1] == Edge("b", "c")
    with pytest.raises(UserError, match="an edge leaves a already"):
        add_edge(SCHEME, Edge("a", "c"))
    with pytest.raises(UserError, match="no boolean variable"):
        add_edge(SCHEME, Edge("b", "c", True, "d", "n"))


def test_a_project_is_marked_for_relions_window(tmp_path):
    assert not (open_project(tmp_path).marker).exists()
    assert open_project(tmp_path, create=True).marker.name == ".gui_projectdir"
    assert (tmp_path / ".gui_projectdir").exists()
    with pytest.raises(UserError, match="is no directory"):
        open_project(tmp_path / "none")
    project = Project(tmp_path)
    assert project.scheme_lock("Schemes/prep/").name == ".relion_lock_scheme_prep"
    assert project.template("prep", "ctffind") == tmp_path / "Schemes/prep/ctffind/job.star"
