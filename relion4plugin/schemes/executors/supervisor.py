"""The process that carries out one launch of a job: it outlives the runner, so that a killed runner costs no finished job.

It claims the launch (a second supervisor of the same launch goes away), waits for GPU slots, runs the commands one after the
other, sees to the exit marker and writes how it ended, as the last thing. Started as

    python -m relion4plugin.schemes.executors.supervisor JOB_DIRECTORY LAUNCH

in the project directory.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import FrameType

from relion4plugin.errors import UserError
from relion4plugin.files.disk_errors import disk_errors_told
from relion4plugin.jobs.markers import ABORT_NOW, ABORTED, FAILURE, SUCCESS
from relion4plugin.schemes.executors import slots
from relion4plugin.schemes.executors.base import RECORDS, JobEnd
from relion4plugin.schemes.executors.plan import Command, Plan, read_plan
from relion4plugin.schemes.executors.queue_watch import QueueWatch
from relion4plugin.schemes.executors.records import claim, error_tail, write_end
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.pipeline_status import marked_status

_PATIENCE = 5.0  # seconds between asking a job to end and ending it
_NOT_FOUND = 127


class Terminated(Exception):
    """Someone wants the job to end."""


def _on_terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated


def supervise(directory: Path, launch: str) -> int:
    """Carry out a launch; returns 0 unless it belongs to another supervisor.

    Raises
    ------
    UserError
        If the disk is full, so that the end cannot be noted.
    """
    with disk_errors_told(directory):
        return _supervise(directory, launch)


def _supervise(directory: Path, launch: str) -> int:
    records = directory / RECORDS
    if not claim(records / f"{launch}.owner", f"running {directory}"):
        return 1
    signal.signal(signal.SIGTERM, _on_terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        plan = read_plan(records / f"{launch}.plan")
        end = _carry_out(plan, directory, records / f"{launch}.queue")
    except Terminated:
        end = JobEnd(Status.ABORTED, "the job was told to end")
    except (UserError, OSError, ValueError) as error:
        end = JobEnd(Status.FAILED, str(error))
    _leave_marker(directory, end)
    write_end(records / f"{launch}.end", end)
    return 0


def _leave_marker(directory: Path, end: JobEnd) -> None:
    """Make marker and end agree."""
    if marked_status(directory) is end.status:
        return
    for marker in (SUCCESS, FAILURE, ABORTED):
        (directory / marker).unlink(missing_ok=True)
    (directory / {Status.SUCCEEDED: SUCCESS, Status.FAILED: FAILURE}.get(end.status, ABORTED)).touch()


def _carry_out(plan: Plan, directory: Path, queue_record: Path) -> JobEnd:
    environment, taken = dict(os.environ), {}
    if plan.gpus is not None:
        wanted = slots.acquire(plan.gpus, str(directory), (directory / ABORT_NOW).exists, lambda holder: _tell(directory, holder))
        if wanted is None:
            return JobEnd(Status.ABORTED, "aborted while waiting for a GPU")
        taken = wanted
        if not plan.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    try:
        if plan.queued:
            return _through_queue(QueueWatch(plan.commands[0], directory, queue_record))
        return _here(plan, directory, environment, tuple(taken.values()))
    finally:
        slots.release(taken)


def _tell(directory: Path, holder: str) -> None:
    with open(directory / "run.out", "a", encoding="utf-8") as stream:
        stream.write(f"waiting for a GPU that is used by {holder}\n")


def _here(plan: Plan, directory: Path, environment: Mapping[str, str], kept_open: tuple[int, ...]) -> JobEnd:
    before = (directory / "run.err").stat().st_size if (directory / "run.err").exists() else 0
    done, code = 0, 0
    while done < len(plan.commands) and code == 0:
        code = _execute(plan.commands[done], directory, environment, kept_open)
        done += 1
    status = marked_status(directory)
    if status is Status.SUCCEEDED and done < len(plan.commands):  # a marker of a command that was not to be the last
        status = None
    if status is None and code == 0 and plan.exit_code_counts:
        return JobEnd(Status.SUCCEEDED)
    if status is Status.SUCCEEDED or status is Status.ABORTED:
        return JobEnd(status)
    what = "reported a failure" if status is Status.FAILED else f"ended with exit code {code} and without a marker"
    program = Path(plan.commands[done - 1][0]).name
    return JobEnd(Status.FAILED, f"{program} {what}{error_tail(directory, before)}")


def _execute(command: Command, directory: Path, environment: Mapping[str, str], kept_open: tuple[int, ...]) -> int:
    """Run one command to its end; its process group is that of the supervisor."""
    with open(directory / "run.out", "ab") as out, open(directory / "run.err", "ab") as err:
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, pass_fds=kept_open)
        except OSError as error:
            err.write(f"cannot start {command[0]}: {error.strerror}\n".encode())
            return _NOT_FOUND
        try:
            return process.wait()
        except Terminated:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            raise


def _through_queue(watch: QueueWatch) -> JobEnd:
    watch.submit()
    try:
        return watch.wait()
    except Terminated:
        watch.cancel()
        raise


if __name__ == "__main__":
    try:
        code = supervise(Path(sys.argv[1]), sys.argv[2])
    except UserError as mistake:  # standard error is run.err
        sys.exit(f"error: {mistake}")
    sys.exit(code)
