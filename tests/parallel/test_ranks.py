import sys

import numpy as np
import pytest

from relion4plugin.errors import UserError
from relion4plugin.parallel import world as joined
from relion4plugin.parallel.mpi import _pieces
from relion4plugin.parallel.ranks import Solo
from relion4plugin.parallel.world import join, world

VARIABLES = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


@pytest.fixture(autouse=True)
def started_alone(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py", None)  # must not be needed
    assert isinstance(join(), Solo) and isinstance(world(), Solo)
    array = np.arange(3.0)
    alone = Solo()
    alone.spread(array)
    alone.add_up(array)
    alone.order("anything", [])
    assert alone.answers() == [] and array.tolist() == [0, 1, 2]


def test_processes_that_do_not_know_of_each_other_are_refused(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    with pytest.raises(UserError, match="started as 2 processes, which would all write the same files"):
        world()


def test_without_mpi4py(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "3")
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(UserError, match=r"started as 3 processes, which need mpi4py .*pip install"):
        join()
    assert joined._joined is None


def test_arrays_are_sent_as_real_numbers_in_pieces(monkeypatch):
    monkeypatch.setattr("relion4plugin.parallel.mpi.CHUNK", 5)
    array = (np.arange(6) + 1j).astype(np.complex64).reshape(2, 3)
    pieces = _pieces(array)
    assert [len(piece) for piece in pieces] == [5, 5, 2] and {piece.dtype for piece in pieces} == {np.dtype("f4")}
    pieces[0][0] = 9
    assert array[0, 0] == 9 + 1j  # views
    assert _pieces(np.zeros((0, 0))) == []
    with pytest.raises(ValueError, match="contiguous"):
        _pieces(array.T)
