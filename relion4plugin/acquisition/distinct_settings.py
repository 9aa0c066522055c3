"""The distinct settings under which the movies of a session were taken."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relion4plugin.acquisition.reading import Reading

_EXACT = ("voltage_kV", "magnification", "binning", "mode", "movie_format")
_STEPPED = {"movie_px_A": 0.005, "exposure_s": 0.01, "dose_total_eA2": 0.1}  # a larger relative step is another setting
_FRAMES = "n_frames"


@dataclass(frozen=True)
class SettingSet:
    """Values that a number of movies share, and the first of their metadata files."""

    values: Mapping[str, Any]
    count: int
    file: str

    def __str__(self) -> str:
        shown = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in self.values.items())
        return f"{self.count} movies: {', '.join(shown)}"


def by_setting(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Return the readings of each distinct setting, the most frequent first.

    Numbers that scatter (doses, exposures) are the same as long as their sorted list has no step of more than a few percent.
    """
    levels = {name: _levels((reading.get(name) for reading in readings), step) for name, step in _STEPPED.items()}
    groups: dict[tuple[Any, ...], list[Reading]] = {}
    for reading in readings:
        values = reading.values
        exact = tuple(map(values.get, _EXACT))
        frames = None if reading.confidence.get(_FRAMES) == "estimated" else values.get(_FRAMES)
        stepped = tuple(levels[name].get(values.get(name)) for name in _STEPPED)
        groups.setdefault((*exact, frames, *stepped), []).append(reading)
    return sorted(groups.values(), key=len, reverse=True)


def distinct_settings(groups: Sequence[Sequence[Reading]]) -> tuple[SettingSet, ...]:
    """Return the settings of the groups that `by_setting` found."""
    names = (*_EXACT, _FRAMES, *_STEPPED)
    return tuple(
        SettingSet({name: value for name in names if (value := members[0].get(name)) is not None}, len(members), members[0].file)
        for members in groups
    )


def _levels(values: Iterable[float | None], step: float) -> dict[float | None, int]:
    """Return for each value the number of steps below it."""
    level, before = 0, None
    levels: dict[float | None, int] = {}
    for value in sorted({value for value in values if value is not None}):
        if before is not None and value - before > step * abs(before):
            level += 1
        levels[value] = level
        before = value
    return levels
