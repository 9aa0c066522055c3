"""How a command is started in several processes of this machine."""

import importlib.util
import os
import shlex
import shutil

_VARIABLE = "RELION_MPIRUN"
DEFAULT_LAUNCHER = "mpirun --bind-to none"  # else all threads of a process would share one core
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
    """
    processes = min(wanted, _room(threads))
    if processes < 2 or _missing():
        return ()
    return (*_program(), "-n", str(processes))


def shortage(wanted: int, threads: int) -> str:
    """Return why a command starts in fewer processes here than are `wanted`, nothing where it does not."""
    room = _room(threads)
    if wanted < 2 or _missing():
        return "" if wanted < 2 else _missing()
    return f"{len(os.sched_getaffinity(0))} cores have room for {room} of {threads} threads" if room < wanted else ""


def _program() -> list[str]:
    return shlex.split(os.environ.get(_VARIABLE) or DEFAULT_LAUNCHER)


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
