"""Which preset belongs to a session."""

import fnmatch
from collections.abc import Iterable
from pathlib import Path

from relion4plugin.acquisition.detectors import detector_of
from relion4plugin.acquisition.preset import NO_PRESET, Preset
from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.errors import UserError


def model_of(record: AcquisitionRecord, preset: Preset) -> str | None:
    """Return the key of the detector: what the metadata name, else what the preset says."""
    return detector_of(record) or preset.get("detector.model") or None


def fits(preset: Preset, record: AcquisitionRecord, folder: Path) -> bool:
    """Tell whether all that a preset asks for in its table match is so; what a record does not know does not fit."""
    scope = {str(record.get(name, "")).lower() for name in ("scope_id", "scope_name", "scope_model")}
    instruments = {word.lower() for word in preset.get("match.instrument")}
    tests = (
        not instruments or bool(instruments & scope),
        not preset.get("match.detector") or detector_of(record) in preset.get("match.detector"),
        not preset.get("match.software") or record.get("software") in preset.get("match.software"),
        not preset.get("match.path") or any(fnmatch.fnmatch(str(folder), pattern) for pattern in preset.get("match.path")),
    )
    return all(tests)


def preset_for(presets: Iterable[Preset], record: AcquisitionRecord, folder: Path) -> Preset:
    """Return the first preset that fits a session; without any presets, the empty one.

    Raises
    ------
    UserError
        If there are presets, but none fits.
    """
    listed = list(presets)
    if not listed:
        return NO_PRESET
    found = next((preset for preset in listed if fits(preset, record, folder)), None)
    if found is None:
        seen = ", ".join(str(record.get(name, "unknown")) for name in ("scope_id", "detector", "software"))
        raise UserError(f"no preset fits {folder} ({seen}); looked at {', '.join(preset.name for preset in listed)}")
    return found
