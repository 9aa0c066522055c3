"""What the acquisition protocol tells about a session: values with their sources, contradictions, warnings."""

from collections.abc import Iterator, Mapping

from relion4plugin.acquisition.fields import FIELDS
from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.scipion.acquisition_values import MovieValues, Planned

_SHOWN = (
    "scope_name", "detector", "voltage_kV", "cs_mm", "amplitude_contrast", "magnification", "movie_px_A", "n_frames", "dose_per_frame_eA2",
    "dose_total_eA2", "pre_exposure_eA2",
)  # fmt: skip
_MOST = 8  # lines of one kind
_CLOSE = 1e-3  # relative
_FIXED = {
    "movie_px_A": "pixel_size", "voltage_kV": "voltage", "cs_mm": "spherical_aberration", "amplitude_contrast": "amplitude_contrast",
}  # fmt: skip


def summary_lines(
    planned: Planned, values: MovieValues | None, n_movies: int, waiting: int, is_over: bool, unusable: Mapping[str, str]
) -> list[str]:
    """Return the summary.

    Parameters
    ----------
    planned : Planned
        What is known about the session by now.
    values : MovieValues or None
        What the movies have; None before the first.
    n_movies, waiting : int
        Movies that are imported, and that are there but not finished.
    is_over : bool
        Whether no more are expected.
    unusable : mapping
        Movies that cannot be used, and why.
    """
    state = [f"{n_movies} movies"]
    if waiting:
        state.append(f"{waiting} not finished or without metadata")
    if not is_over:
        state.append("waiting for more")
    lines = ["; ".join(state), *_value_lines(planned.record), *_gain_lines(planned, values)]
    lines += _some([*_changes(planned.record, values)], "changes")
    lines += _some([f"*Conflict* {conflict}" for conflict in planned.record.conflicts], "conflicts")
    doubts = [finding for finding in planned.findings if finding.level != "info"]
    lines += _some([f"*{finding.level.capitalize()}* {finding.text} ({finding.rule})" for finding in doubts], "warnings")
    if unusable:
        first = next(iter(unusable.values()))
        lines.append(f"{len(unusable)} movies cannot be used so far (extra/set_aside.star). First: {first}")
    return lines


def _value_lines(record: AcquisitionRecord) -> Iterator[str]:
    for name in _SHOWN:
        value = record.values.get(name)
        if value is not None:
            sure = "" if value.confidence in ("measured", "user", "default") else f", {value.confidence}"
            yield f"{FIELDS[name].label}: {value} ({value.source}{sure})"


def _gain_lines(planned: Planned, values: MovieValues | None) -> Iterator[str]:
    source = planned.settings.sources.get("fn_gain_ref")
    if source is not None:
        origin = next((str(path) for path, name in planned.settings.copies.items() if name == source.value), str(source.value))
        yield f"gain reference: {origin} ({source.source})"
    turns = {name: planned.settings.sources.get(f"prep__motioncorr__{name}") for name in ("gain_rot", "gain_flip")}
    given = ", ".join(f"{name} {value.value}" for name, value in turns.items() if value is not None)
    if given:
        yield f"For motion correction the gain reference needs {given}"
    if values is not None and values.eer_grouping > 1:
        dose = f"{values.dose_per_frame:.3g} e/A^2"
        yield f"EER: {values.eer_grouping} camera frames in a fraction of {dose} (eer_grouping of motion correction)"


def _changes(record: AcquisitionRecord, values: MovieValues | None) -> Iterator[str]:
    """Yield values that the session's files give now, but not when the first movie was imported."""
    if values is None:
        return
    for field, name in _FIXED.items():
        now, fixed = record.get(field), getattr(values, name)
        if now is not None and abs(now - fixed) > _CLOSE * abs(fixed):
            yield f"*Warning* {FIELDS[field].label} is now {now:g}, but movies are imported with {fixed:g}"


def _some(lines: list[str], what: str) -> list[str]:
    more = len(lines) - _MOST
    return [*lines[:_MOST], f"{more} more {what}"] if more > 0 else lines
