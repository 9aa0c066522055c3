import json

import pytest

from relion4plugin.cli.main import main
from relion4plugin.jobs.job_star import JobStar, read_job_star, write_job_star
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import read_scheme_star


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def scheme(*words):
    return main(["scheme", *words])


def built(here):
    """A scheme made by the command line alone: an external job in a loop of two rounds."""
    script = here.root / "job.sh"
    script.write_text("#!/bin/sh\necho round >> rounds\n[ ! -e fail ]\n")
    script.chmod(0o755)
    write_job_star(here.root / "external.star", JobStar("relion.external", options={"fn_exe": "./job.sh"}))
    for name, value in (("n", "0"), ("one", "1"), ("limit", "2"), ("more", "False")):
        assert scheme("add", "toy", "--var", name, value) == 0
    assert scheme("add", "toy", "--operator", "ADD", "float=plus", "--i", "n", "--i2", "one", "--o", "n") == 0
    assert scheme("add", "toy", "--operator", "MORE", "bool=lt", "--i", "n", "--i2", "limit", "--o", "more") == 0
    assert scheme("add", "toy", "--operator", "EXIT", "exit") == 0
    assert scheme("add", "toy", "--job", "work", "external.star", "--mode", "new") == 0
    assert scheme("add", "toy", "--edge", "work", "ADD") == scheme("add", "toy", "--edge", "ADD", "MORE") == 0
    assert scheme("add", "toy", "--edge", "MORE", "EXIT", "--bool", "more", "--if_true", "work") == 0
    return read_scheme_star(here.scheme_file("toy"))


def test_a_scheme_from_nothing_to_its_end(here, capsys):
    assert built(here).start_node == "work"
    assert scheme("lint", "toy") == 0
    capsys.readouterr()
    assert scheme("run", "toy", "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["outcome"], result["node"]) == ("finished", "EXIT")
    assert (here.root / "rounds").read_text() == "round\n" * 2
    assert (here.root / "External/job002/RELION_JOB_EXIT_SUCCESS").exists()
    assert scheme("run", "toy") == 0
    assert "an exit node was reached" in capsys.readouterr().out
    assert scheme("status", "toy") == 0
    assert "2 Succeeded" in capsys.readouterr().out
    assert scheme("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["jobs"]["Succeeded"] == 2


def test_exit_codes_tell_the_truth(here, capsys):
    built(here)
    (here.root / "fail").touch()
    assert scheme("run", "toy") == 1
    assert "job External/job001/ of work failed" in capsys.readouterr().out
    with scheme_lock(here, "toy", "scheme toy"):
        assert scheme("run", "toy") == 2
    assert "so scheme toy is running" in capsys.readouterr().err
    assert scheme("run", "nothing") == 2
    assert "schemes here: toy" in capsys.readouterr().err


def test_once_and_reset(here, capsys):
    built(here)
    assert scheme("run", "toy", "--once") == 0
    assert read_scheme_star(here.scheme_file("toy")).current_node == "ADD"
    assert scheme("reset", "toy") == 0
    assert read_scheme_star(here.scheme_file("toy")).current_node == "work"
    assert scheme("run", "toy", "--reset", "--max_steps", "2") == 0
    assert read_scheme_star(here.scheme_file("toy")).current_node == "MORE"
    assert scheme("run", "toy", "--max_steps", "0") == 2


def test_dry_run_prints_commands(here, capsys):
    built(here)
    capsys.readouterr()
    assert scheme("run", "toy", "--executor", "dry", "--verb", "0") == 0
    assert "./job.sh --o External/job001/" in capsys.readouterr().out
    assert not (here.root / "External").exists()


def test_changes(here, capsys):
    built(here)
    assert scheme("set", "toy", "--var", "limit", "5", "--reset_value", "6") == 0
    assert scheme("set", "toy", "--option", "work", "fn_exe", "other.sh") == 0
    assert scheme("set", "toy", "--mode", "work", "continue") == scheme("set", "toy", "--node", "EXIT") == 0
    assert scheme("set", "toy", "--has_started", "work", "False") == 0
    changed = read_scheme_star(here.scheme_file("toy"))
    assert (changed.floats["limit"].value, changed.floats["limit"].reset) == (5.0, 6.0)
    assert changed.jobs["work"].mode == "continue" and changed.current_node == "EXIT"
    assert read_job_star(here.template("toy", "work")).options["fn_exe"] == "other.sh"
    with scheme_lock(here, "toy", "scheme toy"):
        assert scheme("set", "toy", "--var", "limit", "7") == 0
    assert "at the next node of the running scheme" in capsys.readouterr().out
    assert scheme("set", "toy", "--var", "typo", "7") == 2


def test_abort_and_unlock(here, capsys):
    built(here)
    assert scheme("abort", "toy") == 0
    assert (here.scheme_directory("toy") / "RELION_JOB_ABORT_NOW").exists()
    lock = scheme_lock(here, "toy", "x")
    lock.directory.mkdir()
    lock.file.write_text("RELION")
    assert scheme("run", "toy") == 2
    assert "scheme unlock toy" in capsys.readouterr().err
    assert scheme("unlock", "toy") == 0 and not lock.directory.exists()


def test_show(here, capsys):
    built(here)
    capsys.readouterr()
    assert scheme("show", "toy") == 0
    text = capsys.readouterr().out
    assert "limit = 2 (reset: 2)" in text and "MORE -> work if more, else EXIT" in text and "ADD: float=plus n one -> n" in text
    assert scheme("show", "toy", "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["jobs"]["work"]["mode"] == "new" and values["variables"]["n"]["value"] == 0.0


def test_errors_of_the_check_stop_a_run(here, capsys):
    built(here)
    here.template("toy", "work").unlink()
    assert scheme("run", "toy") == 2
    error = capsys.readouterr().err
    assert "job work has no template" in error and "the check found 1 error" in error
    assert scheme("lint", "toy") == 1
    assert scheme("lint", "toy", "--json") == 1
