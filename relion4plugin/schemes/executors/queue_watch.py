"""A job in the queue of a cluster: handed over, watched until it ends, taken back."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.schemes.executors.base import JobEnd
from relion4plugin.schemes.executors.plan import Command
from relion4plugin.schemes.executors.records import error_tail
from relion4plugin.schemes.pipeline import Status
from relion4plugin.schemes.pipeline_status import marked_status

_PAUSE = 1.0
_ASK_EVERY = 15.0  # seconds between two questions to the queue
_PATIENCE = 60.0
_LATE = 60.0  # a marker may become visible that long after the queue forgot the job
_NUMBER = re.compile(r"\d[\w.\[\]-]*")
# Program that submits -> programs that tell whether a job is known and that take it back.
_SYSTEMS: dict[str, tuple[Command, Command]] = {
    "sbatch": (("squeue", "-h", "-o", "%i", "-j"), ("scancel",)),
    "qsub": (("qstat",), ("qdel",)),
    "bsub": (("bjobs", "-noheader"), ("bkill",)),
}


class QueueWatch:
    """One job in a queue.

    Parameters
    ----------
    submit : tuple of str
        The command that submits: program, its options, script.
    directory : Path
        The job directory, where the job leaves its marker.
    record : Path
        Keeps the number that the queue gave; where it exists the job was submitted before.
    """

    def __init__(self, submit: Command, directory: Path, record: Path, sleep: Callable[[float], None] = time.sleep) -> None:
        self.submit_command, self.directory, self.record, self.sleep = submit, directory, record, sleep
        self.number = record.read_text().strip() if record.exists() else ""

    def submit(self) -> None:
        """Hand the job over, once.

        Raises
        ------
        UserError
            If the queue refuses it.
        """
        if self.record.exists():
            return
        program = self.submit_command[0]
        try:
            done = subprocess.run(self.submit_command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise UserError(f"cannot submit to the queue: {program}: {error.strerror}; correct the option qsub") from error
        with open(self.directory / "run.out", "a", encoding="utf-8") as stream:
            stream.write(done.stdout)
        if done.returncode != 0:
            raise UserError(f"{program} refused the job (exit code {done.returncode}): {' '.join(done.stderr.split())[:500]}")
        match = _NUMBER.search(done.stdout)
        self.number = match[0] if match else ""
        self.record.write_text(self.number + "\n")

    def wait(self) -> JobEnd:
        """Wait until the job's marker says how it ended, or the queue no longer knows it."""
        asked, gone_since = time.monotonic(), None
        while True:
            status = marked_status(self.directory)
            if status is not None:
                message = f"the job reported a failure{error_tail(self.directory)}" if status is Status.FAILED else ""
                return JobEnd(status, message)
            now = time.monotonic()
            if gone_since is None and now - asked > _ASK_EVERY:
                asked, gone_since = now, None if self.known() else now
            if gone_since is not None and now - gone_since > _LATE:
                return JobEnd(Status.FAILED, f"job {self.number} left the queue without a marker{error_tail(self.directory)}")
            self.sleep(_PAUSE)

    def known(self) -> bool:
        """Tell whether the queue still has the job; True too where it cannot be asked."""
        system = _SYSTEMS.get(Path(self.submit_command[0]).name)
        if system is None or not self.number:
            return True
        try:
            done = subprocess.run([*system[0], self.number], capture_output=True, text=True, timeout=_PATIENCE, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return True
        # A queue that is busy also fails: only one that does not know the number says so.
        return bool(done.stdout.strip()) if done.returncode == 0 else "nvalid job" not in done.stderr and "nknown" not in done.stderr

    def cancel(self) -> None:
        """Take the job back."""
        system = _SYSTEMS.get(Path(self.submit_command[0]).name)
        if system is not None and self.number:
            subprocess.run([*system[1], self.number], capture_output=True, timeout=_PATIENCE, check=False)
