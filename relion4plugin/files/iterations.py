"""The record of a run: one JSON line for each iteration."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.disk_errors import write_error


def _plain(value: Any) -> Any:
    """Turn numpy values into what JSON knows."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be stored in an iteration record")


def append_iteration(path: str | os.PathLike[str], record: Mapping[str, Any]) -> None:
    """Append one record as one line; a half-written last line of an interrupted run is dropped first.

    Parameters
    ----------
    path : path-like
        run_iterations.jsonl; made if missing.
    record : mapping
        Values that JSON knows, numpy scalars and arrays.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    line = (json.dumps(dict(record), default=_plain) + "\n").encode("utf-8")
    try:
        with open(path, "ab+") as stream:
            stream.truncate(_end_of_last_line(stream))
            stream.write(line)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise write_error(path, error) from error


def _end_of_last_line(stream: Any) -> int:
    """Return the length of the file up to its last line break."""
    end: int = stream.seek(0, os.SEEK_END)
    while end > 0:
        start = max(0, end - 65536)
        stream.seek(start)
        found: int = stream.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def read_iterations(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Read the records of a run, also while it is being written: a half-written last line is left out.

    Raises
    ------
    UserError
        If the file is missing or a complete line is not a record.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UserError(f"{path}: cannot be read ({reason}); expected the record of a run, run_iterations.jsonl") from error
    records: list[dict[str, Any]] = []
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            record = json.loads(line)
        except ValueError:
            raise UserError(f"{path}, line {number}: not a JSON record; remove the damaged line") from None
        if not isinstance(record, dict):
            raise UserError(f"{path}, line {number}: expected a JSON object; remove the damaged line")
        records.append(record)
    return records


def truncate_iterations(path: str | os.PathLike[str], last: int) -> None:
    """Drop the records of iterations after `last`, as a run that restarts there must; a missing file stays missing."""
    path = Path(path)
    if not path.exists():
        return
    kept = [record for record in read_iterations(path) if record.get("iteration", 0) <= last]
    atomic_write_text(path, "".join(json.dumps(record) + "\n" for record in kept))
