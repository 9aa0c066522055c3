"""What was read from a file, kept until the file changes."""

import stat
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from relion4plugin.errors import UserError

T = TypeVar("T")

Stamp = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """Return time of change (ns), size and number of a file or folder; None for anything else, such as a pipe."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # the latter for names that no file can have
        return None
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


class FileCache:
    """Results of reading functions, each kept as long as time, size and number of its file stay the same.

    Several threads may use it. The least recently used results go first.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._entries: OrderedDict[tuple[Path, Callable[[Path], Any]], tuple[Stamp, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path, read: Callable[[Path], T]) -> T | None:
        """Return ``read(path)``, from memory where the file is unchanged; None where there is no file.

        Parameters
        ----------
        path : Path
            The file.
        read : callable
            A function of a module; the same object in every call.

        Raises
        ------
        UserError
            What `read` raises, also from memory.
        """
        stamp = stamp_of(path)
        if stamp is None:
            return None
        with self._lock:
            known = self._entries.get((path, read))
        if known is None or known[0] != stamp:
            known = (stamp, _outcome(path, read))
        self._keep((path, read), known)
        if isinstance(known[1], UserError):
            raise known[1]
        return known[1]  # type: ignore[no-any-return]

    def _keep(self, key: tuple[Path, Callable[[Path], Any]], entry: tuple[Stamp, Any]) -> None:
        with self._lock:
            self._entries[key] = entry
            self._entries.move_to_end(key)
            if len(self._entries) > self._capacity:
                self._entries.popitem(last=False)


def _outcome(path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except UserError as error:
        return error
