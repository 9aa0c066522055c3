"""Two sessions, or two runners, where there is room for one: the second is told so in one line and changes nothing."""

import subprocess
import sys
import threading
from dataclasses import replace

from relion4plugin.cli.main import main
from relion4plugin.errors import UserError
from relion4plugin.schemes.it.choices import Choices
from relion4plugin.schemes.it.options import ItOptions
from relion4plugin.schemes.it.plan import make_plan, write_plan
from relion4plugin.schemes.library.catalogue import shipped_folder
from relion4plugin.schemes.library.template import read_template
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.project import Project

OPTIONS = ItOptions(angpix=0.885, dose_per_frame=1.277, particle_diameter=180.0, threads=1)


def plan(project, movies):
    return make_plan(project, Choices(replace(OPTIONS, fn_in_raw=movies)), shipped_folder())


def movies_of(project):
    return read_template(project.scheme_directory("prep")).jobs["importmovies"].options["fn_in_raw"]


def test_a_second_session_in_the_same_project_is_refused(tmp_path, capsys):
    project = Project(tmp_path)
    write_plan(project, plan(project, "First/*.tiff"))
    words = ["it", "--project", str(tmp_path), "--movies", "Second/*.tiff", "--angpix", "1", "--dose_per_frame", "1"]
    assert main([*words, "--particle_diameter", "100"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "prep/scheme.star exists: " in error and "another session needs a --project of its own" in error
    assert movies_of(project) == "First/*.tiff"


def test_of_two_sessions_that_are_planned_at_once_one_is_written(tmp_path):
    """Both look before either has written; the second finds out when it writes."""
    project = Project(tmp_path)
    plans = [plan(project, f"{name}/*.tiff") for name in ("First", "Second")]
    outcomes = {}

    def write(i):
        try:
            write_plan(project, plans[i])
            outcomes[i] = ""
        except UserError as error:
            outcomes[i] = str(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = [i for i, error in outcomes.items() if not error]
    assert len(written) == 1 and movies_of(project) == plans[written[0]].choices.options.fn_in_raw
    refusal = outcomes[1 - written[0]]
    assert "exists: --update" in refusal or "is held by" in refusal


def test_a_second_runner_of_a_scheme_goes_away(tmp_path):
    project = Project(tmp_path)
    write_plan(project, plan(project, "Movies/*.tiff"))
    (tmp_path / "Movies").mkdir()
    before = project.scheme_file("prep").read_bytes()
    command = [sys.executable, "-m", "relion4plugin.cli.main", "scheme", "run", "prep"]
    with scheme_lock(project, "prep", "the first runner"):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert "is held by process" in done.stderr and "so scheme prep is running" in done.stderr
    assert project.scheme_file("prep").read_bytes() == before
