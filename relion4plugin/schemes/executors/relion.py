"""Jobs run by RELION's programs and by external ones, without a shell.

Words of a command reach the program as they are. What RELION leaves to the shell is done here: option text is split into
words by the shell's rules of quoting, ``$NAME`` is replaced from the environment, and a program is looked for on PATH.
Wildcards, ``~`` and commands inside options (``$(...)``, `` `...` ``) are not expanded.
"""

import os
import shlex

from relion4plugin.errors import UserError
from relion4plugin.jobs.option_text import expanded
from relion4plugin.jobs.programs import OWN, program_words
from relion4plugin.schemes.executors.base import JobRun
from relion4plugin.schemes.executors.plan import Command, Plan
from relion4plugin.schemes.executors.slots import wanted_gpus

EXTERNAL = "relion.external"
_MOST_LOCAL, _LIMIT_VARIABLE = 32, "RELION_ERROR_LOCAL_MPI"


def relion_plan(run: JobRun) -> Plan:
    """Plan a job for RELION's programs on this machine.

    Raises
    ------
    UserError
        If no command can be made of the options, a program is not installed, or more processes are asked for than allowed.
    """
    processes = run.kind.processes(run.options)
    limit = os.environ.get(_LIMIT_VARIABLE, "")
    most = int(limit) if limit.isdecimal() else _MOST_LOCAL
    if processes > most:
        raise UserError(f"{run.directory}: {processes} MPI processes without a queue; at most {most} ({_LIMIT_VARIABLE}) are allowed")
    commands = tuple(_here(command, run, processes) for command in relion_commands(run))
    return Plan(commands, wanted_gpus(run.options))


def external_plan(run: JobRun) -> Plan:
    """Plan a job for a program of the user; its exit code counts where it leaves no marker.

    Raises
    ------
    UserError
        If the program is not there.
    """
    commands = tuple(_here(command, run, 1) for command in relion_commands(run))
    return Plan(commands, wanted_gpus(run.options), exit_code_counts=True)


def relion_commands(run: JobRun) -> tuple[Command, ...]:
    """Return RELION's commands as they are, with ``$NAME`` and without ``mpirun``."""
    commands = run.kind.relion_command(run.options, run.path.relative_to(run.root), run.is_continue)
    return tuple(tuple(command) for command in commands)


def _here(command: Command, run: JobRun, processes: int) -> Command:
    words = expanded(list(command))
    found = program_words(words[0], run.root)
    if not found:
        raise UserError(f"{run.directory}: the program {words[0]} is not on this machine; install it, or correct PATH or its name")
    if processes > 1 and any("relion_" in word and "_mpi" in word for word in words):
        return (*shlex.split(os.environ.get("RELION_MPIRUN") or "mpirun"), "-n", str(processes), *words)
    return (*found, *words[1:]) if words[0] == OWN else tuple(words)
