"""Jobs that treat one micrograph, or movie, after the other: how each execution goes, whatever is computed.

`run` of all of them (motion correction, CTF estimation, picking, extraction) takes

- `parameters`: what to do;
- `out_dir`: job directory, made if it does not exist;
- `progress`: told how far the job is;
- `is_continue`: keep items that earlier executions finished, which are those whose files are all there;
- `overwrite`: do everything again in a directory that was used before, instead of refusing.

It raises a UserError if anything is wrong with the options, all items or the disk. Single bad items are set aside.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from relion4plugin.errors import UserError
from relion4plugin.jobs.log_plots import write_plots
from relion4plugin.jobs.map_jobs import prepare_map_output
from relion4plugin.jobs.one_by_one import Treated, Write, require_some, treat, write_set_aside
from relion4plugin.progress import Progress

_LISTS_EVERY = 30.0  # seconds between lists of what is finished, while the job runs
_LISTS_SHARE = 20  # and they take at most one part in so many of the time

Result = TypeVar("Result")


@dataclass(frozen=True)
class JobKind:
    """What a kind of job is called and writes.

    Attributes
    ----------
    phase
        What it does, for the progress.
    lists
        Files on all items. Where they exist, a new job refuses the directory.
    items, label
        Plural of what it treats, and the label of their names.
    plots
        STAR file, table in it and columns that are drawn at the end; None for no drawing.
    """

    phase: str
    lists: tuple[str, ...]
    items: str = "micrographs"
    label: str = "rlnMicrographName"
    plots: tuple[str, str, tuple[tuple[str, str], ...]] | None = None


@dataclass(frozen=True)
class Ended:
    """What an execution came to: numbers of items finished by now, finished in it, set aside and not yet looked at."""

    n_finished: int
    n_new: int
    n_set_aside: int
    n_left: int
    remarks: tuple[str, ...]


class MicrographJob(ABC, Generic[Result]):
    """One execution of a job; `finished` has what the lists tell of each item that is finished, by its place in `names`.

    Parameters
    ----------
    out_dir
        Job directory.
    names
        Names of all items.
    """

    KIND: ClassVar[JobKind]

    def __init__(self, out_dir: Path, names: Sequence[str]) -> None:
        self.out_dir, self.names = out_dir, names
        self.finished: dict[int, Result] = {}
        self._n_kept = 0
        self._next_lists = time.monotonic() + _LISTS_EVERY

    @abstractmethod
    def kept(self, item: int) -> Result | None:
        """Return what an earlier execution found, None where it did not finish; an item with a damaged file (UserError) is not."""

    @abstractmethod
    def mark(self, item: int) -> Path:
        """Return the file of an item that is written last, without which it is not finished."""

    @abstractmethod
    def write_lists(self, finished: Mapping[int, Result]) -> None:
        """Write the lists of what is finished, which is in the order of the input and never nothing."""

    def prepare(self, is_continue: bool, overwrite: bool, needed_bytes: int = 0, bytes_each: int = 0) -> None:
        """Take over what is finished and make the directory ready.

        Parameters
        ----------
        is_continue, overwrite
            As of the job.
        needed_bytes, bytes_each
            Room that the disk must have, and more of it for each item that is not finished.

        Raises
        ------
        UserError
            If the directory cannot be written, lacks space, or holds another job's lists.
        """
        for item in range(len(self.names)) if is_continue else ():
            with suppress(UserError):  # it is made again
                result = self.kept(item)
                if result is not None:
                    self.finished[item] = result
        self._n_kept = len(self.finished)
        needed_bytes += bytes_each * len(self.unfinished())
        prepare_map_output(self.out_dir, () if is_continue else self.KIND.lists, needed_bytes, overwrite)
        for item in () if is_continue else range(len(self.names)):
            self.mark(item).unlink(missing_ok=True)  # of other options; a kill must not mix them with what is made now

    def unfinished(self) -> list[int]:
        """Return the items that are still to be done."""
        return [item for item in range(len(self.names)) if item not in self.finished]

    def treat(
        self, compute: Callable[[int], Callable[[], Result | None]], progress: Progress, n_threads: int = 1, at_most: int = -1
    ) -> Ended:
        """Treat what is not finished, and end.

        Parameters
        ----------
        compute
            Called in a thread with an item; returns what writes its files and returns its result, None if it has none.
        progress
            Told how far the job is.
        n_threads, at_most
            See `one_by_one.treat`.

        Raises
        ------
        UserError
            If nothing could be used, or the disk fails.
        """

        def computed(item: int) -> Write:
            write = compute(item)
            return lambda: self.add(item, write())

        return self.end(treat(self.unfinished(), computed, progress, self.KIND.phase, n_threads, at_most))

    def add(self, item: int, result: Result | None) -> None:
        """Take an item whose files are written as finished, unless it has no result; write the lists now and then."""
        if result is None:
            return
        self.finished[item] = result
        if time.monotonic() > self._next_lists:
            self._write_lists()

    def end(self, treated: Treated) -> Ended:
        """Write all lists.

        Raises
        ------
        UserError
            If nothing could be used, or the disk fails.
        """
        kind = self.KIND
        write_set_aside(self.out_dir, kind.label, ((self.names[item], reason) for item, reason in treated.failed.items()))
        require_some(len(self.finished), treated, kind.items)
        self._write_lists()
        if kind.plots is not None:
            write_plots(self.out_dir, *kind.plots, kind.items.removesuffix("s"))
        n_new = len(self.finished) - self._n_kept
        return Ended(len(self.finished), n_new, len(treated.failed), treated.n_left, treated.remarks(kind.items))

    def _write_lists(self) -> None:
        if not self.finished:
            return
        start = time.monotonic()
        self.write_lists(dict(sorted(self.finished.items())))
        end = time.monotonic()
        self._next_lists = end + max(_LISTS_EVERY, _LISTS_SHARE * (end - start))


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Let errors begin with the name of what they are about."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error) if str(error).startswith(name) else f"{name}: {error}") from error
