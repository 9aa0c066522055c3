"""How a command behaves that is the process of a job: SIGTERM aborts it, an error is said once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from relion4plugin.jobs.jobdir import AbortRequested


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the job as an abort does, with its marker."""

    def abort(number: int, frame: FrameType | None) -> None:
        raise AbortRequested("terminated")

    earlier = signal.signal(signal.SIGTERM, abort)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


@contextmanager
def said_once(run_err: Path) -> Iterator[None]:
    """Say nothing more about an error where the error stream is the file in which it stands already."""
    try:
        yield
    except BaseException:
        if _is_error_stream(run_err):
            sys.stderr = open(os.devnull, "w", encoding="utf-8")
        raise


def _is_error_stream(path: Path) -> bool:
    try:
        return path.exists() and os.path.samestat(os.fstat(sys.stderr.fileno()), path.stat())
    except OSError:  # a stream without a file
        return False
