"""Runners of schemes started in the background, each in a session of its own."""

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.project import Project

_LOG, _ERRORS = "run.out", "run.err"
_WATCH = 60.0  # seconds; by then a runner holds its scheme, or has said why it cannot, also on a busy machine
_SETTLING = 1.0  # seconds that a runner is still watched when it holds its scheme: it reads scheme and pipeline only then
_PAUSE = 0.05


@dataclass(frozen=True)
class Runner:
    """A started runner of a scheme."""

    scheme: str
    pid: int
    log: Path


def runner_words(name: str) -> list[str]:
    """Return the command that runs a scheme, to be started in the project directory."""
    return [sys.executable, "-m", "relion4plugin.cli.main", "scheme", "run", name]


def start_runners(project: Project, names: list[str], watch: float = _WATCH) -> list[Runner]:
    """Start a runner for each scheme, wait until they hold their schemes and a second more; they go on when this program ends.

    Output is appended to run.out and run.err in the folder of the scheme. After `watch` seconds nothing is waited for any more.

    Raises
    ------
    UserError
        If a runner ends at once with an error; the others go on.
    """
    started = [_start(project, name) for name in names]
    end = time.monotonic() + watch
    while time.monotonic() < end and any(process.poll() is None and not _holds(project, runner) for runner, process in started):
        time.sleep(_PAUSE)
    end = min(end, time.monotonic() + _SETTLING)
    while time.monotonic() < end and not any(process.poll() for _, process in started):
        time.sleep(_PAUSE)
    for runner, process in started:
        if process.poll():
            lines = (runner.log.parent / _ERRORS).read_text(encoding="utf-8", errors="replace").strip().splitlines()
            reason = lines[-1].removeprefix("error: ") if lines else f"it ended with code {process.returncode}"
            raise UserError(f"scheme {runner.scheme} did not start: {reason}; see {runner.log.parent / _ERRORS}")
    return [runner for runner, _ in started]


def _holds(project: Project, runner: Runner) -> bool:
    owner = scheme_lock(project, runner.scheme, "").holder()
    return owner is not None and owner.pid == runner.pid


def _start(project: Project, name: str) -> "tuple[Runner, subprocess.Popen[bytes]]":
    folder = project.scheme_directory(name)
    try:
        with open(folder / _LOG, "ab") as out, open(folder / _ERRORS, "ab") as errors:
            process = subprocess.Popen(
                runner_words(name), cwd=project.root, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, start_new_session=True
            )
    except OSError as error:
        raise UserError(f"cannot start scheme {name}: {(error.strerror or str(error)).lower()}; check that {folder} is writable") from error
    return Runner(name, process.pid, folder / _LOG), process
