"""What operators and substitution may touch of the world: project files, clock, sleep, mail and messages."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import SchemeJob
from relion4plugin.schemes.project import Project, in_project
from relion4plugin.schemes.scheme_star import read_scheme_star

_TRIES = 6
_PAUSE = 1.0


class Report(Protocol):
    """Receiver of lines for the log of a scheme; `level` 1 is always of interest, 2 and 3 are details."""

    def __call__(self, line: str, level: int = 1) -> None:
        """Take one line."""


def silent(line: str, level: int = 1) -> None:
    """Take a line and forget it."""


def no_mail(address: str, subject: str, text: str) -> None:
    """Send nothing."""


def never() -> bool:
    """Say that nobody asked to abort."""
    return False


@dataclass
class Timers:
    """Clocks of one process: when the last `wait` ended, and when `exit_maxtime` stops the scheme; in seconds of the clock."""

    waited_at: float | None = None
    deadline: float | None = None


@dataclass
class Context:
    """The world as one run of a scheme sees it; replace the callables to test without files, time or mail.

    `mail` takes address, subject and text. `abort_requested` is asked at least once a second while waiting.
    """

    project: Project
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    mail: Callable[[str, str, str], None] = no_mail
    report: Report = silent
    abort_requested: Callable[[], bool] = never
    timers: Timers = field(default_factory=Timers)

    def path(self, name: str) -> Path:
        """Return where a file named in a scheme lies."""
        return in_project(self.project, name)

    def jobs_of(self, scheme: str) -> Mapping[str, SchemeJob]:
        """Return the jobs of another scheme as they stand on disk now; waits a few seconds while there are none.

        Raises
        ------
        UserError
            If there is no such scheme, or it has no jobs.
        """
        path = self.project.scheme_file(scheme)
        for attempt in range(_TRIES):
            if attempt:
                self.sleep(_PAUSE)
            jobs = read_scheme_star(path).jobs
            if jobs:
                return jobs
        raise UserError(f"{path} has no jobs, but a path in another scheme names one; correct that path")
