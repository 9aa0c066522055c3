"""One run of a scheme in a project: lock, log, signals, executor, runner."""

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from relion4plugin.errors import UserError
from relion4plugin.files.disk_errors import disk_errors_told, file_error
from relion4plugin.jobs.job_type import JobType
from relion4plugin.jobs.markers import ABORT_NOW
from relion4plugin.jobs.registry import job_type
from relion4plugin.schemes.context import Context
from relion4plugin.schemes.events import FILE_NAME, EventLog
from relion4plugin.schemes.executors.base import Executor
from relion4plugin.schemes.executors.choice import executor as executor_named
from relion4plugin.schemes.executors.dry import DryExecutor, shadow
from relion4plugin.schemes.job_launch import open_pipeline
from relion4plugin.schemes.job_node import JobNodes
from relion4plugin.schemes.job_wait import JobLimits
from relion4plugin.schemes.locks import Lock, scheme_lock
from relion4plugin.schemes.mail import mailer
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.runner import RunEnd, Runner
from relion4plugin.schemes.signals import StopRequest, stop_request
from relion4plugin.schemes.store import load_scheme


@dataclass
class RunOptions:
    """How a scheme is run.

    Parameters
    ----------
    strict : bool
        RELION's behaviour also where it differs from what is documented.
    max_steps : int, optional
        Stop after so many nodes.
    limits : JobLimits
        What a job may take.
    verbosity : int
        0 silent, 1 what happens, 2 and 3 also details; for `show`.
    show : callable
        Receives lines for people.
    types : callable
        Finds a job type by its label.
    """

    strict: bool = False
    max_steps: int | None = None
    limits: JobLimits = field(default_factory=JobLimits)
    verbosity: int = 1
    show: Callable[[str], None] = print
    types: Callable[[str], JobType] = field(default=job_type)


def run_scheme(project: Project, name: str, executor: Executor | str = "auto", options: RunOptions | None = None) -> RunEnd:
    """Run a scheme from where it stands.

    SIGTERM, SIGINT and SIGHUP abort it cleanly: the job is told to stop, the state is saved, the lock released.

    Raises
    ------
    UserError
        If it runs already, cannot be read, a node cannot be executed, or the disk is full.
    """
    chosen = executor_named(executor) if isinstance(executor, str) else executor
    how = options or RunOptions()
    directory = project.scheme_directory(name)
    if not project.scheme_file(name).exists():
        load_scheme(project, name)  # says which schemes there are
    with (
        disk_errors_told(directory),
        scheme_lock(project, name, f"scheme {directory.name}") as lock,
        EventLog(directory / FILE_NAME) as log,
        stop_request() as stop,
    ):
        return _run(project, name, chosen, how, _Guard(lock, stop, project, name), log)


@dataclass
class _Guard:
    """Looks for requests to stop, and shows meanwhile that this process lives."""

    lock: Lock
    stop: StopRequest
    project: Project
    name: str

    def abort_requested(self) -> bool:
        self.lock.heartbeat()
        return bool(self.stop) or (self.project.scheme_directory(self.name) / ABORT_NOW).exists()


def _run(project: Project, name: str, chosen: Executor, how: RunOptions, guard: _Guard, log: EventLog) -> RunEnd:
    def report(line: str, level: int = 1) -> None:
        log.write("log", text=line, level=level)
        if level <= how.verbosity:
            how.show(line)

    try:
        scheme = load_scheme(project, name, report)
        open_pipeline(project)
        context = Context(project, report=report, mail=mailer(report), abort_requested=guard.abort_requested)
        jobs = JobNodes(context, chosen, how.types, log.write, how.limits, how.strict)
        log.write("run", pid=os.getpid(), host=socket.gethostname(), executor=chosen.name, strict=how.strict, node=scheme.current_node)
        report(f" + Starting {scheme.name} at {scheme.current_node}")
        return Runner(scheme, context, jobs, log.write, how.strict).run(how.max_steps)
    except (UserError, OSError) as error:
        with suppress(UserError, OSError):  # a full disk must not hide the first error
            told = file_error(error, project.scheme_directory(name)) if isinstance(error, OSError) else None
            log.write("end", outcome="error", reason=str(told or error), node="")
        raise


def dry_run(project: Project, name: str, options: RunOptions) -> tuple[RunEnd, list[str]]:
    """Go through a scheme until each of its jobs had one chance to run, and return the commands; the project stays as it is.

    Raises
    ------
    UserError
        As `run_scheme`.
    """
    if not project.scheme_file(name).exists():
        load_scheme(project, name)
    executor = executor_named("dry")
    assert isinstance(executor, DryExecutor)
    with shadow(project) as copy:
        scheme = load_scheme(copy, name)
        steps = options.max_steps or len(scheme.operators) + len(scheme.jobs)
        options.max_steps = steps
        end = run_scheme(copy, name, executor, options)
    return end, executor.lines
