import importlib.util
import os
import shutil
import stat
import subprocess

import pytest

from relion4plugin.errors import UserError
from relion4plugin.parallel import mpirun
from relion4plugin.parallel.mpirun import mpirun_words, shortage


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Eight cores, an mpirun, and mpi4py."""
    program = tmp_path / "mpirun"
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("RELION_MPIRUN", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "mpi4py")
    return program


def test_as_many_as_asked_for_or_as_there_are_cores(machine):
    assert mpirun_words(2, 4) == (*mpirun._SLOTS, "mpirun", "--bind-to", "none", "-n", "2")
    assert mpirun_words(5, 3)[-1] == "2"
    assert mpirun_words(3, 8) == () and mpirun_words(1, 1) == ()
    assert shortage(2, 4) == "" and shortage(1, 16) == ""
    assert shortage(5, 3) == "8 cores have room for 2 of 3 threads"
    assert shortage(3, 16) == "8 cores have room for 1 of 16 threads"


def test_what_is_missing(machine, monkeypatch):
    monkeypatch.setattr(mpirun.importlib.util, "find_spec", lambda name: None)
    assert mpirun_words(2, 1) == () and shortage(2, 1) == "mpi4py is not installed" and shortage(1, 1) == ""
    machine.unlink()
    assert mpirun_words(2, 1) == () and shortage(2, 1) == "there is no program mpirun"


def test_root_must_be_allowed_to(machine, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        monkeypatch.delenv(name, raising=False)
        assert mpirun_words(2, 1) == () and "does not start as root unless OMPI_ALLOW_RUN_AS_ROOT and" in shortage(2, 1)
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        monkeypatch.setenv(name, "1")
    assert mpirun_words(2, 1)[-2:] == ("-n", "2") and shortage(2, 1) == ""


def test_another_launcher(machine, monkeypatch):
    machine.rename(machine.with_name("srun"))
    monkeypatch.setenv("RELION_MPIRUN", "srun --mpi pmix")
    assert mpirun_words(2, 1) == ("srun", "--mpi", "pmix", "-n", "2")
    monkeypatch.setenv("RELION_MPIRUN", "srun 'pmix")
    with pytest.raises(UserError, match="RELION_MPIRUN is 'srun 'pmix'"):
        mpirun_words(2, 1)


def test_an_empty_launcher_is_none(machine, monkeypatch):
    monkeypatch.setenv("RELION_MPIRUN", " ")
    assert "mpirun" in mpirun_words(2, 1)


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="no mpirun")
def test_more_processes_start_than_open_mpi_would_allow(monkeypatch):
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setattr(mpirun, "_room", lambda threads: 64)
    monkeypatch.setattr(mpirun, "_missing", lambda: "")
    ended = subprocess.run([*mpirun_words(os.cpu_count() + 1, 1), "echo", "here"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["here"] * (os.cpu_count() + 1)
