"""Measuring a process, and writing what was measured."""

import json
import resource
import sys

import measure
import pytest

from relion4plugin.errors import UserError


def test_cost_of_a_known_load(tmp_path):
    code = "import time; x = bytearray(120 << 20); e = time.process_time() + 0.3\nwhile time.process_time() < e: pass\ntime.sleep(0.2)"
    cost = measure.run_measured([sys.executable, "-c", code], tmp_path / "log")
    assert 0.3 <= cost.cpu_seconds < 3
    assert cost.wall_seconds >= cost.cpu_seconds * 0.3 + 0.2
    # a process that is started from a large one counts its parent's pages until it becomes the program
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * measure.RSS_UNIT / 2**20
    assert 120 < cost.peak_rss_mib < max(400, own + 1)


def test_failure_is_one_line_with_the_reason(tmp_path):
    with pytest.raises(UserError, match=r"code 3.*out of beans") as caught:
        measure.run_measured([sys.executable, "-c", "print('out of beans'); raise SystemExit(3)"], tmp_path / "log")
    assert "\n" not in str(caught.value)


def test_json_names_the_machine_and_has_no_infinities(tmp_path):
    measure.write_json(tmp_path / "a" / "b.json", {"n": 1}, {"resolution": float("inf"), "cpu": 1.5})
    content = json.loads((tmp_path / "a" / "b.json").read_text())
    assert content["figures"] == {"resolution": None, "cpu": 1.5}
    assert content["machine"]["cores"] >= 1
    assert "numpy" in content["machine"]["packages"]


def test_section_is_replaced_between_its_markers(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("top\n<!-- t begin -->\nold\n<!-- t end -->\nbottom\n")
    measure.replace_section(page, "t", "new")
    assert page.read_text() == "top\n<!-- t begin -->\n\nnew\n\n<!-- t end -->\nbottom\n"


def test_missing_markers_are_a_user_error(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("nothing\n")
    with pytest.raises(UserError, match="lacks the lines"):
        measure.replace_section(page, "t", "new")


def test_table_cells():
    text = measure.markdown_table(["a", "b", "c"], [["x", 1234.5, float("inf")]])
    assert text.splitlines()[2] == "| x | 1,234 | - |"


def test_a_table_is_printed_and_published_only_where_asked_for(tmp_path, monkeypatch, capsys):
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text("a\n<!-- t begin -->\nold\n<!-- t end -->\nb\n")
    monkeypatch.setattr(measure, "REPOSITORY", tmp_path)
    measure.publish("new", "page.md", "t", docs=False)
    assert "old" in page.read_text()
    measure.publish("new", "page.md", "t", docs=True)
    assert page.read_text() == "a\n<!-- t begin -->\n\nnew\n\n<!-- t end -->\nb\n"
    assert capsys.readouterr().out == "new\nnew\n"


def test_a_mistake_of_the_user_is_one_line_and_code_2(capsys):
    def wrong() -> int:
        raise UserError("no such folder")

    for main, code in ((wrong, 2), (lambda: 0, 0), (lambda: 1, 1)):
        with pytest.raises(SystemExit) as end:
            measure.run_benchmark(main)
        assert end.value.code == code
    assert capsys.readouterr().err == "error: no such folder\n"
