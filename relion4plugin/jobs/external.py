"""A program of the user's as a job: run without a shell, watched for an abort request."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from relion4plugin.errors import UserError
from relion4plugin.jobs.jobdir import ABORTED, FAILURE, SUCCESS, AbortRequested
from relion4plugin.jobs.option_text import expanded
from relion4plugin.jobs.output_nodes import read_output_nodes
from relion4plugin.jobs.programs import program_words
from relion4plugin.progress import Progress

_POLL_SECONDS = 0.2
_GRACE_SECONDS = 5.0


def run(command: Sequence[str], out_dir: Path, progress: Progress) -> tuple[str, ...]:
    """Run a program in the project directory and wait for it.

    Its output goes to run.out and run.err. It may declare files in RELION_OUTPUT_NODES.star and say by RELION's exit markers
    how it ended; without a marker its exit code counts.

    Parameters
    ----------
    command
        Words of the command; environment variables in them are filled in.
    out_dir
        Job directory.
    progress
        Asked all the time whether the job is to be aborted: an exception that it raises ends the program.

    Returns
    -------
    tuple of str
        One line about the files that the program declared.

    Raises
    ------
    UserError
        If there is no such program, it fails, or the list of its files is damaged.
    """
    words = expanded(list(command))
    program = program_words(words[0])
    if not program:
        raise UserError(f"fn_exe: there is no program {words[0]}, or it may not be executed; correct the path, or make it executable")
    progress.start(f"External {Path(words[0]).name}", 1)
    with open(out_dir / "run.out", "ab") as out, open(out_dir / "run.err", "ab") as err:
        code = watched([*program, *words[1:]], progress, out, err)
    _check_end(words[0], code, out_dir)
    declared = read_output_nodes(out_dir)
    progress.advance(1)
    progress.finish()
    return (f"{len(declared)} files declared: {', '.join(declared)}",) if declared else ()


def watched(
    words: Sequence[str],
    progress: Progress,
    out: IO[bytes],
    err: IO[bytes],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a program to its end without a shell, and end it with everything that it started if `progress` raises an exception.

    Parameters
    ----------
    words
        Program and its words.
    progress
        Asked all the time whether to go on.
    out, err
        Where its output goes.
    cwd, env
        Its folder and environment; None for those of this process.

    Returns
    -------
    int
        Exit code; negative for the number of a signal.

    Raises
    ------
    OSError
        If it cannot be started.
    """
    process = subprocess.Popen(list(words), stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd, env=env, start_new_session=True)
    try:
        return _wait(process, progress)
    finally:
        _end(process)


def _wait(process: subprocess.Popen[bytes], progress: Progress) -> int:
    while True:
        try:
            return process.wait(_POLL_SECONDS)
        except subprocess.TimeoutExpired:
            progress.advance(0)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that still runs, with everything that it started."""
    if process.poll() is not None:
        return
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _check_end(program: str, code: int, out_dir: Path) -> None:
    if (out_dir / ABORTED).exists():
        raise AbortRequested(f"{program} says that it was aborted")
    failed = (out_dir / FAILURE).exists()
    if code == 0 and not failed:
        return
    (out_dir / SUCCESS).unlink(missing_ok=True)  # RELION believes the first marker that it finds
    how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}" if code else f"left {FAILURE}"
    raise UserError(f"{program} {how}; its last words are in {out_dir / 'run.err'}")
