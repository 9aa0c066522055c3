"""From the keys of one mdoc section to values of a record."""

from collections.abc import Mapping
from typing import Any

from relion4plugin.acquisition.xml_read import base_name, flag, integer, number

_SUPER_RESOLUTION = 0.5  # binning of K2 and K3 frames saved unreduced
_NUMBERS = {
    "Voltage": "voltage_kV",
    "ExposureTime": "exposure_s",
    "DoseRate": "dose_rate_epx_s",
    "TargetDefocus": "defocus_target_um",
    "Defocus": "defocus_um",
    "TiltAngle": "tilt_deg",
    "PriorRecordDose": "pre_exposure_eA2",
    "Cs": "cs_mm",
    "DE12-FramesPerSecond": "frame_rate_Hz",
}
_INTEGERS = {"Magnification": "magnification", "SpotSize": "spot", "RotationAndFlip": "rotation_flip"}
_FLAGS = {"UsingCDS": "cds", "PhasePlateInserted": "phase_plate"}
_TEXTS = {
    "DateTime": "acquired",
    "OpticalGroup": "optics_group",
    "MultishotHoleAndPosition": "hole",
}
_PAIRS = {"ImageShift": "image_shift", "BeamShift": "beam_shift", "BeamTilt": "beam_tilt"}
_FILES = {"GainReference": "gain_path", "DefectFile": "defect_path"}
_OTHERS = {
    "image_px_A": "PixelSpacing",
    "movie_px_A": "PixelSpacing",
    "physical_px_A": "PixelSpacing / Binning",
    "binning": "Binning",
    "super_resolution": "Binning",
    "super_resolution_factor": "Binning",
    "mode": "OperatingMode, Binning",
    "dose_total_eA2": "ExposureDose",
    "dose_per_frame_eA2": "ExposureDose / NumSubFrames",
    "n_frames": "NumSubFrames",
    "frames_per_fraction": "FrameDosesAndNumber",
    "stage_um": "StagePosition, StageZ",
    "slit_eV": "FilterSlitAndLoss",
    "movie_path": "SubFramePath",
    "probe": "ProbeMode",
    "grid_square": "NavigatorLabel",
}
_TABLES = (_NUMBERS, _INTEGERS, _FLAGS, _TEXTS, _PAIRS, _FILES)
KEYS: Mapping[str, str] = {**{name: key for table in _TABLES for key, name in table.items()}, **_OTHERS, "scope_id": "T"}
_USED = {key for table in _TABLES for key in table} | {
    *("PixelSpacing", "RefinedPixelSpacing", "Binning", "ExposureDose", "NumSubFrames", "FrameDosesAndNumber", "StagePosition", "StageZ"),
    *("FilterSlitAndLoss", "SubFramePath", "ProbeMode", "OperatingMode", "NavigatorLabel"),
}


def section_values(keys: Mapping[str, str], is_movie: bool) -> tuple[dict[str, Any], dict[str, str], dict[str, Any], list[str]]:
    """Return values, confidence of those not measured, other content, and problems of one section.

    Doses of 0 mean that SerialEM was not calibrated: they are unknown. Other content: keys that are not known ('other'), pairs of
    dose and frames ('frame_doses'), and an estimate of the dose of a frame if there is no better one.
    """
    values: dict[str, Any] = {}
    for table, reader in ((_NUMBERS, number), (_INTEGERS, integer), (_FLAGS, flag)):
        values.update({name: reader(keys.get(key)) for key, name in table.items()})
    values.update({name: keys.get(key) or None for key, name in _TEXTS.items()})
    values.update({name: numbers(keys.get(key), 2) for key, name in _PAIRS.items()})
    values.update({name: base_name(keys[key]) or None for key, name in _FILES.items() if key in keys})
    values["dose_rate_epx_s"] = values["dose_rate_epx_s"] or None
    values["grid_square"] = keys.get("NavigatorLabel") or None
    confidence: dict[str, str] = {}
    problems: list[str] = []
    _geometry(keys, values)
    _pixels(keys, values, confidence, problems, is_movie)
    extra: dict[str, Any] = {"other": {key: value for key, value in keys.items() if key not in _USED}}
    _doses(keys, values, confidence, extra)
    return values, confidence, extra, problems


def numbers(words: str | None, count: int) -> tuple[float, ...] | None:
    """Return exactly `count` numbers separated by blanks, else None."""
    found = [number(item) for item in (words or "").split()]
    return tuple(item for item in found if item is not None) if len(found) == count and None not in found else None


def frame_doses(words: str | None) -> tuple[tuple[float, int], ...]:
    """Return pairs (dose in e/A^2, number of frames) of a FrameDosesAndNumber line.

    >>> frame_doses("0.5 7  0.6 3")
    ((0.5, 7), (0.6, 3))
    """
    items = (words or "").split()
    if len(items) % 2:
        return ()
    pairs = [(number(dose), integer(count)) for dose, count in zip(items[::2], items[1::2], strict=True)]
    return tuple((dose, count) for dose, count in pairs if dose is not None and count is not None and count > 0)


def _geometry(keys: Mapping[str, str], values: dict[str, Any]) -> None:
    position, height = numbers(keys.get("StagePosition"), 2), number(keys.get("StageZ"))
    values["stage_um"] = (*position, height) if position and height is not None else None
    slit = numbers(keys.get("FilterSlitAndLoss"), 2)
    values["slit_eV"] = slit[0] if slit and slit[0] > 0 else None
    if keys.get("SubFramePath"):
        values["movie_path"] = base_name(keys["SubFramePath"])
    if keys.get("ProbeMode") in ("0", "1"):
        values["probe"] = "MicroProbe" if keys["ProbeMode"] == "1" else "NanoProbe"


def _pixels(keys: Mapping[str, str], values: dict[str, Any], confidence: dict[str, str], problems: list[str], is_movie: bool) -> None:
    pixel = number(keys.get("RefinedPixelSpacing")) or number(keys.get("PixelSpacing"))
    binning = number(keys.get("Binning"))
    if pixel is not None and pixel <= 0:
        problems.append(f"a pixel size of {pixel:g} A is not taken; expected a positive number")
        pixel = None
    if binning is not None and binning <= 0:
        problems.append(f"a binning of {binning:g} is not taken; expected a positive number")
        binning = None
    values["image_px_A"], values["binning"] = pixel, binning
    if binning is not None:
        values["super_resolution"] = binning == _SUPER_RESOLUTION
        values["super_resolution_factor"] = 2 if values["super_resolution"] else 1
        confidence.update(super_resolution="derived", super_resolution_factor="derived")
    if pixel and is_movie:
        values["movie_px_A"] = pixel
    if pixel and binning:
        values["physical_px_A"] = pixel / binning
        confidence["physical_px_A"] = "derived"
    if keys.get("OperatingMode") == "1" or values.get("super_resolution"):
        values["mode"] = "super-resolution" if values.get("super_resolution") else "counting"
        values["counting"] = True
        confidence["mode"] = confidence["counting"] = "derived"


def _doses(keys: Mapping[str, str], values: dict[str, Any], confidence: dict[str, str], extra: dict[str, Any]) -> None:
    """Add frames and doses: total / frames, else the dose of most frames.

    Without either, the rate behind the specimen gives a lower bound: it goes to `extra`, for it must not pass for a dose.
    """
    pairs = frame_doses(keys.get("FrameDosesAndNumber"))
    count = integer(keys.get("NumSubFrames"))
    count = count if count and count > 0 else sum(frames for _, frames in pairs) or None
    total = number(keys.get("ExposureDose"))
    total = total if total and total > 0 else None
    listed = {dose: sum(frames for other, frames in pairs if other == dose) for dose, _ in pairs if dose > 0}
    values["n_frames"], values["dose_total_eA2"] = count, total
    extra["frame_doses"] = pairs
    if not count:
        return
    if listed and len(listed) > 1:
        values["dose_per_frame_eA2"] = max(listed, key=lambda dose: listed[dose])
    elif total:
        values["dose_per_frame_eA2"] = total / count
        confidence["dose_per_frame_eA2"] = "derived"
    elif listed:
        values["dose_per_frame_eA2"] = next(iter(listed))
    if total is None and listed and len(listed) == len(pairs):
        values["dose_total_eA2"] = sum(dose * frames for dose, frames in pairs)
        confidence["dose_total_eA2"] = "derived"
    rate, exposure, pixel = values.get("dose_rate_epx_s"), values.get("exposure_s"), values.get("physical_px_A")
    if "dose_per_frame_eA2" not in values and rate and exposure and pixel:
        extra["dose_per_frame_estimate_eA2"] = rate * exposure / pixel**2 / count
