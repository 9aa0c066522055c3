"""Rules about size and number of frames, and super-resolution."""

from collections.abc import Iterator

from relion4plugin.acquisition.detectors import DETECTORS, detector_of
from relion4plugin.acquisition.record import Finding
from relion4plugin.acquisition.rules import Facts, rule

_EER_TOLERANCE = 3  # frames by which an estimate may be wrong


def expected_size(facts: Facts) -> tuple[int, int] | None:
    """Return width and height that frames should have: the read-out times the factor of super-resolution."""
    readout = next((size for reading in facts.images if (size := reading.get("readout_px"))), None)
    if readout is None:
        return None
    factor = facts.record.get("super_resolution_factor", 1)
    return readout[0] * factor, readout[1] * factor


@rule("V06")
def frame_size(facts: Facts) -> Iterator[Finding]:
    """Frames have the size of the read-out, in either orientation; EER is told as the sensor."""
    expected = expected_size(facts)
    for header in facts.headers:
        size = header.get("movie_size_px")
        if expected is None or size is None or sorted(size) == sorted(expected):
            continue
        text = f"frames of {header.file} have {size[0]} x {size[1]} pixels, the metadata say {expected[0]} x {expected[1]}"
        yield Finding("V06", "error", "movie_size_px", text)
        return


@rule("V07")
def frame_number(facts: Facts) -> Iterator[Finding]:
    """Movies have as many frames as the metadata say; aborted movies have fewer."""
    expected = next(((reading, count) for reading in facts.images if (count := reading.get("n_frames"))), None)
    for header in facts.headers:
        count = header.get("n_frames")
        if expected is None or count is None or count == expected[1]:
            continue
        reading, asked = expected
        text = f"{header.file} has {count} frames, the metadata say {asked}"
        if reading.confidence.get("n_frames") == "estimated":
            near = abs(count - asked) <= _EER_TOLERANCE
            yield Finding("V07", "info" if near else "warning", "n_frames", f"{text} (estimated from exposure and frame rate)")
        else:
            yield Finding("V07", "error", "n_frames", text)
        return


@rule("V07")
def aborted(facts: Facts) -> Iterator[Finding]:
    """Falcon cameras recorded all fractions that were asked for."""
    short = [item for item in facts.fractions if (item.extra.get("recorded_fractions") or 0) < (item.extra.get("expected_fractions") or 0)]
    if short:
        text = f"{len(short)} movies were aborted: fewer fractions than asked for, first {short[0].file}"
        yield Finding("V07", "warning", "n_frames", text)


@rule("V13")
def super_resolution(facts: Facts) -> Iterator[Finding]:
    """Frames of super-resolution size come with the flag and half the pixel, and the other way round."""
    detector = detector_of(facts.record)
    size, flag = facts.record.get("movie_size_px"), facts.record.get("super_resolution")
    if detector is None or size is None or flag is None or facts.record.get("movie_format") == "eer" or facts.record.get("binning", 1) > 1:
        return
    is_double = sorted(size) == sorted(2 * side for side in DETECTORS[detector].native)
    is_native = sorted(size) == sorted(DETECTORS[detector].native)
    shown = f"{size[0]} x {size[1]}"
    if is_double and not flag:
        text = f"frames of {shown} pixels are super-resolution, but the metadata say counting: the pixel size may be twice too large"
    elif is_native and flag:
        text = f"frames of {shown} pixels are not super-resolution, but the metadata say so: the pixel size may be twice too small"
    else:
        return
    yield Finding("V13", "error", "movie_px_A", text)
