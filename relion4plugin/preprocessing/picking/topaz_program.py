"""Where the program Topaz is, and its commands: it runs as a program of its own, never inside this one."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from relion4plugin.errors import UserError

_INSTALL = "install it with 'pip install topaz-em', or give the program with --topaz_exe"
_LAST_LINES = 3


def find_topaz(given: str = "") -> tuple[str, ...]:
    """Return the words that start Topaz.

    Parameters
    ----------
    given
        A program by name or path; empty looks for ``topaz`` on PATH, then for the package beside this one.

    Raises
    ------
    UserError
        If there is no such program.
    """
    if given:
        found = shutil.which(os.path.expandvars(given))
        if found is None:
            raise UserError(f"Topaz program '{given}': there is no such program; {_INSTALL}")
        return (found,)
    found = shutil.which("topaz")
    if found is not None:
        return (found,)
    if importlib.util.find_spec("topaz") is not None:  # the package is looked up, not imported
        return (sys.executable, "-m", "topaz.main")
    raise UserError(f"Topaz is not installed: {_INSTALL}")


def run_topaz(program: Sequence[str], words: Sequence[str], threads: int = 1) -> None:
    """Run one command of Topaz without a shell.

    Parameters
    ----------
    program, words
        What starts Topaz, and the command with its options.
    threads
        Processor cores it may use.

    Raises
    ------
    UserError
        If it cannot be started or fails, with the last lines that it wrote.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    try:
        ended = subprocess.run([*program, *words], capture_output=True, text=True, errors="replace", env=environment, check=False)
    except OSError as error:
        raise UserError(f"Topaz program {program[0]} cannot be started ({error.strerror}); {_INSTALL}") from error
    if ended.returncode != 0:
        said = " | ".join(line.strip() for line in ended.stderr.strip().splitlines()[-_LAST_LINES:]) or f"exit code {ended.returncode}"
        raise UserError(f"Topaz ({words[0]}) failed: {said}")


def check_model(model: str) -> None:
    """Check a trained network: a file, or the name of one that comes with Topaz.

    Raises
    ------
    UserError
        If it looks like a file and there is none.
    """
    if model and ("/" in model or Path(model).suffix) and not Path(model).is_file():
        raise UserError(f"Topaz network {model}: no such file; give an existing .sav file with --topaz_model, or none for Topaz's own")
