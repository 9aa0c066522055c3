"""Processes that talk through MPI, by mpi4py.

Waiting is done in short sleeps, not in MPI's own loops, which keep a core busy: helpers cost nothing while the leader computes, and a
signal is answered at once. So processes meet, by small messages, before they exchange arrays.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.parallel.ranks import Ranks

ORDER, READY, ANSWER, GO = 1, 2, 3, 4  # tags of messages
CHUNK = 1 << 26  # elements of one message
SHORTEST, LONGEST = 1e-4, 1e-2  # s, between two looks for a message


def connect(size: int) -> Ranks:
    """Connect the `size` processes that a launcher started.

    Raises
    ------
    UserError
        If mpi4py is missing or cannot load its library, or that library is not the launcher's, so that each process is alone.
    """
    os.environ.setdefault("OMPI_MCA_mpi_yield_when_idle", "1")  # Open MPI: what waiting is left lets others have the core
    try:
        import mpi4py

        mpi4py.rc.thread_level = "funneled"
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # mpi4py raises the second where no library is found
        raise UserError(
            f"started as {size} processes, which need mpi4py to work together ({error}); "
            "pip install 'scipion-em-relion4plugin[mpi]', or start one process"
        ) from error
    found = MPI.COMM_WORLD.Get_size()
    if found != size:
        name = MPI.Get_library_version().splitlines()[0].split(",")[0]
        raise UserError(
            f"started as {size} processes, but mpi4py's library ({name}) sees {found}: it is not that of the program which started them; "
            "use the mpirun of that library, or with srun the right --mpi"
        )
    return Mpi(MPI)


class Mpi:
    """All processes of MPI's world; see `Ranks`."""

    def __init__(self, library: Any) -> None:
        self._mpi, self._comm = library, library.COMM_WORLD.Dup()
        self.size, self.rank = self._comm.Get_size(), self._comm.Get_rank()

    def order(self, order: Any, shares: Sequence[Any]) -> None:
        """Send the shares, which wakes the helpers, then the order to all."""
        for rank, share in enumerate(shares, start=1):
            self._comm.send(share, rank, ORDER)
        for rank in range(1, self.size):
            self._receive(rank, READY)
        self._comm.bcast(order, 0)

    def next_order(self) -> tuple[Any, Any]:
        """Wait without a busy core."""
        share = self._receive(0, ORDER)
        self._comm.send(None, 0, READY)
        return self._comm.bcast(None, 0), share

    def answer(self, answer: Any) -> None:
        """Send it to the leader, and wait until it has those of all."""
        sending, pause = self._comm.isend(answer, 0, ANSWER), SHORTEST  # a large one is not taken before the leader looks
        while not sending.Test():
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)
        self._receive(0, GO)

    def answers(self) -> list[Any]:
        """Wait for one helper after the other."""
        found = [self._receive(rank, ANSWER) for rank in range(1, self.size)]
        for rank in range(1, self.size):
            self._comm.send(None, rank, GO)
        return found

    def spread(self, array: np.ndarray) -> None:
        """Send in pieces: a message of MPI has at most 2^31 elements."""
        for piece in _pieces(array):
            self._comm.Bcast(piece, 0)

    def add_up(self, array: np.ndarray) -> None:
        """Add in pieces, which also bounds the memory that MPI takes for it."""
        for piece in _pieces(array):
            if self.rank == 0:
                self._comm.Reduce(self._mpi.IN_PLACE, piece, self._mpi.SUM, 0)
            else:
                self._comm.Reduce(piece, None, self._mpi.SUM, 0)

    def abort(self, code: int) -> None:
        """End all processes, whatever they do."""
        self._comm.Abort(code)

    def _receive(self, rank: int, tag: int) -> Any:
        pause = SHORTEST
        while not self._comm.Iprobe(rank, tag):
            time.sleep(pause)
            pause = min(2 * pause, LONGEST)
        return self._comm.recv(source=rank, tag=tag)


def _pieces(array: np.ndarray) -> list[np.ndarray]:
    """Return views of a contiguous array as lists of real numbers."""
    if not array.flags.c_contiguous:
        raise ValueError("only contiguous arrays are sent between processes")
    flat = array.reshape(-1)
    flat = flat.view(flat.real.dtype)
    return [flat[first : first + CHUNK] for first in range(0, len(flat), CHUNK)]
