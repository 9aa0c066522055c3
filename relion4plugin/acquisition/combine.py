"""From readings of many files to one record: what most images say, by the precedence of the sources."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import median_low
from typing import Any

from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.record import AcquisitionRecord, Conflict, Value

# Values that belong to one movie; a session has them only where all movies agree.
_OF_A_MOVIE = {
    "beam_shift", "image_shift", "beam_tilt", "stage_um", "defocus_um", "defocus_target_um", "hole", "grid_square", "movie_path",
    "optics_group", "acquired", "tilt_deg",
}  # fmt: skip
# Values that scatter from image to image: a session has the middle one.
_SCATTER = {
    "dose_total_eA2", "dose_on_camera_epx", "dose_measured_epx", "dose_rate_epx_s", "dose_rate_image_epx_s", "dose_rate_camera_epx_s",
    "dose_per_frame_eA2", "exposure_actual_s",
}  # fmt: skip
# What the header of a movie knows better than anybody.
_OF_THE_FRAMES = {"movie_size_px", "n_frames", "movie_format"}
_RANK = {"epu_image_xml": 1, "serialem_mdoc": 1, "epu_fractions_xml": 2, "epu_session_dm": 5}
_HEADER_RANK = 3
_TOLERANCE: Mapping[str, float] = dict.fromkeys(_SCATTER, 0.05) | {"movie_px_A": 0.005, "image_px_A": 0.005, "physical_px_A": 0.005}
_CLOSE = 1e-3  # relative, of all other numbers
_WORDS = re.compile(r"[^a-z0-9]+")


def summarise(readings: Sequence[Reading]) -> dict[str, Value]:
    """Return for each field what most of the readings of one kind say, or the middle of values that scatter."""
    summary = {}
    contents = [reading.values for reading in readings]
    for name in dict.fromkeys(name for content in contents for name in content):
        values = [value for content in contents if (value := content.get(name)) is not None]
        value = _usual(name, values)
        if value is not None:
            source = next(reading for reading in readings if reading.values.get(name) == value)
            summary[name] = _noted(source.value(name), name, len(values))
    return summary


def _usual(name: str, values: list[Any]) -> Any:
    if name in _SCATTER:
        return median_low(values)
    counted = Counter(values)
    if name in _OF_A_MOVIE and len(counted) > 1:
        return None
    return counted.most_common(1)[0][0]


def _noted(value: Value, name: str, count: int) -> Value:
    if count > 1 and name in _SCATTER:
        return replace(value, path=f"{value.path}, middle of {count} files")
    return value


def combine(groups: Iterable[Sequence[Reading]]) -> AcquisitionRecord:
    """Return the record of several kinds of files, each a sequence of readings.

    The header of a movie knows best the size and number of its frames; otherwise the metadata of images come first, then the lists of
    fractions, headers, and the session file. An estimate gives way to any value that is none. Values that disagree with the winner are
    kept as conflicts.
    """
    candidates: dict[str, list[tuple[tuple[int, int], Value]]] = {}
    for readings in groups:
        if not readings:
            continue
        for name, value in summarise(readings).items():
            candidates.setdefault(name, []).append((_order(name, readings[0].format, value), value))
    values, conflicts = {}, []
    for name, items in candidates.items():
        ordered = [value for _, value in sorted(items, key=lambda item: item[0])]
        values[name] = ordered[0]
        losers = tuple(value for value in ordered[1:] if value.confidence != "estimated" and not agree(name, ordered[0].value, value.value))
        if losers and name not in _OF_A_MOVIE:
            conflicts.append(Conflict(name, ordered[0], losers))
    return _with_dose_of_frames(AcquisitionRecord(values, tuple(conflicts)))


def _order(name: str, kind: str, value: Value) -> tuple[int, int]:
    rank = _RANK.get(kind, 0 if name in _OF_THE_FRAMES else _HEADER_RANK)
    return (int(value.confidence == "estimated"), rank)


def agree(name: str, one: Any, other: Any) -> bool:
    """Tell whether two values of a field say the same, within what is usual for it."""
    if isinstance(one, bool) or isinstance(other, bool):
        return bool(one == other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= _TOLERANCE.get(name, _CLOSE) * max(abs(one), abs(other))
    if isinstance(one, str) and isinstance(other, str):
        return _WORDS.sub("", one.lower()) == _WORDS.sub("", other.lower())
    if name in ("movie_size_px", "readout_px"):
        return sorted(one) == sorted(other)
    return bool(one == other)


def _with_dose_of_frames(record: AcquisitionRecord) -> AcquisitionRecord:
    """Give an estimated dose of a frame a better value where the number of frames is known from another file."""
    dose, frames, total = (record.values.get(name) for name in ("dose_per_frame_eA2", "n_frames", "dose_total_eA2"))
    if total is None or frames is None or frames.confidence == "estimated" or (dose is not None and dose.confidence != "estimated"):
        return record
    better = replace(total, value=total.value / frames.value, path=f"{total.path} / frames", confidence="derived")
    return replace(record, values={**record.values, "dose_per_frame_eA2": better})
