"""Which MTF curve belongs to a session: by detector, way of counting and voltage."""

from pathlib import Path

from relion4plugin.acquisition.detectors import DETECTORS
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.preset_match import model_of
from relion4plugin.acquisition.preset_schema import MODES
from relion4plugin.acquisition.record import AcquisitionRecord, Finding, Value

_RULE, _FIELD = "V14", "mtf_path"


def mode_of(record: AcquisitionRecord) -> str:
    """Return the way of counting that decides on the MTF, one of `preset_schema.MODES`."""
    if record.get("cds"):
        return "cds"
    mode = str(record.get("mode", "counting"))
    return mode if mode in MODES else "counting"


def choose_mtf(record: AcquisitionRecord, preset: Preset) -> tuple[Value | None, tuple[Finding, ...]]:
    """Return the file of the MTF (None where there is none), and what was noticed."""
    given = record.values.get(_FIELD)
    if given is not None and given.value:
        missing = () if Path(str(given.value)).is_file() else (Finding(_RULE, "error", _FIELD, f"there is no MTF file {given.value}"),)
        return given, missing
    mode, model, voltage = mode_of(record), model_of(record, preset), record.get("voltage_kV")
    name = preset.get(f"mtf.{mode}") or (DETECTORS[model].mtf.get(mode, "") if model else "")
    folder = preset.get("paths.mtf")
    if not folder or not name or voltage is None:
        return None, ()
    path = Path(folder) / name.replace("{kV}", f"{voltage:.0f}")
    if not path.is_file():
        return None, (Finding(_RULE, "warning", _FIELD, f"there is no MTF file {path} ({mode}); maps will be sharpened without it"),)
    source = Value(str(path), "", "preset", str(preset.path), f"mtf.{mode}" if preset.get(f"mtf.{mode}") else "paths.mtf", "derived")
    return source, _axis_finding(record)


def _axis_finding(record: AcquisitionRecord) -> tuple[Finding, ...]:
    movie, physical = record.get("movie_px_A"), record.get("physical_px_A")
    if movie and physical and movie < 0.75 * physical:
        text = "MTF curves are tabulated for physical pixels, but movies are imported with super-resolution pixels; bin curves accordingly"
        return (Finding(_RULE, "warning", _FIELD, text),)
    return ()
