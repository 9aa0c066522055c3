"""Scheduled runs that do not begin although their inputs are there: Scipion's scheduler asks them again and again and tells nobody."""

from collections.abc import Iterable, Iterator
from typing import Any


def schedule_doubts(runs: Iterable[Any]) -> Iterator[str]:
    """Tell what keeps scheduled runs from beginning.

    Parameters
    ----------
    runs : iterable of Protocol
        Runs of the project that is loaded.

    Yields
    ------
    str
        One line for each run that has its inputs and does not accept them, or its parameters. Runs that still wait for inputs, or for the
        first item of one, are left out.
    """
    from pyworkflow.protocol.constants import STATUS_SAVED, STATUS_SCHEDULED

    for run in runs:
        has_inputs = all(_is_there(pointer.get()) for _, pointer in run.iterInputAttributes())
        problems = run.validate() if has_inputs and run.getStatus() in (STATUS_SAVED, STATUS_SCHEDULED) else []
        if problems:
            text = " ".join(" ".join(problems).split())
            yield f"run {run.getObjId()} ({run.getObjLabel()}) stays scheduled until this is put right in its form: {text}"


def _is_there(value: Any) -> bool:
    """Whether an input can be judged: it exists, with an item at least, and a run that is an input itself has ended."""
    from pyworkflow.object import Set
    from pyworkflow.protocol import Protocol

    if isinstance(value, Protocol):
        return bool(value.isFinished())
    return value is not None and not (isinstance(value, Set) and value.getSize() == 0)
