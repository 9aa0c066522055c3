"""From a merged record and a preset to the options of the processing, each with the place its value comes from."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.motion_settings import motion_keys
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.preset_schema import FREE_TABLE, SESSION_OPTIONS
from relion4plugin.acquisition.record import AcquisitionRecord, Value
from relion4plugin.acquisition.user_values import FIELD_OF_OPTION, UserValues
from relion4plugin.jobs.parameters import fields_of, format_value, parse_value
from relion4plugin.schemes.it.choices import Choices, with_keys
from relion4plugin.schemes.it.keys import SEPARATOR
from relion4plugin.schemes.it.options import ItOptions

FOLDER = "Acquisition"  # of a project: gain reference, defects and MTF of its session, optics groups
_HEAVY = ("motioncorr", "ctffind", "autopick", "extract", "class2d", "inimodel3d", "refine3d")
_QUEUE = {"do_queue": "submit", "queuename": "name", "qsub": "command", "qsubscript": "script", "min_dedicated": "cores_per_node"}
_TWICE = 0.75  # pixels of frames below this part of the physical ones are super-resolution pixels


@dataclass(frozen=True)
class Settings:
    """Options and keys of the schemes, the source of each by its name, and files to copy into the project (old path -> new one)."""

    choices: Choices
    sources: Mapping[str, Value] = field(default_factory=dict)
    copies: Mapping[Path, str] = field(default_factory=dict)


def make_settings(
    record: AcquisitionRecord, preset: Preset, user: UserValues, pattern: Value, gain: Value | None = None, mtf: Value | None = None
) -> Settings:
    """Fill the options of on-the-fly processing.

    Parameters
    ----------
    record : AcquisitionRecord
        The record as `merge` made it.
    preset : Preset
        The preset.
    user : UserValues
        What a person gave.
    pattern : Value
        Pattern of the movies, with the absolute path of their folder.
    gain, mtf : Value
        Gain reference and MTF curve; None for none.
    """
    traced: dict[str, Value] = {"fn_in_raw": pattern}
    traced |= {name: record.values[of] for name, of in FIELD_OF_OPTION.items() if of in record.values and name not in _COMPUTED}
    traced |= _session_options(record) | _preset_options(preset)
    traced |= {name: Value(value, "", "user", confidence="user") for name, value in user.options.items()}
    keys = motion_keys(record, preset)
    if "dose_per_frame" in keys:  # of an EER fraction
        traced |= {name: keys.pop(name) for name in ("dose_per_frame", "eer_grouping")}
    copies = _copies(record, gain, mtf, traced, keys)
    keys |= _queue_keys(preset, str(traced["picker"].value) if "picker" in traced else "")
    keys |= {name: Value(value, "", "preset", str(preset.path), f"{FREE_TABLE}.{name}") for name, value in preset.keys.items()}
    keys |= {name: Value(value, "", "user", confidence="user") for name, value in user.keys.items()}
    options = ItOptions(**{name: _typed(name, value.value) for name, value in traced.items()})
    choices = with_keys(Choices(options), (f"{name}={format_value(value.value)}" for name, value in keys.items()))
    return Settings(choices, traced | keys, copies)


_COMPUTED = {"fn_in_raw", "dose_per_frame", "eer_grouping", "fn_gain_ref"}
_TYPES = {item.name: item for item in fields_of(ItOptions)}


def _typed(name: str, value: Any) -> Any:
    return parse_value(_TYPES[name], format_value(value))


def _session_options(record: AcquisitionRecord) -> dict[str, Value]:
    found: dict[str, Value] = {}
    frames, dose = record.values.get("n_frames"), record.values.get("dose_per_frame_eA2")
    if frames is not None:
        found["is_multiframe"] = replace(frames, value=frames.value > 1, unit="", confidence="derived")
    if dose is not None:
        found["dose_per_frame"] = dose
    movie, physical = record.values.get("movie_px_A"), record.values.get("physical_px_A")
    if movie is not None and physical is not None:
        is_twice = movie.value < _TWICE * physical.value and record.get("movie_format") != "eer"
        found["super_resolution"] = replace(physical, value=is_twice, unit="", confidence="derived")
    return found


def _preset_options(preset: Preset) -> dict[str, Value]:
    """Return the options of the table processing that the preset's file gives."""
    names = [name for name in _TYPES if name not in SESSION_OPTIONS and f"processing.{name}" in preset.given]
    return {
        name: Value(preset.get(f"processing.{name}"), _TYPES[name].unit, "preset", str(preset.path), f"processing.{name}") for name in names
    }


def _copies(
    record: AcquisitionRecord, gain: Value | None, mtf: Value | None, traced: dict[str, Value], keys: dict[str, Value]
) -> dict[Path, str]:
    """Name the files that go into the project, and put their new paths into options and keys."""
    copies = {}
    for name, value, place in (
        ("fn_gain_ref", gain, traced),
        ("prep__motioncorr__fn_defect", record.values.get("defect_path"), keys),
        ("prep__importmovies__fn_mtf", mtf, keys),
    ):
        if value is None or not value.value:
            continue
        source = Path(str(value.value))
        copies[source] = f"{FOLDER}/{source.name}"
        place[name] = replace(value, value=copies[source])
    return copies


def _queue_keys(preset: Preset, picker: str) -> dict[str, Value]:
    if not preset.get("queue.submit"):
        return {}
    found = {}
    for job in _HEAVY:
        scheme = "prep" if job in _HEAVY[:2] else "proc"
        for option, name in _QUEUE.items():
            source = Value(preset.get(f"queue.{name}"), "", "preset", str(preset.path), f"queue.{name}")
            found[SEPARATOR.join((scheme, job, option))] = source
    return found
