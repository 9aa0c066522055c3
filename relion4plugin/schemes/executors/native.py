"""Jobs run by this program: ``relion4plugin run-job`` in a process of its own."""

import sys

from relion4plugin.errors import UserError
from relion4plugin.schemes.executors.base import JobRun
from relion4plugin.schemes.executors.plan import Plan
from relion4plugin.schemes.executors.slots import wanted_gpus


def is_native(run: JobRun) -> bool:
    """Tell whether this program can run the job."""
    return run.kind.runner(run.options) is not None


def native_plan(run: JobRun) -> Plan:
    """Plan a job for this program.

    Raises
    ------
    UserError
        If it has no engine for the job.
    """
    if not is_native(run):
        reason = run.kind.missing or f"this program has no engine for {run.kind.label}"
        raise UserError(f"{run.directory}: {reason}; use --executor relion where RELION is installed")
    return Plan(((sys.executable, "-m", "relion4plugin.cli.main", "run-job", run.directory),), wanted_gpus(run.options))
