"""Waiting for a job to end: abort requests are passed on, and a job that takes too long or has fallen silent is ended."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.markers import ABORT_NOW
from relion4plugin.schemes.context import Context
from relion4plugin.schemes.executors.base import Handle, JobEnd, JobRun
from relion4plugin.schemes.pipeline import Status

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 1.0
_FORCE_AFTER = 10.0  # seconds between asking processes to end and ending them
_LOOKS = 20  # looks at the files of a job within the time that it may be silent


@dataclass(frozen=True)
class JobLimits:
    """What a job may take, in seconds; None is no limit.

    Parameters
    ----------
    grace : float
        Time that a job has to react to an abort request before its processes are ended.
    run_time : float, optional
        Time from its start, waiting for a GPU or in a queue included, after which it is ended as failed.
    silence : float, optional
        Time without a new or changed file in its directory after which it is said to have stalled.
    end_stalled : bool
        Whether a stalled job is ended as failed; otherwise it is only reported.
    """

    grace: float = 10.0
    run_time: float | None = None
    silence: float | None = None
    end_stalled: bool = False

    def __post_init__(self) -> None:
        for name in ("run_time", "silence"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"the limit {name} is {value:g} s; expected a time above 0, or none")


def last_sign(directory: Path) -> float:
    """Return when a job last wrote: the newest time of its files and of all folders below, in seconds since 1970.

    Files in folders are not looked at one by one: a new one changes the time of its folder, and there may be many thousands.
    """
    newest = 0.0
    for folder, _, files in os.walk(directory):
        looked_at = [folder, *(os.path.join(folder, name) for name in files)] if folder == str(directory) else [folder]
        for path in looked_at:
            try:
                newest = max(newest, os.stat(path).st_mtime)
            except FileNotFoundError:  # a temporary file that has got its name by now
                continue
    return newest


class JobWait:
    """Waits for one job.

    Parameters
    ----------
    context : Context
        Clock, requests to abort and the log.
    event : callable
        Writes into the event log.
    limits : JobLimits
        What the job may take.
    """

    def __init__(self, context: Context, event: Callable[..., None], limits: JobLimits) -> None:
        self.context, self.event, self.limits = context, event, limits
        self.asked = self.cancelled = 0.0  # when the job was asked to end, and when its processes were; 0 for not yet
        self.reason = ""  # why the runner ended it
        self.stalled = False
        self.next_look = 0.0

    def until_end(self, handle: Handle, run: JobRun) -> JobEnd:
        """Return how the job ended."""
        pause, started = _FIRST_PAUSE, self._started_at(run)
        self.next_look = time.monotonic()
        while (end := handle.poll()) is None:
            self._look(run, started)
            now = time.monotonic()
            if self.asked and now - max(self.asked, self.cancelled) > (_FORCE_AFTER if self.cancelled else self.limits.grace):
                handle.cancel()
                self.cancelled = now
            time.sleep(pause)
            pause = min(1.5 * pause, _LONGEST_PAUSE)
        if self.reason and end.status is not Status.SUCCEEDED:
            return JobEnd(Status.FAILED, self.reason)
        if self.asked and end.status is Status.FAILED:
            return JobEnd(Status.ABORTED, end.message)
        return end

    def _started_at(self, run: JobRun) -> float:
        """Return when the job was started, also by a runner before this one."""
        try:
            return run.record("plan").stat().st_mtime
        except FileNotFoundError:
            return time.time()

    def _look(self, run: JobRun, started: float) -> None:
        """Ask the job to end where someone wants that or a limit is passed."""
        if self.asked:
            return
        if self.context.abort_requested():
            self._ask(run, f"Abort requested: {run.directory} has {self.limits.grace:g} seconds to end by itself")
            return
        limit, now = self.limits.run_time, time.time()
        if limit is not None and now - started > limit:
            self.reason = f"it ran longer than {_span(limit)}, the limit for a job"
        elif self.limits.silence is not None and time.monotonic() >= self.next_look:
            self.next_look = time.monotonic() + self.limits.silence / _LOOKS
            self._listen(run, now - max(started, last_sign(run.path)))
        if self.reason:
            self._ask(run, f"{run.directory} is ended: {self.reason}")

    def _listen(self, run: JobRun, silent: float) -> None:
        limit = self.limits.silence
        assert limit is not None
        if silent <= limit:
            self.stalled = False
            return
        if self.limits.end_stalled:
            self.reason = f"it wrote nothing for {_span(limit)}"
        elif not self.stalled:
            self.context.report(f" + WARNING: {run.directory} wrote nothing for {_span(limit)}; it may hang")
        if not self.stalled:
            self.event("stalled", job=run.directory, launch=run.launch, seconds=round(silent, 3))
        self.stalled = True

    def _ask(self, run: JobRun, line: str) -> None:
        self.asked = time.monotonic()
        (run.path / ABORT_NOW).touch()
        self.context.report(f" + {line}")


def _span(seconds: float) -> str:
    for size, name in ((3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} s"
