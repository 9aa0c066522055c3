"""What a scheme has done so far, folded from its event log; reading goes on where it stopped."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from relion4plugin.schemes.events import read_events

RECENT = 60
_MOST_POINTS = 4000
_TIMERS = ("wait", "exit_maxtime")
_SUCCEEDED = "Succeeded"

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Happening:
    """One line of the history: seconds since 1970, the node that it is about (empty for the scheme), and the text."""

    time: float
    node: str
    text: str
    is_bad: bool = False


@dataclass(frozen=True)
class JobRun:
    """One execution of a job; times in seconds since 1970, `ended` None while it runs."""

    node: str
    job: str
    started: float
    ended: float | None = None
    status: str = "Running"
    message: str = ""


@dataclass(frozen=True)
class History:
    """What is known from the log.

    `visits` counts the executions of nodes, `came_from` names the node before the last execution of each, `node` is the last
    one that began. `runs` maps a job directory to its last execution, `series` an output variable of operators to its values
    (time, value). `outcome` and `reason` are those of the last end, empty while the scheme runs; `waiting_for` is a file that a job waits
    for.
    """

    node: str = ""
    visits: Mapping[str, int] = field(default_factory=dict)
    came_from: Mapping[str, str] = field(default_factory=dict)
    runs: Mapping[str, JobRun] = field(default_factory=dict)
    series: Mapping[str, Points] = field(default_factory=dict)
    recent: tuple[Happening, ...] = ()
    outcome: str = ""
    reason: str = ""
    waiting_for: str = ""


class HistoryReader:
    """Folds a growing event log; each call of `read` looks only at what was added since the last one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._forget()

    def _forget(self) -> None:
        self._offset = 0
        self._file = -1
        self._known = History()
        self._visits: dict[str, int] = {}
        self._came_from: dict[str, str] = {}
        self._runs: dict[str, JobRun] = {}
        self._series: dict[str, list[tuple[float, float]]] = {}
        self._recent: deque[Happening] = deque(maxlen=RECENT)
        self._node = self._outcome = self._reason = self._waiting = ""

    def read(self) -> History:
        """Return the history up to now; a log that was replaced by another is read anew."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._forget()
            return self._known
        if status.st_ino != self._file or status.st_size < self._offset:
            self._forget()
            self._file = status.st_ino
        if status.st_size == self._offset:
            return self._known
        before = self._offset
        for offset, event in read_events(self._path, self._offset):
            self._offset = offset
            self._take(event)
        if self._offset != before:
            self._known = self._snapshot()
        return self._known

    def _snapshot(self) -> History:
        return History(
            self._node,
            dict(self._visits),
            dict(self._came_from),
            dict(self._runs),
            {name: tuple(points) for name, points in self._series.items()},
            tuple(self._recent),
            self._outcome,
            self._reason,
            self._waiting,
        )

    def _take(self, event: Mapping[str, Any]) -> None:
        time, kind, node = _number(event.get("time")) or 0.0, event["event"], _text(event.get("node"))
        if kind == "run":
            self._outcome = self._reason = ""
            self._say(time, "", f"started by process {_text(event.get('pid'))} on {_text(event.get('host'))}")
        elif kind == "node":
            self._enter(node)
        elif kind == "operator":
            self._operator(time, node, event)
        elif kind == "fork":
            self._say(time, node, f"{_text(event.get('variable'))} is {_text(event.get('value'))}: on to {_text(event.get('next'))}")
        elif kind == "waiting":
            self._waiting = _text(event.get("file"))
            self._say(time, node, f"waits for {self._waiting}")
        elif kind in ("started", "ended"):
            self._job(kind, time, node, event)
        elif kind == "edit":
            error = _text(event.get("error"))
            what = f"{_text(event.get('change'))} {_text(event.get('name')) or node}"
            self._say(time, "", f"{what}: refused, {error}" if error else f"{what}: done", bool(error))
        elif kind == "end":
            self._outcome, self._reason, self._waiting = _text(event.get("outcome")), _text(event.get("reason")), ""
            self._say(time, node, f"stopped: {self._reason or self._outcome}")

    def _enter(self, node: str) -> None:
        if self._node:
            self._came_from[node] = self._node
        self._node, self._waiting = node, ""
        self._visits[node] = self._visits.get(node, 0) + 1

    def _operator(self, time: float, node: str, event: Mapping[str, Any]) -> None:
        output, value = _text(event.get("output")), event.get("value")
        number = _number(value)
        if value is None or event.get("type") in _TIMERS:
            return
        self._say(time, node, f"{output} = {_text(value)}")
        if number is None:
            return
        points = self._series.setdefault(output, [])
        if len(points) > 1 and points[-1][1] == points[-2][1] == number:
            points.pop()  # of a value that stays, the first and the last time say all
        points.append((time, number))
        if len(points) > _MOST_POINTS:
            del points[1:-1:2]

    def _job(self, kind: str, time: float, node: str, event: Mapping[str, Any]) -> None:
        job, self._waiting = _text(event.get("job")), ""
        if kind == "started":
            self._runs[job] = JobRun(node, job, time)
            self._say(time, node, f"{job} started")
            return
        status, message = _text(event.get("status")), _text(event.get("message"))
        run = self._runs.get(job, JobRun(node, job, time - (_number(event.get("seconds")) or 0.0)))
        self._runs[job] = replace(run, ended=time, status=status, message=message)
        is_bad = status != _SUCCEEDED
        self._say(time, node, f"{job} {status.lower()}" + (f": {message}" if message and is_bad else ""), is_bad)

    def _say(self, time: float, node: str, text: str, is_bad: bool = False) -> None:
        self._recent.append(Happening(time, node, text, is_bad))


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
