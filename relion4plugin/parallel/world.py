"""The processes that were started together with this one: joined once, known everywhere."""

from relion4plugin.errors import UserError
from relion4plugin.parallel.launched import launched
from relion4plugin.parallel.ranks import Ranks, Solo

_joined: Ranks | None = None


def join() -> Ranks:
    """Join the processes that were started together with this one; without others, nothing is loaded.

    Raises
    ------
    UserError
        If there are others but no way to reach them.
    """
    global _joined
    size, _ = launched()
    if _joined is None and size > 1:
        from relion4plugin.parallel.mpi import connect

        _joined = connect(size)
    return _joined or Solo()


def world() -> Ranks:
    """Return the processes that this one has joined, itself alone where it was started alone.

    Raises
    ------
    UserError
        If it was started together with others and has not joined them: all would do the same and write the same files.
    """
    size, _ = launched()
    if _joined is None and size > 1:
        raise UserError(
            f"started as {size} processes, which would all write the same files; start one, or use mpirun with the commands "
            "class2d, class3d, initialmodel, refine3d or run-job"
        )
    return _joined or Solo()
