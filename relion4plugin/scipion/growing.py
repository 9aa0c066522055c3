"""Sets that grow: what an input has by now, and outputs that are appended to."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pwem.objects import Pointer, Set

from relion4plugin.scipion.sets import is_growing, read_columns


@dataclass(frozen=True)
class Arrivals:
    """Ids of the items that there are, and whether these are all."""

    ids: tuple[int, ...]
    closed: bool


def arrivals(path: str) -> Arrivals:
    """Return what a set has by now.

    Raises
    ------
    UserError
        If it cannot be read.
    """
    closed = not is_growing(path)  # before the items: the last ones must not be missed
    return Arrivals(ids_in(path), closed)


def ids_in(path: str) -> tuple[int, ...]:
    """Return the ids of the enabled items of a set."""
    return read_columns(path, ()).ids


def reopened(items: Any) -> Any:
    """Open the file of a set anew: an object that was loaded earlier knows nothing of what came since."""
    fresh = type(items)(filename=items.getFileName())
    fresh.loadAllProperties()
    for name, pointer in items.getAttributes():
        if isinstance(pointer, Pointer):  # is not in the file
            getattr(fresh, name).copy(pointer)
    return fresh


def append_to(protocol: Any, name: str, create: Callable[[], Any], fill: Callable[[Any, set[int]], None]) -> None:
    """Append to an output of a protocol and leave it open for more; all that is appended appears at once.

    Parameters
    ----------
    protocol : protocol
        Has the output, or gets it.
    name : str
        Of the output.
    create : callable
        Makes the set where there is none yet.
    fill : callable
        Appends items to the set that it is given; also told the ids of those that the set has.
    """
    known: set[int] = set()
    if protocol.hasAttribute(name):
        items = reopened(getattr(protocol, name))
        known.update(ids_in(items.getFileName()))
        items.enableAppend()
    else:
        items = create()
    try:
        fill(items, known)
        protocol._updateOutputSet(name, items, Set.STREAM_OPEN)
    finally:
        items.close()
