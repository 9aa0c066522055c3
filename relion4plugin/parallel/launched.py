"""How many copies of this process a launcher started, told from the environment: no MPI library is loaded to find out."""

import os
from collections.abc import Mapping

# Variables for the number of processes and this one's number: Open MPI, MPICH and Intel MPI, MVAPICH, srun.
_VARIABLES = (
    ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("PMI_SIZE", "PMI_RANK"),
    ("MV2_COMM_WORLD_SIZE", "MV2_COMM_WORLD_RANK"),
    ("SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)


def launched(environment: Mapping[str, str] | None = None) -> tuple[int, int]:
    """Return the number of processes that were started together, and which of them this is, from 0.

    >>> launched({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "2"}), launched({"SLURM_NTASKS": "8"})
    ((4, 2), (1, 0))

    A batch script of SLURM is one process, whatever it has reserved: only the tasks of a step run the same program.
    """
    known = os.environ if environment is None else environment
    for size, rank in _VARIABLES:
        if known.get(size, "").isdecimal():
            number = known.get(rank, "")
            return max(int(known[size]), 1), int(number) if number.isdecimal() else 0
    return 1, 0
