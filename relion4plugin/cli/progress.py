"""Progress on a terminal: a bar on a screen, a few lines in a log."""

import sys
import time
from typing import Any, TextIO

from relion4plugin.progress import Progress, Silent

_LINES = 10  # per phase, where there is no screen


class BarProgress:
    """A tqdm bar per phase."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Any = None

    def start(self, label: str, total: int) -> None:
        """Open a bar."""
        from tqdm import tqdm

        self.finish()
        self._bar = tqdm(total=total, desc=label, file=self._stream, dynamic_ncols=True)

    def advance(self, n: int = 1, note: str = "") -> None:
        """Move the bar."""
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(n)

    def finish(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class LineProgress:
    """At most ten lines per phase, for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._label, self._total, self._done, self._shown, self._begin = "", 0, 0, 0, 0.0

    def start(self, label: str, total: int) -> None:
        """Name the phase."""
        self._label, self._total, self._done, self._shown, self._begin = label, total, 0, 0, time.monotonic()

    def advance(self, n: int = 1, note: str = "") -> None:
        """Print a line at every tenth of the phase."""
        self._done += n
        tenth = _LINES * self._done // max(self._total, 1)
        if tenth > self._shown:
            self._shown = tenth
            seconds = time.monotonic() - self._begin
            print(f"{self._label} {self._done}/{self._total} {seconds:.0f} s {note}".rstrip(), file=self._stream, flush=True)

    def finish(self) -> None:
        """Nothing to close."""


def terminal_progress(quiet: bool = False, stream: TextIO | None = None) -> Progress:
    """Return the progress that suits the stream (standard error unless given)."""
    stream = stream or sys.stderr
    if quiet:
        return Silent()
    return BarProgress(stream) if stream.isatty() else LineProgress(stream)
