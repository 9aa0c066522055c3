"""Jobs as processes of this machine, each under a supervisor of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import relion4plugin
from relion4plugin.files.disk_errors import full_disk
from relion4plugin.jobs.markers import ABORTED, FAILURE
from relion4plugin.schemes.executors.base import RECORDS, Handle, JobEnd, JobRun
from relion4plugin.schemes.executors.plan import Plan, write_plan
from relion4plugin.schemes.executors.records import error_tail, read_end, read_owner
from relion4plugin.schemes.owners import Owner
from relion4plugin.schemes.pipeline import Status

Planner = Callable[[JobRun], Plan]


class ProcessExecutor:
    """Starts a supervisor for each job; `planner` says what it has to do."""

    simulates = False

    def __init__(self, name: str, planner: Planner) -> None:
        self.name, self.planner = name, planner

    def commands(self, run: JobRun) -> tuple[tuple[str, ...], ...]:
        """Return what would be executed."""
        return self.planner(run).commands

    def start(self, run: JobRun) -> Handle:
        """Write the plan and start its supervisor.

        Raises
        ------
        UserError
            If the job cannot run so.
        """
        plan = self.planner(run)
        (run.path / RECORDS).mkdir(exist_ok=True)
        write_plan(run.record("plan"), plan)
        return ProcessHandle(run, self.spawn(run))

    def attach(self, run: JobRun) -> Handle | None:
        """Return the handle of a launch that has a plan.

        A supervisor is started where none has shown itself: of two, one goes away. One that was killed while its job was in
        a queue is replaced by another that goes on watching.
        """
        if not run.record("plan").exists():
            return None
        owner = read_owner(run.record("owner"))
        if owner is not None and owner.alive() is False and run.record("queue").exists() and not run.record("end").exists():
            run.record("owner").unlink()
            owner = None
        return ProcessHandle(run, self.spawn(run) if owner is None else None)

    def spawn(self, run: JobRun) -> subprocess.Popen[bytes] | None:
        """Start the supervisor in a session of its own, so that what ends the runner does not end the job."""
        place = str(Path(relion4plugin.__file__).resolve().parent.parent)
        path = os.pathsep.join(part for part in (place, os.environ.get("PYTHONPATH", "")) if part)
        with open(run.path / "run.err", "ab") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "relion4plugin.schemes.executors.supervisor", run.directory, run.launch],
                cwd=run.root,
                env={**os.environ, "PYTHONPATH": path},
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )


class ProcessHandle:
    """A job under a supervisor, which this process may have started, or an earlier one."""

    def __init__(self, run: JobRun, child: subprocess.Popen[bytes] | None) -> None:
        self.run, self.child = run, child
        self._asked = False

    def poll(self) -> JobEnd | None:
        """Return how the job ended; a supervisor that is gone without a word means that it was killed."""
        gone = self.child is not None and self.child.poll() is not None
        owner = read_owner(self.run.record("owner"))
        alive = owner.alive() if owner is not None else not gone
        end = read_end(self.run.record("end"))
        if end is not None or alive or alive is None:
            return end
        return self._abandoned(owner)

    def _abandoned(self, owner: Owner | None) -> JobEnd:
        if owner is not None:
            self._signal(signal.SIGKILL)  # programs that are still there
        status = Status.ABORTED if self._asked else Status.FAILED
        (self.run.path / (ABORTED if self._asked else FAILURE)).touch()
        return JobEnd(status, f"the job was killed without leaving a marker{full_disk(self.run.path)}{error_tail(self.run.path)}")

    def cancel(self) -> None:
        """Ask the job's processes to end; the second time by force."""
        self._signal(signal.SIGKILL if self._asked else signal.SIGTERM)
        self._asked = True

    def _signal(self, number: signal.Signals) -> None:
        owner = read_owner(self.run.record("owner"))
        group = owner.pid if owner is not None and owner.leads_group() else 0
        if owner is None and self.child is not None and self.child.poll() is None:
            group = self.child.pid
        if group:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, number)
