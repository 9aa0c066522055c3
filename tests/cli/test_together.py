"""How a helper's mishaps are told, without MPI."""

import signal

import pytest

from relion4plugin.cli import together
from relion4plugin.errors import UserError
from relion4plugin.refinement import shared_expectation


class Helper:
    size, rank = 2, 1
    code = None

    def abort(self, code):
        self.code = code


@pytest.fixture(autouse=True)
def as_second_of_two(monkeypatch):
    monkeypatch.setattr(together, "launched", lambda: (2, 1))
    kept = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGTERM, kept[0])
    signal.signal(signal.SIGINT, kept[1])


@pytest.mark.parametrize("problem", [MemoryError("no room"), UserError("odd")])
def test_a_helper_that_fails_ends_all(monkeypatch, capfd, problem):
    """The leader would wait for its answer for ever."""

    def fail(ranks):
        raise problem

    helper = Helper()
    monkeypatch.setattr(together, "join", lambda: helper)
    monkeypatch.setattr(shared_expectation, "help_leader", fail)
    together.run_together(["class2d"], lambda words: 0)
    assert helper.code == 1
    assert str(problem) in capfd.readouterr().err


def test_a_helper_that_cannot_join_says_why(monkeypatch, capfd):
    def fail():
        raise UserError("mpi4py is broken here")

    monkeypatch.setattr(together, "join", fail)
    assert together.run_together(["class2d"], lambda words: 0) == 2
    assert capfd.readouterr().err == "error: process 1: mpi4py is broken here\n"


def test_of_a_command_that_is_not_shared_only_the_first_speaks(capfd):
    assert together.run_together(["rank"], lambda words: 0) == 2
    assert capfd.readouterr().err == ""
