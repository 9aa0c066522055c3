"""How fast a session collects, and where it stood still."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from relion4plugin.acquisition.times import seconds

_SHORTEST_GAP = 600.0  # s
_GAP_FACTOR = 5.0  # times the usual interval


@dataclass(frozen=True)
class Gap:
    """A time without movies: texts of the time before and after, and minutes between."""

    start: str
    end: str
    minutes: float


@dataclass(frozen=True)
class Timing:
    """First and last time as written in the metadata, movies per hour (0 if it cannot be told), and gaps."""

    first: str | None = None
    last: str | None = None
    per_hour: float = 0.0
    gaps: tuple[Gap, ...] = ()


def timing(times: Sequence[str | None]) -> Timing:
    """Return rate and gaps of times of acquisition; a gap is longer than 10 minutes and than five usual intervals."""
    known = sorted((second, text) for text in times if text is not None and (second := seconds(text)) is not None)
    if not known:
        return Timing()
    first, last = known[0], known[-1]
    if len(known) < 2 or last[0] == first[0]:
        return Timing(first[1], last[1])
    limit = max(_SHORTEST_GAP, _GAP_FACTOR * median(after[0] - before[0] for before, after in pairwise(known)))
    gaps = tuple(Gap(before[1], after[1], (after[0] - before[0]) / 60) for before, after in pairwise(known) if after[0] - before[0] > limit)
    return Timing(first[1], last[1], 3600 * (len(known) - 1) / (last[0] - first[0]), gaps)
