"""Drawings of schemes: every node and edge is there, states are shown, names are text."""

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from relion4plugin.cli import main as command
from relion4plugin.schemes.model import Edge
from relion4plugin.schemes.status import NodeStatus
from relion4plugin.web.scheme_svg import END, svg_of_scheme, unused_nodes
from tests.web.example_project import edges, make_project, prep, proc

SVG = "{http://www.w3.org/2000/svg}"


def groups(text):
    return {one.get("data-node"): one for one in ElementTree.fromstring(text).iter(f"{SVG}g")}


def test_every_node_and_both_branches_of_forks():
    scheme = proc()
    text = svg_of_scheme(scheme)
    nodes = groups(text)
    assert set(nodes) == {name for edge in scheme.edges for name in (edge.source, edge.target)} | {
        "select_mics",
        "SET_prev_nr_mics",
        "SET_myref_user",
        "CHECK_iniref",
    }
    assert {nodes["WAIT"].get("class"), nodes["class2d"].get("class")} == {"operator idle", "job idle"}
    hints = [one.text for one in ElementTree.fromstring(text).iter(f"{SVG}title")]
    assert "CHECK_do_3d → WAIT" in hints and "CHECK_do_3d → CHECK_iniref" in hints
    assert sum(" → " in hint for hint in hints) == len(scheme.edges) + sum(edge.is_fork for edge in scheme.edges)
    assert text.count(">true</text>") == text.count(">false</text>") == 4
    assert unused_nodes(scheme) == ["HAS_topaz_model"]
    assert "<style>" in text and "<style>" not in svg_of_scheme(scheme, standalone=False)


def test_states_visits_and_links():
    states = {"WAIT": NodeStatus("WAIT", "done", 7), "ctffind": NodeStatus("ctffind", "running", 2, "CtfFind/job003/", "motioncorr")}
    text = svg_of_scheme(prep(), states, standalone=False, link="/job/")
    assert ">×7</text>" in text and 'class="job running"' in text and '<a href="/job/CtfFind/job003">' in text
    assert text.count('class="edge walked"') == 1


def test_ends_missing_nodes_and_replaced_edges():
    scheme = replace(prep(), edges=(*edges("WAIT > nothing", "WAIT > ctffind"), Edge("ctffind", "undefined")))
    nodes = groups(svg_of_scheme(scheme))
    assert set(nodes) == {"WAIT", "ctffind", END}  # of two edges from one node the last counts
    assert groups(svg_of_scheme(replace(scheme, edges=edges("WAIT > gone"))))["gone"].get("class") == "missing idle"
    assert groups(svg_of_scheme(replace(scheme, edges=()))) == {}


def test_names_are_text():
    bad = '<b onclick="x">\'&' + "x" * 80
    text = svg_of_scheme(replace(prep(), edges=edges(f"{bad.replace(' ', '_')} > WAIT")), {bad: NodeStatus(bad, '"><b>')})
    assert "<b" not in text and "…" in text
    ElementTree.fromstring(text)


def test_command(tmp_path, capsys, monkeypatch):
    make_project(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert command.main(["scheme", "graph", "proc", "--svg", "proc.svg"]) == 0
    assert groups((tmp_path / "proc.svg").read_text())["refine3d"].get("class") == "job failed"
    capsys.readouterr()
    assert command.main(["scheme", "graph", "Schemes/proc/", "--project", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "> class2d -> select_parts  (executed 3 times)" in lines
    assert "  CHECK_do_3d -> CHECK_iniref if do_3d, else WAIT" in lines
    assert command.main(["scheme", "graph", "none"]) == 2


@pytest.mark.parametrize("standalone", [True, False])
def test_the_same_input_gives_the_same_drawing(standalone):
    assert svg_of_scheme(proc(), standalone=standalone) == svg_of_scheme(proc(), standalone=standalone)
