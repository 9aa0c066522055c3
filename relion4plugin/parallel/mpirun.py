"""How a command is started in several processes of this machine."""

import importlib.util
import os
import shlex
import shutil

from relion4plugin.errors import UserError

_VARIABLE = "RELION_MPIRUN"
DEFAULT_LAUNCHER = "mpirun --bind-to none"  # else all threads of a process would share one core
# Open MPI starts no more processes than there are physical cores, or tasks of a queue's job; room is counted here (Open MPI 4 and 5).
_SLOTS = ("env", "OMPI_MCA_rmaps_base_oversubscribe=1", "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe")
_FOR_ROOT = ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM")


def mpirun_words(wanted: int, threads: int) -> tuple[str, ...]:
    """Return what stands before a command to start it in `wanted` processes, or in as many as this machine has cores for.

    Parameters
    ----------
    wanted
        Number of processes.
    threads
        Threads of each.

    Returns
    -------
    tuple of str
        Nothing where one process is all that can be had; `shortage` says why.

    Raises
    ------
    UserError
        If RELION_MPIRUN is not a command.
    """
    processes = min(wanted, _room(threads))
    if processes < 2 or _missing():
        return ()
    program = _program()
    return (*(_SLOTS if program[0] == "mpirun" else ()), *program, "-n", str(processes))


def shortage(wanted: int, threads: int) -> str:
    """Return why a command starts in fewer processes here than are `wanted`, nothing where it does not."""
    room = _room(threads)
    if wanted < 2 or _missing():
        return "" if wanted < 2 else _missing()
    return f"{len(os.sched_getaffinity(0))} cores have room for {room} of {threads} threads" if room < wanted else ""


def _program() -> list[str]:
    try:
        return shlex.split(os.environ.get(_VARIABLE, "")) or shlex.split(DEFAULT_LAUNCHER)
    except ValueError as error:
        raise UserError(f"{_VARIABLE} is '{os.environ[_VARIABLE]}' ({error}); expected a program and its options") from error


def _missing() -> str:
    program = _program()[0]
    if shutil.which(program) is None:
        return f"there is no program {program}"
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed"
    if os.geteuid() == 0 and program == "mpirun" and any(os.environ.get(name) != "1" for name in _FOR_ROOT):
        return f"Open MPI does not start as root unless {' and '.join(_FOR_ROOT)} are 1"
    return ""


def _room(threads: int) -> int:
    """Return how many processes the cores are enough for, at least one."""
    return max(len(os.sched_getaffinity(0)) // max(threads, 1), 1)
