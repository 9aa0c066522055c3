"""The record of a session, a preset and what a person says, put together.

Precedence: person, calibration in the preset, header of the movies, metadata of the images, session, default. The record holds
the last four in order already; values that do not win are kept as conflicts.
"""

from dataclasses import replace

from relion4plugin.acquisition.fields import FIELDS
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.record import AcquisitionRecord, Conflict, Value
from relion4plugin.acquisition.user_values import UserValues

_CLOSE = 1e-6  # relative; nearer values agree


def merge(record: AcquisitionRecord, preset: Preset, user: UserValues) -> AcquisitionRecord:
    """Return the record with calibrations of the preset and values of a person on top."""
    record = _with_calibration(record, preset)
    for name, full in (("cs_mm", "microscope.Cs"), ("amplitude_contrast", "microscope.Q0"), ("pre_exposure_eA2", "dose.pre_exposure")):
        if full in preset.given or name not in record.values:
            record = override(record, name, _preset_value(preset, full, name, preset.get(full)))
    for name, full in (("scope_name", "microscope.name"), ("defect_path", "gain.defects")):
        if preset.get(full):
            record = override(record, name, _preset_value(preset, full, name, preset.get(full)))
    for name, value in user.fields.items():
        record = override(record, name, value)
    return _with_user_pixel(record, user)


def override(record: AcquisitionRecord, name: str, value: Value) -> AcquisitionRecord:
    """Put a value in the place of another one; where they differ, the old one and those that it had beaten stay as a conflict."""
    old = record.values.get(name)
    beaten = tuple(loser for conflict in record.conflicts if conflict.field == name for loser in conflict.losers)
    losers = tuple(item for item in ((old,) if old is not None else ()) + beaten if not same(item.value, value.value))
    record = record.with_value(name, value)
    return replace(record, conflicts=(*record.conflicts, Conflict(name, value, losers))) if losers else record


def same(one: object, other: object) -> bool:
    """Tell whether two values agree; numbers to one part in a million."""
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= _CLOSE * max(abs(one), abs(other))
    return one == other


def _preset_value(preset: Preset, full: str, name: str, value: object) -> Value:
    given = full in preset.given
    source, confidence = ("preset", "measured") if given else ("default", "default")
    return Value(value, FIELDS[name].unit, source, str(preset.path) if given else "", full, confidence)


def _with_calibration(record: AcquisitionRecord, preset: Preset) -> AcquisitionRecord:
    """Put the calibrated pixel of this magnification in the place of the nominal one."""
    table = preset.get("microscope.calibration")
    pixel = table.get(str(record.get("magnification", "")))
    if pixel is None:
        return record
    ratio = frames_per_physical(record)
    physical = _preset_value(preset, "microscope.calibration", "physical_px_A", float(pixel))
    return override(override(record, "physical_px_A", physical), "movie_px_A", replace(physical, value=float(pixel) * ratio))


def _with_user_pixel(record: AcquisitionRecord, user: UserValues) -> AcquisitionRecord:
    """Keep the physical pixel in step with a pixel of the movies that a person gave."""
    if "movie_px_A" not in user.fields or "physical_px_A" in user.fields or "physical_px_A" not in record.values:
        return record
    losers = [loser for conflict in record.conflicts if conflict.field == "movie_px_A" for loser in conflict.losers]
    if not losers:
        return record
    pixel = record.get("physical_px_A") * record.get("movie_px_A") / losers[0].value
    derived = replace(user.fields["movie_px_A"], value=pixel, confidence="derived")
    return override(record, "physical_px_A", derived)


def frames_per_physical(record: AcquisitionRecord) -> float:
    """Return the pixel of the movies over the physical one: a half for super-resolution frames as they are."""
    movie, physical = record.get("movie_px_A"), record.get("physical_px_A")
    if movie and physical:
        return round(2.0 * movie / physical) / 2.0 or movie / physical
    return 0.5 if record.get("super_resolution") and record.get("binning", 1) <= 1 else 1.0
