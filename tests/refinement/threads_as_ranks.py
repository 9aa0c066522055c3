"""Threads that stand for processes: they talk by queues, and everything sent is pickled as between processes."""

import pickle
import threading
from contextlib import contextmanager
from queue import Queue

from relion4plugin.refinement.shared_expectation import help_leader


class _Shared:
    def __init__(self, size: int) -> None:
        self.orders = [Queue() for _ in range(size)]
        self.answers = [Queue() for _ in range(size)]
        self.arrays = [Queue() for _ in range(size)]


class ThreadRanks:
    """One of several threads; see `relion4plugin.parallel.ranks.Ranks`."""

    def __init__(self, shared: _Shared, rank: int, size: int) -> None:
        self._shared, self.rank, self.size = shared, rank, size

    def order(self, order, shares):
        assert len(shares) == self.size - 1
        for rank, share in enumerate(shares, start=1):
            self._shared.orders[rank].put(pickle.dumps((order, share)))

    def next_order(self):
        return pickle.loads(self._shared.orders[self.rank].get(timeout=60))

    def answer(self, answer):
        self._shared.answers[self.rank].put(pickle.dumps(answer))

    def answers(self):
        return [pickle.loads(self._shared.answers[rank].get(timeout=60)) for rank in range(1, self.size)]

    def spread(self, array):
        assert array.flags.c_contiguous
        if self.rank:
            array[...] = self._shared.arrays[self.rank].get(timeout=60)
        else:
            for rank in range(1, self.size):
                self._shared.arrays[rank].put(array.copy())

    def add_up(self, array):
        assert array.flags.c_contiguous
        if self.rank:
            self._shared.arrays[self.rank].put(array.copy())
        else:
            for rank in range(1, self.size):
                other = self._shared.arrays[rank].get(timeout=60)
                assert (other.shape, other.dtype) == (array.shape, array.dtype)
                array += other

    def abort(self, code):
        raise AssertionError(f"aborted with {code}")


@contextmanager
def helped(size: int):
    """Give the leader of `size` ranks; the helpers end with the context."""
    shared = _Shared(size)
    leader = ThreadRanks(shared, 0, size)
    helpers = [threading.Thread(target=help_leader, args=(ThreadRanks(shared, rank, size),), daemon=True) for rank in range(1, size)]
    for helper in helpers:
        helper.start()
    try:
        yield leader
    finally:
        leader.order(None, [None] * (size - 1))
        for helper in helpers:
            helper.join(60)
            assert not helper.is_alive()
