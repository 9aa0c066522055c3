"""The event log of a scheme: Schemes/NAME/events.jsonl, one JSON object a line, only ever appended to.

Each event has `time` (seconds since 1970) and `event`:

| event | fields | when |
|---|---|---|
| run | pid, host, executor, strict, node | a runner starts |
| node | node, kind (operator, job) | a node is about to be executed |
| operator | node, type, output, value | an operator has set its output (value null for none) |
| fork | node, variable, value, next | a fork was decided |
| launch | node, job, launch, label, is_continue, options | a job is about to start, with all options as they are used |
| waiting | node, job, file | an input file is not there yet |
| started | node, job, launch | a job runs |
| ended | node, job, launch, status, seconds, message | a job has ended |
| edit | change, node or name, error | a command of a user was applied between two nodes |
| mail | address, subject | a mail was asked for |
| log | text, level | a line for people |
| end | outcome, reason, node | the runner stops |
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from relion4plugin.errors import UserError
from relion4plugin.files.disk_errors import disk_errors_told

FILE_NAME = "events.jsonl"


class EventLog:
    """The log, open for appending; each event is one write, so that logs of several processes do not mix."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(f"cannot write {path}: {reason}; the scheme's folder must be writable") from error
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":  # a line that was cut off stays alone
            os.write(self._descriptor, b"\n")

    def write(self, event: str, **fields: Any) -> None:
        """Append one event.

        Raises
        ------
        UserError
            If the disk is full.
        """
        line = json.dumps({"time": round(self.clock(), 3), "event": event, **fields})
        with disk_errors_told(self.path):
            os.write(self._descriptor, line.encode("utf-8") + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def __enter__(self) -> "EventLog":
        """Give the log."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self.close()


def read_events(path: Path, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the events of a log with the position behind each, from which a later call goes on.

    Lines that a crash cut off are left out; a last line that is still being written is not given yet. A missing file has
    no events.

    Parameters
    ----------
    path : Path
        The log.
    offset : int
        Position in bytes, 0 or one that was given before.
    """
    try:
        stream = open(path, "rb")
    except FileNotFoundError:
        return
    with stream:
        stream.seek(offset)
        for line in stream:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if isinstance(event, dict) and "event" in event:
                yield offset, event
