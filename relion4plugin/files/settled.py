"""Which files of a growing directory are written to their end, as far as sizes and times tell."""

import os
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


def is_settled(path: str | os.PathLike[str], seconds: float, now: float) -> bool:
    """Tell whether a file has bytes and was last changed at least some time ago.

    Parameters
    ----------
    path
        The file; a missing one is not settled.
    seconds
        Least age; 0 takes every file that is not empty.
    now
        Time in seconds since 1970 on the clock of the file system.
    """
    try:
        status = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size > 0 and (seconds <= 0 or now - status.st_mtime >= seconds)


@dataclass(frozen=True)
class _Look:
    """Size and time of change (ns) of a file, and since when it has them."""

    size: int
    changed: int
    since: float


class SettledFiles:
    """Looks at files again and again; those whose size and time stay the same for a while are settled.

    It needs no agreement between the clocks of the camera's computer, the file server and this one.

    Parameters
    ----------
    seconds
        How long a file must stay the same; 0 takes every file that is not empty.
    clock
        Seconds that never go back.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._looks: dict[Path, _Look] = {}

    def look(self, paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
        """Return the settled ones of the files and those to wait for, both in the order given; missing files are left out.

        What is known about files that are not given any more is forgotten.
        """
        now, looks = self._clock(), {}
        settled: list[Path] = []
        waiting: list[Path] = []
        for path in paths:
            try:
                status = path.stat()
            except OSError:
                continue
            before = self._looks.get(path)
            same = before is not None and (before.size, before.changed) == (status.st_size, status.st_mtime_ns)
            since = before.since if before is not None and same else now
            looks[path] = _Look(status.st_size, status.st_mtime_ns, since)
            (settled if status.st_size > 0 and now - since >= self._seconds else waiting).append(path)
        self._looks = looks
        return settled, waiting
