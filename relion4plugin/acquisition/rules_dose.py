"""Rules about doses, fractions and voltages."""

from collections.abc import Iterator, Sequence
from statistics import median

from relion4plugin.acquisition.detectors import DETECTORS, detector_of
from relion4plugin.acquisition.epu_dose import usual_frames
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.record import Finding
from relion4plugin.acquisition.rules import Facts, rule

_VOLTAGES = (80.0, 100.0, 120.0, 200.0, 300.0)
_IDENTITY = 1e-3  # dose x pixel^2 against the electrons on the camera
_MEASURED = 0.05
_LISTED = 0.02
_LOWEST, _HIGHEST = 5.0, 100.0  # e/A^2 in a movie


def _worst(readings: Sequence[Reading], one: str, other: str, area: bool) -> tuple[float, Reading | None]:
    """Return the largest relative difference of two values (the first times the image pixel's area) and where it is."""
    worst: tuple[float, Reading | None] = (0.0, None)
    for reading in readings:
        first, second, pixel = reading.get(one), reading.get(other), reading.get("image_px_A")
        if not first or not second or (area and not pixel):
            continue
        difference = abs(first * (pixel**2 if area else 1.0) / second - 1.0)
        if difference > worst[0]:
            worst = difference, reading
    return worst


@rule("V02")
def voltage(facts: Facts) -> Iterator[Finding]:
    """Voltages are those of microscopes."""
    value = facts.record.get("voltage_kV")
    if value is not None and value not in _VOLTAGES:
        usual = ", ".join(f"{item:g}" for item in _VOLTAGES)
        yield Finding("V02", "warning", "voltage_kV", f"a voltage of {value:g} kV is unusual; expected one of {usual}")


@rule("V03")
def dose_identity(facts: Facts) -> Iterator[Finding]:
    """Dose times area of the image pixel is the number of electrons on the camera."""
    images = [reading for reading in facts.images if reading.format == "epu_image_xml"]
    worst, reading = _worst(images, "dose_total_eA2", "dose_on_camera_epx", area=True)
    if reading is not None and worst > _IDENTITY:
        text = f"dose x pixel^2 differs from DoseOnCamera by {100 * worst:.2g} % in {reading.file}: dose or pixel size is wrong"
        yield Finding("V03", "error", "dose_total_eA2", text)


@rule("V04")
def measured_dose(facts: Facts) -> Iterator[Finding]:
    """What was counted in the frames agrees with the dose that the metadata give."""
    worst, reading = _worst(facts.images, "dose_measured_epx", "dose_on_camera_epx", area=False)
    if reading is not None and worst > _MEASURED:
        text = f"the camera's total dose differs from DoseOnCamera by {100 * worst:.2g} % in {reading.file}"
        yield Finding("V04", "warning", "dose_total_eA2", text)
    counted = [value for item in facts.fractions if (value := item.get("dose_measured_epx"))]
    expected = [value for item in facts.images if (value := item.get("dose_on_camera_epx"))]
    if counted and expected and abs(median(counted) / median(expected) - 1) > _MEASURED:
        text = f"the frames hold {median(counted):.4g} electrons per pixel, the metadata say {median(expected):.4g}"
        yield Finding("V04", "warning", "dose_total_eA2", text)


@rule("V05")
def listed_dose(facts: Facts) -> Iterator[Finding]:
    """The doses of SerialEM's frames add up to the dose of the exposure; doses of 0 are not calibrated and do not count."""
    for reading in facts.images:
        pairs, total = reading.extra.get("frame_doses") or (), reading.get("dose_total_eA2")
        if not pairs or not total or any(dose <= 0 for dose, _ in pairs):
            continue
        listed = sum(dose * frames for dose, frames in pairs)
        if abs(listed / total - 1) > _LISTED:
            text = f"frames add up to {listed:.4g} e/A^2, but the exposure has {total:.4g} in {reading.file}"
            yield Finding("V05", "warning", "dose_total_eA2", text)
            return


@rule("V11")
def unequal_fractions(facts: Facts) -> Iterator[Finding]:
    """All fractions have the same number of camera frames."""
    odd = [reading for reading in (*facts.fractions, *facts.images) if len(set(reading.get("frames_per_fraction") or ())) > 1]
    if odd:
        frames = odd[0].get("frames_per_fraction")
        usual = usual_frames(frames)
        advice = f"; end the sum at frame {len(frames) - 1}" if set(frames[:-1]) == {usual} else ""
        lengths = f"usually {usual} camera frames, the last {frames[-1]}"
        text = f"{len(odd)} movies have fractions of different length ({lengths}); the dose per frame is that of the usual ones{advice}"
        yield Finding("V11", "warning", "frames_per_fraction", text)
    listed = [reading for reading in facts.images if len({dose for dose, _ in reading.extra.get("frame_doses") or () if dose > 0}) > 1]
    if listed:
        text = f"{len(listed)} movies have frames of different doses; the dose per frame is that of most frames"
        yield Finding("V11", "warning", "dose_per_frame_eA2", text)


@rule("V12")
def dose_range(facts: Facts) -> Iterator[Finding]:
    """Dose and dose rate are within what is usual."""
    dose = facts.record.get("dose_total_eA2")
    if dose is not None and not _LOWEST <= dose <= _HIGHEST:
        text = f"a total dose of {dose:.3g} e/A^2 is unusual; expected {_LOWEST:g} to {_HIGHEST:g}"
        yield Finding("V12", "warning", "dose_total_eA2", text)
    detector, rate = detector_of(facts.record), facts.record.get("dose_rate_epx_s")
    if detector is None or rate is None or facts.record.get("mode") == "linear":
        return
    low, high = DETECTORS[detector].dose_rate
    if not low <= rate <= high:
        label = DETECTORS[detector].label
        text = f"a dose rate of {rate:.3g} e per physical pixel and second is unusual for {label}; usual are {low:g} to {high:g}"
        yield Finding("V12", "info", "dose_rate_epx_s", text)


@rule("V14")
def optics_in_use(facts: Facts) -> Iterator[Finding]:
    """Phase plate and correlated double sampling change what is to be done later."""
    if facts.record.get("phase_plate"):
        yield Finding("V14", "info", "phase_plate", "a phase plate was used: CTF estimation has to find phase shifts")
    if facts.record.get("cds"):
        yield Finding("V14", "info", "cds", "correlated double sampling was on: it has an MTF of its own")
