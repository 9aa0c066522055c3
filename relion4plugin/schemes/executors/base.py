"""What an executor is: it starts a job and gives a handle that tells how the job fares."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from relion4plugin.jobs.job_type import JobType
from relion4plugin.schemes.pipeline import Status

RECORDS = ".launch"  # folder in a job directory with what launches leave


@dataclass(frozen=True)
class JobRun:
    """One execution of a job.

    `root` is the project; `directory` that of the job with a trailing slash, relative to it; `launch` the name of this
    execution, never used again; `options` are those of its job.star.
    """

    root: Path
    directory: str
    launch: str
    kind: JobType
    options: Mapping[str, str]
    is_continue: bool = False

    @property
    def path(self) -> Path:
        """The job directory."""
        return self.root / self.directory

    def record(self, what: str) -> Path:
        """Return a file of this launch: ``plan``, ``owner``, ``queue`` or ``end``."""
        return self.path / RECORDS / f"{self.launch}.{what}"


@dataclass(frozen=True)
class JobEnd:
    """How a job ended; `message` says in one or a few lines why it failed."""

    status: Status
    message: str = ""


class Handle(Protocol):
    """A job that was started."""

    def poll(self) -> JobEnd | None:
        """Return how the job ended, None while it runs; cheap to call often."""

    def cancel(self) -> None:
        """Ask all processes of the job to end; a second call ends them by force."""


class Executor(Protocol):
    """Starts jobs, and finds those that an earlier runner started."""

    name: str
    simulates: bool

    def commands(self, run: JobRun) -> tuple[tuple[str, ...], ...]:
        """Return what would be executed, each command a tuple of words.

        Raises
        ------
        UserError
            If the job cannot run so.
        """

    def start(self, run: JobRun) -> Handle:
        """Start a job; a launch that was started before is not started twice.

        Raises
        ------
        UserError
            If the job cannot run so.
        """

    def attach(self, run: JobRun) -> Handle | None:
        """Return the handle of a launch that was started before, None where it was not."""
