"""A runner of a scheme beside the host: it outlives a protocol that is killed, and then aborts the scheme cleanly.

The host stops a protocol by killing it with all its descendants, which would cut jobs off. So the runner is no descendant; it
sees that the protocol has gone, tells job and scheme to stop, and the project can go on later. Started as

    python -m relion4plugin.scipion.scheme_runner PROJECT SCHEME EXECUTOR

with the protocol's identity on standard input.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.schemes.locks import running_owner
from relion4plugin.schemes.owners import Owner
from relion4plugin.schemes.project import Project, open_project

KILLED, ERROR = "killed", "error"
_END, _LOG, _ERRORS = "host_end.json", "run.out", "run.err"
_WATCH = 1.0  # seconds between looks for the protocol
_PATIENCE = 60.0  # seconds for the runner of a stopped protocol to end


@dataclass(frozen=True)
class SchemeEnd:
    """How a runner ended: an outcome of a run, ``error``, or ``killed``; `node` is where the scheme stands."""

    outcome: str
    node: str
    reason: str


@dataclass(frozen=True)
class SchemeProcess:
    """A runner in the background."""

    project: Project
    scheme: str
    owner: Owner

    def end(self) -> SchemeEnd | None:
        """Return how it ended; None while it runs."""
        running = self.owner.alive()
        path = self.project.scheme_directory(self.scheme) / _END
        if path.is_file():
            return SchemeEnd(**json.loads(path.read_text(encoding="utf-8")))
        return None if running else SchemeEnd(KILLED, "", f"the runner was killed; see {path.with_name(_ERRORS)}")


def start_scheme(project: Project, scheme: str, executor: str, patience: float = _PATIENCE) -> SchemeProcess:
    """Start a runner that ends when this process does; an earlier one that is about to end is waited for.

    Parameters
    ----------
    project : Project
    scheme : str
        Name of a scheme in it.
    executor : str
        What runs the jobs: ``auto``, ``native``, ``relion``, ``queue``.
    patience : float
        Seconds to wait for an earlier runner.

    Raises
    ------
    UserError
        If the scheme is run by someone else, or the runner does not start.
    """
    deadline = time.monotonic() + patience
    while (held := running_owner(project, scheme))[0]:
        if time.monotonic() > deadline:
            raise UserError(f"scheme {scheme} is run by {held[1] or 'another program'}; end that first")
        time.sleep(_WATCH)
    folder = project.scheme_directory(scheme)
    (folder / _END).unlink(missing_ok=True)
    words = [sys.executable, "-m", "relion4plugin.scipion.scheme_runner", str(project.root.resolve()), scheme, executor]
    with open(folder / _ERRORS, "ab") as errors:
        me = Owner.current("a Scipion protocol").text().encode()
        answer = subprocess.run(words, input=me, stdout=subprocess.PIPE, stderr=errors, check=False)
    owner = Owner.parse(answer.stdout.decode())
    if owner is None:
        raise UserError(f"the runner of scheme {scheme} did not start; see {folder / _ERRORS}")
    return SchemeProcess(project, scheme, owner)


def _run(root: Path, scheme: str, executor: str, host: Owner) -> None:
    """Run a scheme and leave how it ended."""
    # Imported after the fork: libraries may start threads, which do not survive it.
    from relion4plugin.schemes.session import RunOptions, run_scheme

    project = open_project(root)
    threading.Thread(target=_watch, args=(host,), daemon=True).start()
    try:
        end = run_scheme(project, scheme, executor, RunOptions(show=lambda line: print(line, flush=True)))
        found = SchemeEnd(end.outcome.value, end.node, end.reason)
    except UserError as error:
        found = SchemeEnd(ERROR, "", str(error))
    atomic_write_text(project.scheme_directory(scheme) / _END, json.dumps(vars(found)) + "\n")


def _watch(host: Owner) -> None:
    while host.alive():
        time.sleep(_WATCH)
    os.kill(os.getpid(), signal.SIGTERM)  # aborts the scheme


def _detach(folder: Path) -> None:
    """Leave the host's family: the process that was started ends, and its child goes on in the background."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            os.write(1, pipe.read())
        os._exit(0)
    os.setsid()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(Owner.current("a scheme for Scipion").text().encode())
    for stream, name in ((1, _LOG), (2, _ERRORS)):
        os.dup2(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), stream)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def main(words: list[str]) -> None:
    """Run the scheme that the words name, in the background."""
    host = Owner.parse(sys.stdin.read())
    if host is None:
        raise SystemExit("expected the identity of a protocol on standard input")
    root, scheme, executor = words
    _detach(Project(Path(root)).scheme_directory(scheme))
    _run(Path(root), scheme, executor, host)


if __name__ == "__main__":
    main(sys.argv[1:])
