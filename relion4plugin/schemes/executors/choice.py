"""Which executor runs a job."""

from relion4plugin.errors import UserError
from relion4plugin.schemes.executors.base import Executor, JobRun
from relion4plugin.schemes.executors.dry import DryExecutor
from relion4plugin.schemes.executors.native import is_native, native_plan
from relion4plugin.schemes.executors.plan import Plan
from relion4plugin.schemes.executors.process import ProcessExecutor
from relion4plugin.schemes.executors.queue import queue_plan
from relion4plugin.schemes.executors.relion import EXTERNAL, external_plan, relion_commands, relion_plan

NAMES = ("auto", "native", "relion", "queue", "dry")


def executor(name: str) -> Executor:
    """Return an executor by its name.

    ``auto`` runs a job with this program where it has an engine for it, else with RELION's; ``native`` and ``relion`` use only
    the one. External jobs always run their own program. A job whose option do_queue is Yes goes to the queue, and with
    ``queue`` all do. ``dry`` runs nothing.

    Raises
    ------
    UserError
        If there is no such executor.
    """
    if name == "dry":
        return DryExecutor(lambda run: _commands(run, "auto"))
    if name not in NAMES:
        raise UserError(f"there is no executor '{name}'; known: {', '.join(NAMES)}")
    return ProcessExecutor(name, lambda run: _plan(run, name))


def _plan(run: JobRun, name: str) -> Plan:
    if name == "queue" or run.options.get("do_queue") == "Yes":
        return queue_plan(run, _commands(run, name))
    if run.kind.label == EXTERNAL:
        return external_plan(run)
    return native_plan(run) if _takes_native(run, name) else relion_plan(run)


def _takes_native(run: JobRun, name: str) -> bool:
    return name == "native" or (name != "relion" and is_native(run))


def _commands(run: JobRun, name: str) -> Plan:
    """Return what the job executes, with ``$NAME`` left to the shell of the queue and programs looked for only there."""
    if run.kind.label == EXTERNAL:
        return Plan(relion_commands(run), exit_code_counts=True)
    return native_plan(run, queued=True) if _takes_native(run, name) else Plan(relion_commands(run))
