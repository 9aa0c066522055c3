"""The report page: its figures against the files, safety of its text, and what it says when files are missing."""

import html.parser
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from relion4plugin.errors import UserError
from relion4plugin.files.iterations import append_iteration
from relion4plugin.files.mrc import write_stack
from relion4plugin.files.star import read_star, write_star
from relion4plugin.web.class2d_report import angstrom, duration, write_report

EVIL = "<script>alert('x')</script>&\"evil"
VOID = {"meta", "img", "br"}  # SVG elements are closed in the text
CLASSES = [3, 3, 3, 1, 1, 3, 3, 3]  # class 2 stays empty


class Page(html.parser.HTMLParser):
    """Collects tags, attributes and texts; checks that tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data):
        self.texts.append(data)


def make_run(folder: Path, iteration: int = 10, n_iterations: int = 10, group: str = "optics1", micrograph: str = "m1.mrc") -> Path:
    """A run directory of 8 particles and 3 classes, written with the package's own writers."""
    folder.mkdir(exist_ok=True)
    root = f"run_it{iteration:03d}"
    images = np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float32)
    images[1] = 0
    write_stack(folder / f"{root}_classes.mrcs", images, 3.0)
    optics = pd.DataFrame({"rlnOpticsGroup": [1], "rlnOpticsGroupName": [group], "rlnVoltage": [300.0], "rlnSphericalAberration": [2.7],
                           "rlnAmplitudeContrast": [0.1], "rlnImagePixelSize": [3.0], "rlnImageSize": [16]})  # fmt: skip
    particles = pd.DataFrame({"rlnImageName": [f"{i + 1:06d}@a.mrcs" for i in range(8)], "rlnMicrographName": [micrograph] * 8,
                              "rlnOpticsGroup": 1, "rlnClassNumber": CLASSES, "rlnGroupNumber": 1})  # fmt: skip
    write_star(folder / f"{root}_data.star", {"optics": optics, "particles": particles})
    classes = pd.DataFrame({"rlnReferenceImage": [f"{k:06d}@{root}_classes.mrcs" for k in (1, 2, 3)],
                            "rlnClassDistribution": [0.25, 0.0, 0.75], "rlnAccuracyRotations": [5.0, 999.0, 3.0],
                            "rlnAccuracyTranslationsAngst": [4.0, 999.0, 2.0], "rlnEstimatedResolution": [24.0, np.inf, 12.0]})  # fmt: skip
    general = {"rlnPixelSize": 3.0, "rlnCurrentResolution": 12.0, "rlnTau2FudgeFactor": 2.0, "rlnNrClasses": 3}
    groups = pd.DataFrame({"rlnGroupNumber": [1], "rlnGroupName": [micrograph], "rlnGroupNrParticles": [8],
                           "rlnGroupScaleCorrection": [1.0]})  # fmt: skip
    write_star(folder / f"{root}_model.star", {"model_general": general, "model_classes": classes, "model_groups": groups})
    optimiser = {"rlnNumberOfIterations": n_iterations, "rlnDoGradientRefine": 1, "rlnParticleDiameter": 40.0, "rlnDoCorrectCtf": 1}
    write_star(folder / f"{root}_optimiser.star", {"optimiser_general": optimiser})
    write_star(folder / f"{root}_sampling.star", {"sampling_general": {"rlnPsiStep": 12.0, "rlnOffsetRange": 15.0}})
    for i in range(1, iteration + 1):
        append_iteration(folder / "run_iterations.jsonl", record(i))
    return folder


def record(i: int) -> dict:
    return {"iteration": i, "stepsize": 0.9, "tau2_fudge": 1.0, "subset_size": 4, "current_size": 10 + i, "resolution": 30.0 - i,
            "log_likelihood": 40.0, "ave_pmax": 0.5, "sigma_offset": 5.0, "changed_classes": 0.2, "changed_orientations": 3.0,
            "changed_offsets": 1.0, "class_distribution": [0.25, 0.0, 0.75], "class_resolution": [24.0, None, 12.0], "seconds": 2.0,
            "cpu_seconds": 3.5, "replaced": [2, 3] if i == 4 else None}  # fmt: skip


@pytest.fixture
def run(tmp_path) -> Path:
    return make_run(tmp_path / "job001")


def page_of(run: Path) -> tuple[str, Page]:
    text = write_report(run).read_text()
    page = Page(text)
    assert page.open == []
    return text, page


def test_counts_are_those_of_the_data_file(run):
    _, page = page_of(run)
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    counts = {int(k): int(n) for k, n in (re.fullmatch(r"Average of class (\d+), (\d+) particles", label).groups() for label in labels)}
    data = read_star(run / "run_it010_data.star")["particles"]["rlnClassNumber"]
    assert counts == {1: 2, 2: 0, 3: 6} == {k: int((data == k).sum()) for k in (1, 2, 3)}
    assert [int(re.search(r"class (\d+)", label)[1]) for label in labels] == [3, 1, 2]  # by falling distribution


def test_summary_figures(run):
    _, page = page_of(run)
    text = " ".join(t.strip() for t in page.texts)
    for expected in ("2 of 3", "10 of 10", "VDAM", "12.0 Å", "75.0 %", "20.0 s", "35.0 s", "16 px", "3 Å/px"):
        assert expected in text, expected
    assert "populated; 1.8 effective" in text  # exp(entropy of 0.25, 0.75) = 1.755


def test_nothing_is_loaded_from_outside_and_no_script_runs(run):
    text, page = page_of(run)
    assert "script" not in page.tags and "link" not in page.tags and "iframe" not in page.tags
    assert not [a for a in page.attributes if a[1] in ("href", "style") or a[1].startswith("on")]
    assert all(value.startswith("data:image/png;base64,") for tag, name, value in page.attributes if name == "src")
    assert "http:" not in text and "https:" not in text and "@import" not in text and "url(" not in text
    policy = next(value for tag, name, value in page.attributes if tag == "meta" and name == "content" and "default-src" in value)
    assert "default-src 'none'" in policy and "unsafe" not in policy


def test_policy_carries_the_digest_of_the_style_sheet(run):
    import base64
    import hashlib

    text, _ = page_of(run)
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}'" in text


@pytest.mark.parametrize("where", ["group", "micrograph"])
def test_hostile_names_stay_text(tmp_path, where):
    text, page = page_of(make_run(tmp_path / "job", **{where: EVIL.replace(" ", "")}))
    assert "<script" not in text
    assert any("<script>alert" in t for t in page.texts), "the name itself must be shown"


def test_hostile_folder_name_stays_text(tmp_path):
    text, _ = page_of(make_run(tmp_path / "<img src=x onerror=alert(1)>"))
    assert "<img src=x" not in text


def test_curves_and_replaced_classes(run):
    _, page = page_of(run)
    titles = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    for expected in ("Class occupancy over the iterations", "Resolution", "Image size used", "Step size", "Regularisation T"):
        assert expected in titles
    assert "iteration 4: class 2 was replaced by a copy of class 3" in page.texts
    assert "iteration 7: log-likelihood 10" in page.texts  # 40 / 4 particles


def test_run_without_records_says_so(run):
    (run / "run_iterations.jsonl").unlink()
    _, page = page_of(run)
    assert any("no run_iterations.jsonl" in t for t in page.texts)
    assert not [a for a in page.attributes if a[1] == "aria-label"]


def test_newest_iteration_of_a_run_in_progress(tmp_path):
    run = make_run(tmp_path / "job", iteration=10, n_iterations=30)
    make_run(run, iteration=20, n_iterations=30)
    _, page = page_of(run)
    assert any("iteration 20 of 30 is shown" in t for t in page.texts)


def test_em_record_without_step_size(run):
    lines = [record(i) | {"stepsize": None, "log_likelihood": float("nan")} for i in range(1, 11)]
    (run / "run_iterations.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, page = page_of(run)
    titles = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert "Step size" not in titles and "Log-likelihood per particle" not in titles and "Resolution" in titles


@pytest.mark.parametrize("missing", ["model", "data", "optimiser", "sampling"])
def test_missing_file_is_one_clear_line(run, missing):
    (run / f"run_it010_{missing}.star").unlink()
    with pytest.raises(UserError) as caught:
        write_report(run)
    assert "\n" not in str(caught.value)
    assert not (run / "report.html").exists()


def test_missing_classes_and_folder(run, tmp_path):
    (run / "run_it010_classes.mrcs").unlink()
    with pytest.raises(UserError, match="classes"):
        write_report(run)
    with pytest.raises(UserError, match="nowhere"):
        write_report(tmp_path / "nowhere")


def test_short_class_stack(run):
    write_stack(run / "run_it010_classes.mrcs", np.zeros((2, 16, 16), np.float32), 3.0)
    with pytest.raises(UserError, match="holds 2 images"):
        write_report(run)


def test_other_output_path(run, tmp_path):
    assert write_report(run, tmp_path / "x.html") == tmp_path / "x.html"
    assert not (run / "report.html").exists()


def test_relion_run(shared_data, tmp_path):
    run = tmp_path / "relion"
    shutil.copytree(shared_data / "class2d" / "bgal_relion4_vdam_k25", run)
    _, page = page_of(run)
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("img", "alt")]
    counts = [int(re.search(r"(\d+) particles", label)[1]) for label in labels]
    assert sum(counts) == 2374 and len(counts) == 25 and counts[0] == 297


def test_figures_in_words():
    assert [angstrom(v) for v in (18.88, float("inf"), float("nan"), 999.0)] == ["18.9 Å", "–", "–", "–"]
    assert [duration(s) for s in (9.26, 75, 3725)] == ["9.3 s", "1 min 15 s", "1 h 02 min"]
