"""Run one rank of an MPI program and write what it used to FOLDER/rankN.json; started by mpirun, not by hand.

For example ``mpirun -n 3 python rank_cost.py FOLDER PROGRAM ARGUMENTS``.
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path


def main(words: list[str]) -> int:
    """Run the program; return its exit status."""
    folder, *command = words
    status = subprocess.call(command)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    rank = os.environ.get("OMPI_COMM_WORLD_RANK", "0")
    (Path(folder) / f"rank{rank}.json").write_text(json.dumps({"cpu_seconds": used.ru_utime + used.ru_stime}) + "\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
