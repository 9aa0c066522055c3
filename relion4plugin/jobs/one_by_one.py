"""Jobs that treat one movie or micrograph after the other: what is finished is kept, what fails is set aside."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.own_labels import REASON
from relion4plugin.files.star import write_star
from relion4plugin.progress import Progress

SET_ASIDE = "set_aside.star"

# Writes what was computed for one item. Its errors are those of the disk and end the job.
Write = Callable[[], None]
# Reads and computes one item; a UserError sets that item aside.
Compute = Callable[[int], Write]


@dataclass(frozen=True)
class Treated:
    """What became of the items: indices of those done now, index -> reason of those set aside, number not yet looked at."""

    done: tuple[int, ...]
    failed: dict[int, str]
    n_left: int

    def remarks(self, what: str) -> tuple[str, ...]:
        """Return lines about items that were set aside; `what` is their plural."""
        if not self.failed:
            return ()
        return (f"{len(self.failed)} {what} set aside, listed in {SET_ASIDE}; first: {next(iter(self.failed.values()))}",)


def treat(items: Sequence[int], compute: Compute, progress: Progress, label: str, n_threads: int = 1, at_most: int = -1) -> Treated:
    """Compute items side by side and write them in order, each as soon as it and those before it are ready.

    Parameters
    ----------
    items
        What is to be done, as indices that `compute` understands.
    compute
        Called in a thread; returns what writes the result, which is called in this thread.
    progress
        Advanced by one for each item, also for one set aside.
    label
        Name of the phase.
    n_threads
        Items computed at the same time; no more than twice as many results wait to be written.
    at_most
        Number of items that are finished in this execution; negative for all. Those set aside do not count, so that bad ones, which come
        first every time, never keep the others waiting.

    Raises
    ------
    UserError
        If a result cannot be written.
    """
    wanted = len(items) if at_most < 0 else min(at_most, len(items))
    settled = _Settled(progress, counts_failed=wanted == len(items))
    waiting: deque[tuple[int, Future[Write]]] = deque()
    progress.start(label, wanted)
    with ThreadPoolExecutor(max_workers=max(1, n_threads)) as pool:
        try:
            for item in items:
                while waiting and len(waiting) >= min(2 * max(1, n_threads), wanted - len(settled.done)):
                    settled.take(*waiting.popleft())
                if len(settled.done) >= wanted:
                    break
                waiting.append((item, pool.submit(compute, item)))
            while waiting:
                settled.take(*waiting.popleft())
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    progress.finish()
    return Treated(tuple(settled.done), settled.failed, len(items) - len(settled.done) - len(settled.failed))


class _Settled:
    """Items that were computed; those that failed are steps of the progress only where all items are."""

    def __init__(self, progress: Progress, counts_failed: bool) -> None:
        self._progress, self._counts_failed = progress, counts_failed
        self.done: list[int] = []
        self.failed: dict[int, str] = {}

    def take(self, item: int, future: "Future[Write]") -> None:
        """Wait for an item and write its result."""
        try:
            write = future.result()
        except UserError as error:
            self.failed[item] = str(error)
            self._progress.advance(int(self._counts_failed), f"set aside: {error}")
            return
        write()
        self.done.append(item)
        self._progress.advance(1)


def write_set_aside(out_dir: Path, label: str, reasons: Iterable[tuple[str, str]]) -> None:
    """Write the list of items that were set aside in this execution; an empty one removes the file.

    Parameters
    ----------
    out_dir
        Job directory.
    label
        Label of the names, such as rlnMicrographMovieName.
    reasons
        Name and reason of each item.
    """
    path = out_dir / SET_ASIDE
    rows = [(name, " ".join(reason.split())) for name, reason in reasons]
    if not rows:
        path.unlink(missing_ok=True)
        return
    write_star(path, {"set_aside": pd.DataFrame(rows, columns=[label, REASON])})


def require_some(n_finished: int, treated: Treated, what: str) -> None:
    """Check that not every item failed; `what` is their plural.

    Raises
    ------
    UserError
        If something failed and nothing is finished.
    """
    if treated.failed and n_finished == 0:
        raise UserError(f"none of {len(treated.failed)} {what} could be used; first: {next(iter(treated.failed.values()))}")
