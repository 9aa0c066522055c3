"""The logs of known jobs and schemes, piece by piece: never a whole file, never another file."""

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.status import ProjectStatus

LOGS = ("run.out", "run.err", "note.txt")
TAIL = 16 * 1024
CHUNK = 64 * 1024
_JOB_NAME = re.compile(r"[A-Za-z0-9_-]+/job\d{3,}/", re.ASCII)


@dataclass(frozen=True)
class Chunk:
    """A piece of a log: bytes `start` to `end` of `size`; `anew` where it does not follow what was asked for."""

    text: str
    start: int
    end: int
    size: int
    anew: bool


def job_directory(status: ProjectStatus, name: str) -> Path:
    """Return the directory of a job of the pipeline.

    Raises
    ------
    UserError
        If the pipeline has no such job, or calls a job what is no job directory.
    """
    job = status.job(name)
    if not _JOB_NAME.fullmatch(job.name):
        raise UserError(f"{job.name!r} is no job directory; expected a name such as Class2D/job007/")
    return Path(status.root) / job.name


def job_log(status: ProjectStatus, job: str, name: str) -> Path:
    """Return the path of a log of a job.

    Raises
    ------
    UserError
        If there is no such job or log.
    """
    return _log(job_directory(status, job), name)


def scheme_log(project: Project, status: ProjectStatus, scheme: str, name: str) -> Path:
    """Return the path of a log of a scheme.

    Raises
    ------
    UserError
        If there is no such scheme or log.
    """
    return _log(project.scheme_directory(status.scheme(scheme).name), name)


def _log(directory: Path, name: str) -> Path:
    if name not in LOGS:
        raise UserError(f"no log {name!r}; there are {', '.join(LOGS)}")
    path = directory / name
    if path.exists() and not path.resolve().is_relative_to(directory.resolve()):
        raise UserError(f"{path} leads out of its directory")
    return path


def read_chunk(path: Path, offset: int | None = None) -> Chunk:
    """Read on from a position in bytes; without one, the end of the file from the beginning of a line.

    A log that has become shorter is read anew from its end; a missing one is empty.

    Raises
    ------
    UserError
        If it is no ordinary file or cannot be read.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as stream:
            size = _size(path, stream.fileno())
            anew = offset is None or not size - CHUNK <= offset <= size  # too far behind: go on at the end
            start = max(0, size - TAIL) if anew or offset is None else offset
            stream.seek(start)
            data = stream.read(CHUNK)
    except FileNotFoundError:
        return Chunk("", 0, 0, 0, bool(offset))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    if anew and start:
        line = data.find(b"\n") + 1
        start, data = start + line, data[line:]
    data = data[: _whole(data)]
    return Chunk(data.decode("utf-8", errors="replace"), start, start + len(data), size, anew)


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a pipe in the place of a log would wait for its writer


def _size(path: Path, descriptor: int) -> int:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is no ordinary file")
    return status.st_size


def _whole(data: bytes) -> int:
    """Return the length without a last character of which some bytes are still missing."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            width = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if width > back else len(data)
        if byte < 0x80:
            break
    return len(data)
