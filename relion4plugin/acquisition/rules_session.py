"""Rules about the session as a whole: what is missing, mixed, orphaned or old."""

import time
from collections.abc import Iterator
from datetime import datetime

from relion4plugin.acquisition import names
from relion4plugin.acquisition.record import Finding
from relion4plugin.acquisition.rules import Facts, rule
from relion4plugin.acquisition.times import read_time

_REQUIRED = {"voltage_kV": "the voltage", "movie_px_A": "the pixel size of the movies", "dose_per_frame_eA2": "the dose per frame"}
_KNOWN_EPU = ((2, 6), (3, 13))  # first and last version whose files were seen
_DAY = 86400.0
_SHOWN = 3


def _some(items: tuple[str, ...] | list[str]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


@rule("V01")
def required(facts: Facts) -> Iterator[Finding]:
    """What processing cannot do without is known."""
    for field, label in _REQUIRED.items():
        if facts.record.get(field) is not None:
            continue
        text = f"{label} is not known; give {field}"
        estimates = [value for reading in facts.images if (value := reading.extra.get("dose_per_frame_estimate_eA2"))]
        if field == "dose_per_frame_eA2" and estimates:
            text += f" (behind the specimen {estimates[0]:.3g} e/A^2 were measured, which is a lower bound), or do without dose weighting"
        yield Finding("V01", "error", field, text)
    if facts.info.counts.get("movies", 0) == 0:
        yield Finding("V01", "error", "movie_pattern", "no movie was found; give the folder of the movies")


@rule("V10")
def mixed_settings(facts: Facts) -> Iterator[Finding]:
    """All movies were taken under the same settings."""
    if len(facts.settings) > 1:
        listed = "; ".join(str(item) for item in facts.settings[:_SHOWN])
        text = f"{len(facts.settings)} different settings in this session, which should be processed apart: {listed}"
        yield Finding("V10", "warning", "", text)


@rule("V15")
def not_movies(facts: Facts) -> Iterator[Finding]:
    """The session has movies of single particles."""
    if facts.info.kind == "tilt_series":
        yield Finding("V15", "error", "", "this is a session of tilt series, not of single particles")
    elif facts.info.kind in ("empty", "screening"):
        text = "no data image yet" if facts.info.kind == "empty" else "only images of squares and holes, no data image yet"
        yield Finding("V15", "error", "", text)
    elif facts.roles and not facts.images:
        yield Finding("V15", "error", "fractionation", "no image of this session was recorded in frames, or no metadata file can be read")
    left_out = [
        f"{count} of kind {role.replace('_', ' ')}" for role, count in sorted(facts.roles.items()) if role not in ("movie", "unknown")
    ]
    if left_out and facts.images:
        yield Finding("V15", "info", "", f"metadata that are not about movies are left out: {', '.join(left_out)}")


@rule("V16")
def clocks(facts: Facts) -> Iterator[Finding]:
    """Times in names and metadata are of the same day, and none is in the future."""
    apart = []
    for name, acquired in zip(facts.movies["name"], facts.movies["acquired"], strict=True):
        found, when = names.data_name(name), read_time(acquired) if acquired else None
        named = read_time(found.time) if found else None
        if named is not None and when is not None and abs((when.replace(tzinfo=None) - named).total_seconds()) > _DAY:
            apart.append(name)
    if apart:
        text = f"times of acquisition and in the name are more than a day apart in {len(apart)} images ({_some(apart)}): was a clock wrong?"
        yield Finding("V16", "warning", "acquired", text)
    latest = max((_seconds(stamp) for stamp in facts.movies["acquired"] if stamp), default=0.0)
    if latest > time.time() + _DAY:
        yield Finding("V16", "warning", "acquired", "the last image is more than a day in the future: a clock is wrong")


def _seconds(stamp: str) -> float:
    when: datetime | None = read_time(stamp)
    return when.timestamp() if when else 0.0


@rule("V18")
def orphans(facts: Facts) -> Iterator[Finding]:
    """Each movie has metadata and the other way round."""
    if facts.without_metadata and facts.images:
        text = f"{len(facts.without_metadata)} movies have no metadata: {_some(list(facts.without_metadata))}"
        yield Finding("V18", "warning", "", text)
    if facts.without_movie:
        text = f"{len(facts.without_movie)} images have no movie (yet): {_some(list(facts.without_movie))}"
        yield Finding("V18", "warning", "", text)
    if facts.timing.gaps:
        longest = max(facts.timing.gaps, key=lambda gap: gap.minutes)
        text = f"{len(facts.timing.gaps)} times without movies, the longest {longest.minutes:.0f} minutes after {longest.start}"
        yield Finding("V18", "info", "acquired", text)


@rule("V20")
def software_version(facts: Facts) -> Iterator[Finding]:
    """The files are of a version whose elements were seen before."""
    versions = {reading.get("software_version") for reading in facts.images if reading.format == "epu_image_xml"} - {None}
    for version in sorted(versions):
        parts = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
        if not _KNOWN_EPU[0] <= parts <= _KNOWN_EPU[1]:
            first, last = (".".join(str(part) for part in item) for item in _KNOWN_EPU)
            text = f"EPU {version} was not seen before (known: {first} to {last}); compare the values with the microscope"
            yield Finding("V20", "warning", "software_version", text)
    if len(versions) > 1:
        yield Finding("V20", "warning", "software_version", f"images of several versions of EPU: {', '.join(sorted(versions))}")
