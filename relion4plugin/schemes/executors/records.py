"""What a launch leaves in its job directory: who carries it out, and how it ended."""

import json
import os
from pathlib import Path

from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.schemes.executors.base import JobEnd
from relion4plugin.schemes.owners import Owner
from relion4plugin.schemes.pipeline import Status

_TAIL_LINES, _TAIL_BYTES = 5, 4096


def claim(path: Path, purpose: str) -> bool:
    """Make this process the one that carries out a launch; False where another one is or was."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(Owner.current(purpose).text())
    try:
        os.link(temporary, path)  # appears with its content, or fails
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def read_owner(path: Path) -> Owner | None:
    """Return who claimed a launch, None where nobody has."""
    try:
        return Owner.parse(path.read_text())
    except FileNotFoundError:
        return None


def write_end(path: Path, end: JobEnd) -> None:
    """Write how a launch ended."""
    atomic_write_text(path, json.dumps({"status": end.status.value, "message": end.message}) + "\n")


def read_end(path: Path) -> JobEnd | None:
    """Return how a launch ended, None where it has not."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return JobEnd(Status(values["status"]), values["message"])


def error_tail(directory: Path, start: int = 0) -> str:
    """Return the last lines of run.err behind position `start` as a part of a message, empty where there are none."""
    try:
        with open(directory / "run.err", "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(start, size - _TAIL_BYTES))
            lines = [line for line in stream.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return f"; run.err ends: {' | '.join(lines[-_TAIL_LINES:])}" if lines else ""
