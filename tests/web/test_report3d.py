"""The page of a 3D run: its figures against the files, what it shows of a running one, and what it says when files are missing."""

import json
import re

import numpy as np
import pytest

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.web.report3d import write_report
from relion4plugin.web.report3d_run import Kind, read_3d_run
from tests.web.fake3d import BOX, PIXEL, add_verdict, make_class3d, make_refine3d
from tests.web.test_class2d_report import Page, make_run


def page_of(run):
    text = write_report(run).read_text()
    page = Page(text)
    assert page.open == []
    return text, page


def words(page):
    return " ".join(t.strip() for t in page.texts)


def pictures(page):
    return [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]


def titles(page):
    return [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]


def test_classes_of_a_classification(tmp_path):
    run = make_class3d(tmp_path / "job006", 10, 10, n_classes=3, vdam=False, symmetry="C2")
    _, page = page_of(run)
    shown = words(page)
    assert "3D classification" in shown and "3 of 3" in shown and "10 of 10" in shown and "C2" in shown
    details = [t for t in page.texts if "particles · " in t]
    assert [t.split(" · ")[1] for t in details] == ["50.0 %", "33.3 %", "16.7 %"]  # by falling distribution
    assert "30 particles · 50.0 % · 16.0 Å" in shown
    found = pictures(page)
    for k in (1, 2, 3):
        for axis in "zyx":
            assert f"Class {k}: central slice across {axis}" in found and f"Class {k}: projection along {axis}" in found
        assert f"Directions of class {k}" in found
    assert titles(page).count("Signal-to-noise ratio of the map") == 4  # each class, and all of them
    assert "Angles" in titles(page) and "Resolution" in titles(page)
    assert "iteration 8: local angular searches begin" in page.texts


def test_nothing_is_loaded_from_outside_and_no_script_runs(tmp_path):
    run = make_class3d(tmp_path / "<img src=x onerror=alert(1)>")
    add_verdict(run)
    text, page = page_of(run)
    assert "script" not in page.tags and "link" not in page.tags and "<img src=x" not in text
    assert not [a for a in page.attributes if a[1] in ("href", "style") or a[1].startswith("on")]
    assert all(value.startswith("data:image/png;base64,") for tag, name, value in page.attributes if name == "src")


@pytest.mark.parametrize("reliable", [True, False])
def test_verdict_on_an_initial_model(tmp_path, reliable):
    run = make_class3d(tmp_path / "job005", n_classes=1)
    add_verdict(run, reliable)
    text, page = page_of(run)
    shown = words(page)
    assert "3D initial model" in shown and "initial_model.mrc" in shown
    assert ("Three restarts agree to 16.5 Å." in shown) == reliable == ("note warn" not in text)
    assert "score 0.93" in shown and "restarts that agree" in shown and "FSC of the map with" in titles(page)
    assert [t for t in page.texts if t in ("15.0", "16.5", "17.0")] == ["15.0", "16.5", "17.0", "16.5"] or "16.5" in page.texts


def test_evidence_stays_text(tmp_path):
    run = make_class3d(tmp_path / "job005", n_classes=1)
    verdict = {"verdict": "<b>x</b>", "reliable": False, "evidence": {"<script>": "<script>1</script>"}}
    (run / "initial_model.json").write_text(json.dumps(verdict))
    text, page = page_of(run)
    assert "<script" not in text and "<b>x" not in text and "<script>" in page.texts


def test_converged_refinement(tmp_path):
    run = make_refine3d(tmp_path / "job007", iterations=8, symmetry="D2")
    _, page = page_of(run)
    shown, found = words(page), pictures(page)
    assert "3D auto-refinement" in shown and "converged" in shown and "both halves · 10.4 Å" in shown
    assert [f"{name}: projection along z" in found for name in ("Final map", "Half 1", "Half 2")] == [True] * 3
    assert "Directions of all particles" in found
    assert {"FSC between the halves", "FSC between the halves over the iterations"} <= set(titles(page))
    legend = [t for t in page.texts if re.fullmatch(r"iteration \d+|final", t)]
    assert legend == ["iteration 1", "iteration 2", "iteration 4", "iteration 5", "iteration 7", "iteration 8", "final"]
    assert "iteration 8: converged" in page.texts
    # the fake curve is at 0.143 in the shell that it is made of
    assert "0.143 at 10.7 Å" in shown


def test_running_refinement(tmp_path):
    run = make_refine3d(tmp_path / "job008", iterations=3, final=False)
    _, page = page_of(run)
    assert "iteration 3 is shown" in words(page) and "Half 1: central slice across z" in pictures(page)
    assert not [p for p in pictures(page) if p.startswith("Final map")]
    first = make_refine3d(tmp_path / "job009", iterations=1, final=False)
    assert "FSC between the halves over the iterations" not in titles(page_of(first)[1])


def test_run_without_records_or_poses(tmp_path):
    from relion4plugin.files.star import read_star, write_star

    run = make_class3d(tmp_path / "job006", 10, 30)
    (run / "run_iterations.jsonl").unlink()
    path = run / "run_it010_data.star"
    blocks = read_star(path)
    write_star(path, blocks | {"particles": blocks["particles"].drop(columns=["rlnAngleRot"])})
    _, page = page_of(run)
    assert "no run_iterations.jsonl" in words(page) and "iteration 10 of 30 is shown" in words(page)
    assert not [p for p in pictures(page) if p.startswith("Directions")]


def test_kind_comes_from_the_job_file(tmp_path):
    from relion4plugin.files.star import write_star

    run = make_class3d(tmp_path, vdam=True)
    assert read_3d_run(run).kind is Kind.INITIAL_MODEL
    write_star(run / "job.star", {"job": {"rlnJobTypeLabel": "relion.class3d", "rlnJobIsContinue": 0}})
    assert read_3d_run(run).kind is Kind.CLASSIFICATION


def test_figures_of_a_run(tmp_path):
    run = read_3d_run(make_class3d(tmp_path, n_classes=2, symmetry="D2"))
    assert run.n_classes == 2 and run.order == [0, 1] and run.counts.tolist() == [45, 45]
    assert run.angular_step == 15.0 and run.symmetry == "D2"
    assert run.frequencies[-1] == pytest.approx(1 / (2 * PIXEL)) and len(run.frequencies) == BOX // 2 + 1
    for counts in run.directions:
        assert counts.sum() == pytest.approx(45)
        assert np.count_nonzero(counts) > 45  # four equivalent directions of each


@pytest.mark.parametrize("missing", ["model", "data", "optimiser"])
def test_missing_file_is_one_clear_line(tmp_path, missing):
    run = make_class3d(tmp_path)
    (run / f"run_it010_{missing}.star").unlink()
    with pytest.raises(UserError) as caught:
        write_report(run)
    assert "\n" not in str(caught.value)
    assert not (run / "report.html").exists()


def test_command_tells_2d_from_3d(tmp_path, capsys):
    two, three = make_run(tmp_path / "two"), make_refine3d(tmp_path / "three", 2)
    assert main(["report", str(two)]) == 0 and main(["report", str(three), "--o", str(tmp_path / "x.html")]) == 0
    assert "2D classification" in (two / "report.html").read_text()
    assert "3D auto-refinement" in (tmp_path / "x.html").read_text()
    capsys.readouterr()


def test_what_was_not_estimated_leaves_a_gap_and_constant_schedules_are_left_out(tmp_path):
    run = make_refine3d(tmp_path / "job007", iterations=4)
    lines = [json.loads(line) for line in (run / "run_iterations.jsonl").read_text().splitlines()]
    lines[0] |= {"accuracy_rotation": 999.0, "accuracy_translation": 999.0}
    (run / "run_iterations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_3d_run(run).values("accuracy_rotation") == [None, 5.0, 10 / 3, 2.5]
    found = titles(page_of(run)[1])
    assert "Angles" in found and not {"Regularisation T", "Particles per iteration", "Step size", "Changes of class"} & set(found)
