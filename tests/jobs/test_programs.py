import sys

from relion4plugin.jobs.programs import program_words


def test_this_program_needs_no_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert program_words("relion4plugin") == (sys.executable, "-m", "relion4plugin.cli.main")


def test_programs_are_found_on_path_and_in_the_project(monkeypatch, tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("bin/tool", "own.sh"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert program_words("tool") == (str(tmp_path / "bin/tool"),)
    assert program_words("own.sh", tmp_path) == program_words("./own.sh", tmp_path) == (str(tmp_path / "own.sh"),)
    assert program_words("other", tmp_path) == program_words("bin", tmp_path) == ()
