"""Jobs run by this program: ``relion4plugin run-job`` in a process of its own, or in several that share the work."""

import sys

from relion4plugin.errors import UserError
from relion4plugin.parallel.mpirun import mpirun_words
from relion4plugin.schemes.executors.base import JobRun
from relion4plugin.schemes.executors.plan import Plan
from relion4plugin.schemes.executors.slots import wanted_gpus


def is_native(run: JobRun) -> bool:
    """Tell whether this program can run the job."""
    return run.kind.runner(run.options) is not None


def native_plan(run: JobRun, *, queued: bool = False) -> Plan:
    """Plan a job for this program.

    Parameters
    ----------
    run
        The job; with nr_mpi above 1, one that processes can share is started by ``mpirun``.
    queued
        The script of the queue starts the processes itself, as for RELION's programs.

    Raises
    ------
    UserError
        If it has no engine for the job.
    """
    if not is_native(run):
        reason = run.kind.missing or f"this program has no engine for {run.kind.label}"
        raise UserError(f"{run.directory}: {reason}; use --executor relion where RELION is installed")
    shared = run.kind.shares_work and not queued
    options = run.kind.text(run.options)
    start = mpirun_words(options.whole("nr_mpi", 1), options.whole("nr_threads", 1)) if shared else ()
    command = (*start, sys.executable, "-m", "relion4plugin.cli.main", "run-job", run.directory)
    return Plan((command,), wanted_gpus(run.options))
