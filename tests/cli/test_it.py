import ast
import json
import os
import sys
import time

import pytest

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.schemes.it import launch
from relion4plugin.schemes.project import Project

SESSION = ["--angpix", "0.885", "--dose_per_frame", "1.277", "--particle_diameter", "180", "--sym", "D2"]


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_a_dry_run_writes_nothing(project, capsys):
    assert main(["it", *SESSION, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "proc__extract__extract_size = 306" in out and "scaled to 96 px of 2.82 A; mask 198 A" in out
    assert "scheme run prep" in out and "scheme run proc" in out
    assert list(project.root.iterdir()) == []


def test_only_save(project, capsys):
    assert main(["it", *SESSION, "--onlysave", "--json", "--set", "proc__class2d__nr_iter_grad=50"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert len(outcome["run"]) == 2 and "runners" not in outcome
    saved = ast.literal_eval((project.root / "relion_it_options.py").read_text())
    assert (saved["do_prep"], saved["proc__do_log"], saved["proc__class2d__nr_iter_grad"]) == ("True", "True", "50")
    assert (project.root / "relion_it_options.toml").exists() and project.marker.exists()
    assert main(["it", "relion_it_options.toml", "--update", "--onlysave", "--particle_diameter", "200"]) == 0
    saved = ast.literal_eval((project.root / "relion_it_options.py").read_text())
    assert (saved["proc__class2d__particle_diameter"], saved["proc__class2d__nr_iter_grad"]) == ("220", "50")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "angpix is not given"),
        (["--angpix", "one"], "angpix is 'one'"),
        (["missing.toml"], "cannot read missing.toml"),
        ([*SESSION, "--set", "proc__x=1"], "has no variable 'x'"),
        ([*SESSION, "--templates", "nowhere"], "nowhere/prep holds no scheme.star"),
        ([*SESSION, "--project", "nowhere"], "nowhere is no directory"),
        ([*SESSION, "--movies", "/nowhere/*.tiff"], "there is no folder /nowhere"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(project, capsys, words, message):
    assert main(["it", *words]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1 and message in captured.err
    assert list(project.root.iterdir()) == []


def test_both_schemes_are_started(project, capsys, monkeypatch):
    code = "import sys, os, time; print(sys.argv[1], os.getcwd(), flush=True); time.sleep(30)"
    monkeypatch.setattr(launch, "runner_words", lambda name: [sys.executable, "-c", code, name])
    monkeypatch.setattr(launch.start_runners, "__defaults__", (0.2,))
    assert main(["it", *SESSION, "--json"]) == 0
    runners = json.loads(capsys.readouterr().out)["runners"]
    try:
        assert list(runners) == ["prep", "proc"]
        assert all(os.getsid(pid) == pid for pid in runners.values())  # they live on without this terminal
        log = project.scheme_directory("prep") / "run.out"
        end = time.monotonic() + 20
        while not log.read_text() and time.monotonic() < end:
            time.sleep(0.05)
        assert log.read_text().split() == ["prep", str(project.root.resolve())]
    finally:
        for pid in runners.values():
            os.kill(pid, 15)
            os.waitpid(pid, 0)


def test_a_runner_that_fails_when_it_holds_its_scheme_is_said_so(project, monkeypatch):
    """As with a damaged pipeline, which is read only then."""
    project.scheme_directory("prep").mkdir(parents=True)
    code = """
import sys, time
from pathlib import Path
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.project import Project
with scheme_lock(Project(Path(sys.argv[1])), "prep", "scheme prep"):
    time.sleep(0.3)
    sys.exit("error: the pipeline is damaged")
"""
    words = [sys.executable, "-c", code, str(project.root)]
    monkeypatch.setattr(launch, "runner_words", lambda name: words)
    with pytest.raises(UserError, match="scheme prep did not start: the pipeline is damaged; see"):
        launch.start_runners(project, ["prep"])


def test_a_runner_that_cannot_start_is_said_so(project, monkeypatch):
    project.scheme_directory("prep").mkdir(parents=True)
    words = [sys.executable, "-c", "import sys; sys.exit('error: no such thing')"]
    monkeypatch.setattr(launch, "runner_words", lambda name: words)
    with pytest.raises(UserError, match="scheme prep did not start: no such thing; see"):
        launch.start_runners(project, ["prep"], watch=20.0)
    assert "no such thing" in (project.scheme_directory("prep") / "run.err").read_text()
