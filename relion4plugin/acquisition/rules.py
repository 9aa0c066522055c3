"""Rules that the data of a session should fulfil, each a small function; `check` runs them all.

The ids are those of the manual. Rules about presets, options and disks belong to the launch.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

from relion4plugin.acquisition.distinct_settings import SettingSet
from relion4plugin.acquisition.find_sessions import SessionInfo
from relion4plugin.acquisition.movie_table import MovieTable
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.record import AcquisitionRecord, Finding
from relion4plugin.acquisition.timing import Timing


@dataclass(frozen=True)
class Facts:
    """What rules look at.

    Attributes
    ----------
    info, record, movies, settings, timing
        As of the session.
    images, fractions, headers : sequence of Reading
        Metadata of the movies, lists of fractions, headers of a few movies.
    without_metadata, without_movie : sequence of str
        Movies without metadata, and metadata without movie.
    roles : mapping
        Number of metadata files by what they are about (see `reading.ROLES`).
    """

    info: SessionInfo
    record: AcquisitionRecord
    images: Sequence[Reading]
    fractions: Sequence[Reading]
    headers: Sequence[Reading]
    movies: MovieTable
    settings: Sequence[SettingSet]
    timing: Timing
    without_metadata: Sequence[str]
    without_movie: Sequence[str]
    roles: Mapping[str, int]


Rule = Callable[[Facts], Iterable[Finding]]
RULES: dict[str, list[Rule]] = {}


def rule(name: str) -> Callable[[Rule], Rule]:
    """Register a function under the id of a rule."""

    def register(function: Rule) -> Rule:
        RULES.setdefault(name, []).append(function)
        return function

    return register


def check(facts: Facts) -> tuple[Finding, ...]:
    """Return what all rules find, in the order of their ids."""
    for module in ("rules_dose", "rules_frames", "rules_session"):
        import_module(f"relion4plugin.acquisition.{module}")
    return tuple(finding for name in sorted(RULES) for function in RULES[name] for finding in function(facts))
