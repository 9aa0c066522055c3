"""Options that jobs of most types have: processes, threads, graphics cards, the queue."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from relion4plugin.jobs.parameters import parameter

RUNNING = "Running"


def running(name: str, **changes: Any) -> Any:
    """Declare an option of running a job; `changes` are what differs in this type of job."""
    return _RUNNING[name](**changes)


_RUNNING: dict[str, Callable[..., Any]] = {
    "nr_mpi": partial(
        parameter, default=1, label="Number of MPI processes", section=RUNNING, minimum=1,
        help="RELION's program runs as so many processes; one of them only hands out the work.",
    ),
    "nr_threads": partial(
        parameter, default=1, label="Number of threads", section=RUNNING, option="--j", minimum=1,
        help="Processor cores that each process uses.",
    ),
    "use_gpu": partial(
        parameter, default=False, label="Use GPU acceleration", section=RUNNING,
        help="Compute on graphics cards.",
    ),
    "gpu_ids": partial(
        parameter, default="", label="Which GPUs to use", section=RUNNING, option="--gpu",
        help="Numbers of cards, counted from 0: a colon separates MPI processes, a comma the threads of one.",
    ),
}


@dataclass(frozen=True)
class QueueOptions:
    """Options that every job has."""

    do_queue: bool = parameter(
        False, label="Submit to queue", section=RUNNING,
        help="Yes hands the job to a queueing system instead of starting it on this machine.",
    )
    queuename: str = parameter("openmpi", label="Queue name", section=RUNNING, help="Queue (partition) that takes the job.")
    qsub: str = parameter("qsub", label="Queue submit command", section=RUNNING, help="Program that submits a script: sbatch for SLURM.")
    qsubscript: str = parameter(
        "", label="Submission script", section=RUNNING, pattern="*",
        help="Template of the script, with XXX...XXX where names and numbers of the job go.",
    )
    min_dedicated: int = parameter(
        1, label="Cores per node", section=RUNNING, minimum=1,
        help="Cores that a node of the cluster gives to the job; the number of nodes follows from it.",
    )
    other_args: str = parameter(
        "", label="Additional arguments", section=RUNNING, help="More options for RELION's program, written as on its command line.",
    )
