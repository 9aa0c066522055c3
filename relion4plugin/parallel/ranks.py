"""The processes of a computation: one leads and gives orders, the others carry out their share of each.

The leader runs the program as if it were alone. What it shares out is an order: a part that all helpers get, and a share for each.
Helpers wait for orders and answer them; sums of arrays are collected in the leader. So only one process decides, writes files
and talks to the user, and none can come to another decision by a rounding of its own.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np


class Ranks(Protocol):
    """Processes that work together; the leader has rank 0."""

    size: int
    rank: int

    def order(self, order: Any, shares: Sequence[Any]) -> None:
        """Give all helpers an order and each its share; for the leader (`shares` of ranks 1, 2, ...)."""

    def next_order(self) -> tuple[Any, Any]:
        """Wait for an order; return it and this helper's share."""

    def answer(self, answer: Any) -> None:
        """Answer an order, and wait until all have; for helpers, once for each order that is to be answered."""

    def answers(self) -> list[Any]:
        """Wait for the answers of all helpers, in the order of their ranks; for the leader."""

    def spread(self, array: np.ndarray) -> None:
        """Copy a contiguous array of the leader into those of the helpers, which have its shape and type."""

    def add_up(self, array: np.ndarray) -> None:
        """Add a contiguous array over all processes; in place in the leader, those of helpers stay."""

    def abort(self, code: int) -> None:
        """End all processes at once, with an exit code."""


class Solo:
    """One process: there is nobody to order."""

    size, rank = 1, 0

    def order(self, order: Any, shares: Sequence[Any]) -> None:
        """Nobody gets it."""

    def next_order(self) -> tuple[Any, Any]:
        """There is no leader to wait for."""
        raise RuntimeError("a single process waits for an order")

    def answer(self, answer: Any) -> None:
        """Nobody asked."""

    def answers(self) -> list[Any]:
        """Nobody answers."""
        return []

    def spread(self, array: np.ndarray) -> None:
        """The array is everywhere."""

    def add_up(self, array: np.ndarray) -> None:
        """The array is the sum."""

    def abort(self, code: int) -> None:
        """End this process."""
        raise SystemExit(code)
