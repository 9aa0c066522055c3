"""Progress of a job as lines of a Scipion log."""

import time
from collections.abc import Callable

SECONDS_BETWEEN_LINES = 5.0


class LogProgress:
    """Writes a line at the start and end of a phase and every few seconds between.

    Parameters
    ----------
    write : callable
        Takes one line; a protocol's ``info``.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._label, self._total, self._done, self._last = "", 0, 0, 0.0

    def start(self, label: str, total: int) -> None:
        """Begin a phase of `total` steps."""
        self._label, self._total, self._done, self._last = label, total, 0, time.monotonic()
        self._write(f"{label}: {total}")

    def advance(self, n: int = 1, note: str = "") -> None:
        """Report `n` more steps."""
        self._done += n
        now = time.monotonic()
        if now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            self._write(f"{self._label}: {self._done} of {self._total} {note}".rstrip())

    def finish(self) -> None:
        """End the phase."""
        self._write(f"{self._label}: {self._done} of {self._total} done")
