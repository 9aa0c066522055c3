"""Options of motion correction that follow from a record: patches, grouping of frames, doses, orientation of the gain reference."""

from dataclasses import replace

from relion4plugin.acquisition.detectors import DETECTORS
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.preset_match import model_of
from relion4plugin.acquisition.record import AcquisitionRecord, Value
from relion4plugin.acquisition.sizes import eer_grouping, frame_group
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.jobs.relion.motioncorr import MotionCorrOptions

_JOB = "prep__motioncorr__"
_MENUS = {item.name: item.choices or () for item in fields_of(MotionCorrOptions) if item.name in ("gain_rot", "gain_flip")}


def motion_keys(record: AcquisitionRecord, preset: Preset) -> dict[str, Value]:
    """Return keys of the job of motion correction; for EER movies also the options dose_per_frame and eer_grouping."""
    found = _patches(record, preset) | _orientation(preset) | _frames(record, preset)
    before = record.values.get("pre_exposure_eA2")
    if before is not None and before.value:
        found[f"{_JOB}pre_exposure"] = before
    return found


def _patches(record: AcquisitionRecord, preset: Preset) -> dict[str, Value]:
    model = model_of(record, preset)
    given = preset.get("detector.patches")
    columns_rows = given or (DETECTORS[model].patches if model else ())
    if not columns_rows:
        return {}
    size = record.get("movie_size_px")
    if size is not None and (size[0] < size[1]) != (columns_rows[0] < columns_rows[1]):  # patches stay about square
        columns_rows = tuple(reversed(columns_rows))
    source = Value(0, "", "preset", str(preset.path), "detector.patches") if given else Value(0, "", "detector", "", str(model), "derived")
    return {f"{_JOB}patch_{axis}": replace(source, value=int(number)) for axis, number in zip("xy", columns_rows, strict=True)}


def _orientation(preset: Preset) -> dict[str, Value]:
    found = {}
    for option, full in (("gain_rot", "gain.rotation"), ("gain_flip", "gain.flip")):
        if preset.get(full):
            found[_JOB + option] = Value(_MENUS[option][preset.get(full)], "", "preset", str(preset.path), full)
    return found


def _frames(record: AcquisitionRecord, preset: Preset) -> dict[str, Value]:
    dose, count = record.values.get("dose_per_frame_eA2"), record.get("n_frames")
    if dose is None or not dose.value or not count:
        return {}
    target = preset.get("dose.per_fraction")
    if record.get("movie_format") == "eer":
        given = record.values.get("eer_grouping")
        number = given.value if given is not None else eer_grouping(count * dose.value, count, target).frames
        grouping = given or Value(number, "", "preset", str(preset.path), "dose.per_fraction", "derived")
        return {"eer_grouping": grouping, "dose_per_frame": replace(dose, value=number * dose.value, confidence="derived")}
    group = frame_group(dose.value)
    found = {f"{_JOB}group_frames": replace(dose, value=group, unit="", confidence="derived")} if group > 1 else {}
    return found | _last_frame(record)


def _last_frame(record: AcquisitionRecord) -> dict[str, Value]:
    """End the sum before a last fraction that is longer or shorter than all others, as one dose is given for all."""
    fractions = record.values.get("frames_per_fraction")
    if fractions is None or len(fractions.value) < 3:
        return {}
    *others, last = fractions.value
    if len(set(others)) != 1 or last == others[0]:
        return {}
    return {f"{_JOB}last_frame_sum": replace(fractions, value=len(others), unit="", confidence="derived")}
