"""The page of a session: its figures against the files, missing and damaged stages, nothing from outside."""

import re

import numpy as np
import pytest

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star, write_star
from relion4plugin.web.session_report import write_report
from tests.web.session_project import make_session
from tests.web.test_class2d_report import Page


def page_of(path):
    page = Page(path.read_text())
    assert page.open == []
    return page


def figures(text):
    """Name -> value and remark of the summary figures; of equal names the first."""
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)(?:<small>(.*?)</small>)?</dd>", text)
    return {name: (value, remark) for name, value, remark in reversed(found)}


def headings(text):
    return re.findall(r"<h2>(.*?)</h2>", text)


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    root = make_session(tmp_path_factory.mktemp("session"))
    return root, page_of(write_report(root)), (root / "report.html").read_text()


def test_every_stage_has_its_part(session):
    _, _, text = session
    assert headings(text) == [
        "Course", "Time", "Left out", "Motion", "CTF", "Picks", "Particles", "2D classes", "Initial model", "Refined map",
        "Comparison with the truth",
    ]  # fmt: skip


def test_figures_are_those_of_the_files(session):
    found = figures(session[2])
    assert found["Movies"][0] == "6" and found["Corrected micrographs"] == ("6", "100 % of the stage before")
    assert found["Selected micrographs"] == ("4", "67 % of the stage before")
    assert found["Picks"] == ("14", "3.5 per micrograph")
    assert found["Selected particles"] == ("10", "71 % of the stage before")
    assert found["Total motion"][0] == "12.5 px" and found["Early motion"][0] == "3.0 px"
    assert found["Defocus"][0] == "1.25 µm" and found["Astigmatism"][0] == "20 nm"
    assert found["Selected classes"] == ("1 of 3", "")


def test_what_was_left_out_has_its_reason(session):
    _, page, text = session
    texts = [t for t in page.texts if t.strip()]
    at = texts.index("Micrographs not selected")
    assert texts[at + 1 : at + 3] == ["2", "by their values (rlnCtfMaxResolution)"]
    assert texts[texts.index("Particles not selected") + 1] == "4"
    assert "Movies/<b>bad.tiff: truncated file" in texts and "<b>bad" not in text


def test_truth_is_compared(session):
    found = figures(session[2])
    assert found["Drift error"][0] == "0.00 px" and found["Local motion error"][0] == "0.00 px"
    assert found["Defocus error"] == ("40 Å", "median; within 150 Å: 100 %")
    assert found["Astigmatism angle"] == ("1.0°", "median; within 5°: 100 %")  # 178 degrees are -2
    assert found["Picking precision"][0] == "71 %" and found["Picking recall"][0] == "83 %"  # 10 of 14 picks, 10 of 12 particles
    assert found["True among selected"][0] == "100 %"
    assert found["Correlation"][0] == "1.00"


def test_pictures(session):
    _, page, text = session
    names = [value for tag, name, value in page.attributes if (tag, name) in (("img", "alt"), ("svg", "aria-label"))]
    assert sum("ways drawn" in name for name in names) == 4
    assert sum(bool(re.fullmatch(r".*: \d+ picks", name)) for name in names) == 3
    assert sum("_PS.ctf: " in name for name in names) == 4
    assert "Class 3, score 0.80, selected" in names and "Class 2, score –" in names
    assert '<li class="tile chosen">' in text and text.count('<li class="tile left">') == 2
    sources = [value for _, name, value in page.attributes if name in ("src", "href")]
    assert sources and all(value.startswith(("data:image/png;base64,", "data:image/jpeg;base64,")) for value in sources)
    assert "script" not in page.tags and "link" not in page.tags


@pytest.mark.parametrize("stages", [1, 3, 5, 7])
def test_stages_that_are_not_there_are_absent(tmp_path, stages):
    text = write_report(make_session(tmp_path, stages, truth=False)).read_text()
    wanted = ["Motion", "CTF", "", "Picks", "Particles", "2D classes"][: stages - 1]
    assert [h for h in headings(text) if h not in ("Course", "Time", "Left out")] == [h for h in wanted if h]
    assert "note warn" not in text


def test_a_damaged_stage_says_so_and_the_rest_is_shown(tmp_path):
    root = make_session(tmp_path)
    blocks = read_star(root / "CtfFind/job003/micrographs_ctf.star")
    (root / "MotionCorr/job002/Movies/movie_00001.mrc").write_bytes(b"short")
    (root / "Extract/job006/Movies/movie_00001.mrcs").unlink()
    (root / "Refine3D/job010/run_class001.mrc").unlink()
    write_star(root / "CtfFind/job003/micrographs_ctf.star", {"optics": blocks["optics"]})
    text = write_report(root).read_text()
    assert {"Motion", "Picks", "Particles", "2D classes", "Initial model"} <= set(headings(text))
    assert "CTF" not in headings(text) and "micrographs_ctf.star: no table data_micrographs" in text
    assert "movie_00001.mrc" in text and "movie_00001.mrcs" in text


def test_the_command_takes_a_project_or_a_job(tmp_path, capsys, monkeypatch):
    root = make_session(tmp_path / "p", 7)
    (root / "Class2D/job007/default_pipeline.star").touch()  # every job has a pipeline of its own
    assert main(["report", "--i", str(root), "--o", str(tmp_path / "a.html")]) == 0
    assert main(["report", str(root / "Class2D/job007")]) == 0
    assert "<h1>2D classification" in (root / "Class2D/job007/report.html").read_text()
    monkeypatch.chdir(root)
    assert main(["report"]) == 0
    assert "Session p" in (root / "report.html").read_text()
    capsys.readouterr()
    assert main(["report", "a", "--i", "b"]) == 2
    assert "give one directory" in capsys.readouterr().err


def test_not_a_project(tmp_path):
    with pytest.raises(UserError, match=r"no project: expected a folder with default_pipeline\.star"):
        write_report(tmp_path)


def test_truth_above_the_movies_and_truth_given(tmp_path):
    """A project whose folder of movies is a link to the session that was simulated; a folder that is given comes first."""
    root, away = make_session(tmp_path / "project", 3), tmp_path / "session"
    away.mkdir()
    for name in ("truth.star", "Truth", "Movies"):
        (root / name).rename(away / name)
    (root / "Movies").symlink_to(away / "Movies")
    assert figures(write_report(root).read_text())["Defocus error"][0] == "40 Å"
    truth = read_star(away / "truth.star")
    other = tmp_path / "other"
    other.mkdir()
    movies = truth["movies"].assign(rlnDefocusU=truth["movies"]["rlnDefocusU"] - 200.0)
    write_star(other / "truth.star", {"movies": movies, "particles": truth["particles"]})
    found = figures(write_report(root, truth=other).read_text())
    assert found["Defocus error"][0] == "140 Å" and np.isfinite(float(found["Astigmatism error"][0].split()[0]))
