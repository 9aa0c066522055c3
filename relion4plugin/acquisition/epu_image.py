"""The XML that EPU writes beside every image: `read_epu_image`.

Elements are matched by namespace and name; type attributes and the order of elements differ between versions and are not used.
Lengths are metres and angles radians in the file; a record has A, um and degrees.
"""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from relion4plugin.acquisition import names, xml_read
from relion4plugin.acquisition.epu_dose import fractionation, frame_doses
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.xml_read import UnreadableXml, base_name, flag, integer, number

_MD = "microscopeData"
_CAMERA = f"{_MD}/acquisition/camera"
_OPTICS = f"{_MD}/optics"
_DETECTOR = re.compile(r"^Detectors\[(.+?)\]\.(.+)$")


def _micrometres(words: str | None) -> float | None:
    value = number(words)
    return None if value is None else value * 1e6


def _positive_um(words: str | None) -> float | None:
    value = _micrometres(words)
    return value if value else None


def _kilovolts(words: str | None) -> float | None:
    value = number(words)
    return value / 1000 if value else None


def _degrees(words: str | None) -> float | None:
    value = number(words)
    return None if value is None else math.degrees(value)


def _words(words: str | None) -> str | None:
    return words


# field, path below the root, reader
_ELEMENTS: tuple[tuple[str, str, Callable[[str | None], Any]], ...] = (
    ("voltage_kV", f"{_MD}/gun/AccelerationVoltage", _kilovolts),
    ("gun_lens", f"{_MD}/gun/GunLens", integer),
    ("exposure_s", f"{_CAMERA}/ExposureTime", number),
    ("detector", f"{_CAMERA}/Name", _words),
    ("acquired", f"{_MD}/acquisition/acquisitionDateTime", _words),
    ("software", f"{_MD}/core/ApplicationSoftware", _words),
    ("software_version", f"{_MD}/core/ApplicationSoftwareVersion", _words),
    ("scope_id", f"{_MD}/instrument/InstrumentID", _words),
    ("scope_model", f"{_MD}/instrument/InstrumentModel", _words),
    ("magnification", f"{_OPTICS}/TemMagnification/NominalMagnification", integer),
    ("beam_diameter_um", f"{_OPTICS}/BeamDiameter", _positive_um),
    ("spot", f"{_OPTICS}/SpotIndex", integer),
    ("probe", f"{_OPTICS}/ProbeMode", _words),
    ("defocus_um", f"{_OPTICS}/Defocus", _micrometres),
    ("tilt_deg", f"{_MD}/stage/Position/A", _degrees),
)
_PAIRS = (
    ("beam_shift", f"{_OPTICS}/BeamShift"),
    ("image_shift", f"{_OPTICS}/ImageShift"),
    ("beam_tilt", f"{_OPTICS}/BeamTilt"),
)
_OTHER_KEYS: Mapping[str, str] = {
    "image_px_A": "SpatialScale/pixelSize/x/numericValue",
    "binning": f"{_CAMERA}/Binning/x",
    "readout_px": f"{_CAMERA}/ReadoutArea",
    "stage_um": f"{_MD}/stage/Position",
    "slit_eV": f"{_OPTICS}/EnergyFilter/EnergySelectionSlitWidth",
    "super_resolution_factor": "CameraSpecificInput[SuperResolutionFactor]",
    "counting": "CameraSpecificInput[ElectronCountingEnabled]",
    "fractionation": "CameraSpecificInput[FractionationSettings]",
    "n_frames": "CameraSpecificInput[FractionationSettings]",
    "frames_per_fraction": "CameraSpecificInput[FractionationSettings]",
    "dose_total_eA2": "CustomData[Dose]",
    "dose_on_camera_epx": "CustomData[DoseOnCamera]",
    "defocus_target_um": "CustomData[AppliedDefocus]",
    "phase_plate": "CustomData[PhasePlateUsed]",
    "c2_um": "CustomData[Aperture[C2].Name]",
    "obj_aperture": "CustomData[Aperture[OBJ].Name]",
    "detector_model": "CustomData[Detectors[].CommercialName]",
    "frame_rate_Hz": "CustomData[Detectors[].FrameRate]",
    "exposure_actual_s": "CustomData[Detectors[].ExposureTime]",
    "dose_measured_epx": "CustomData[Detectors[].TotalDose]",
    "gain_path": "CustomData[Detectors[].EerGainReference]",
    "dose_rate_camera_epx_s": "CustomData[Detectors[].DoseRate]",
    "movie_px_A": "image pixel / super-resolution factor",
    "physical_px_A": "image pixel / binning",
    "dose_per_frame_eA2": "dose x frames of a fraction / frames",
    "dose_rate_epx_s": "dose x physical pixel^2 / exposure",
    "dose_rate_image_epx_s": "dose x image pixel^2 / exposure",
    "mode": "counting and super-resolution",
}
KEYS: Mapping[str, str] = {**{name: path for name, path, _ in _ELEMENTS}, **dict(_PAIRS), **_OTHER_KEYS}
KEYS_ESTIMATED: Mapping[str, str] = {**KEYS, "n_frames": "exposure x frame rate x 31/32", "dose_per_frame_eA2": "dose / estimated frames"}
_DERIVED = ("movie_px_A", "physical_px_A", "dose_per_frame_eA2", "dose_rate_epx_s", "dose_rate_image_epx_s", "mode", "super_resolution")


def read_epu_image(path: str | Path) -> Reading:
    """Return what the XML of an EPU image says; a file that cannot be read gives a reading without values and a problem.

    The role is 'movie' only for an image that was recorded in fractions; images of atlas, squares and holes are 'overview'.
    """
    try:
        root = xml_read.read_xml(path)
    except UnreadableXml as error:
        return Reading(str(path), "epu_image_xml", problems=(f"{path} {error}",))
    return parse_epu_image(root, str(path))


def parse_epu_image(root: Any, path: str) -> Reading:
    """Return what the parsed XML of an EPU image says (see `read_epu_image`)."""
    if xml_read.local_name(root) != "MicroscopeImage":
        return Reading(path, "unknown", problems=(f"{path} is no image of EPU: its root is <{xml_read.local_name(root)}>",))
    values: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    problems: list[str] = []
    _elements(root, values)
    _camera(root, values, problems)
    settings = dict(xml_read.key_values(xml_read.find(root, f"{_CAMERA}/CameraSpecificInput")))
    _camera_settings(settings, values, extra)
    _custom_data(dict(xml_read.key_values(xml_read.find(root, "CustomData"))), values, extra)
    role = _role(path, values)
    confidence = dict.fromkeys(_DERIVED, "derived")
    _derive(values, extra, role, confidence)
    known = {name: value for name, value in values.items() if value is not None}
    if not known:
        problems.append(f"{path} is an image of EPU without any value")
    used = {name: level for name, level in confidence.items() if name in known}
    keys = KEYS if used.get("n_frames") != "estimated" else KEYS_ESTIMATED
    return Reading(path, "epu_image_xml", role, known, keys, used, extra, tuple(problems))


def _elements(root: Any, values: dict[str, Any]) -> None:
    for name, path, reader in _ELEMENTS:
        values[name] = reader(xml_read.text(root, path))
    for name, path in _PAIRS:
        values[name] = xml_read.pair(root, path, "TY:_x", "TY:_y")
    position = xml_read.find(root, f"{_MD}/stage/Position")
    if position is not None:
        stage = tuple(_micrometres(xml_read.text(position, axis)) for axis in "XYZ")
        values["stage_um"] = None if None in stage else stage
    energy = xml_read.find(root, f"{_OPTICS}/EnergyFilter")
    if energy is not None and flag(xml_read.text(energy, "EnergySelectionSlitInserted")):
        values["slit_eV"] = number(xml_read.text(energy, "EnergySelectionSlitWidth"))


def _camera(root: Any, values: dict[str, Any], problems: list[str]) -> None:
    pixel = number(xml_read.text(root, "SpatialScale/pixelSize/x/numericValue"))
    if pixel is not None and pixel > 0:
        values["image_px_A"] = pixel * 1e10
    elif pixel is not None:
        problems.append(f"a pixel size of {pixel:g} m is not taken; expected a positive number")
    binning = number(xml_read.text(root, f"{_CAMERA}/Binning/DR:x"))
    if binning is not None and binning > 0:
        values["binning"] = int(binning) if binning == int(binning) else binning
    elif binning is not None:
        problems.append(f"a binning of {binning:g} is not taken; expected a positive number")
    readout = xml_read.pair(root, f"{_CAMERA}/ReadoutArea", "DR:width", "DR:height")
    values["readout_px"] = None if readout is None else (int(readout[0]), int(readout[1]))


def _camera_settings(settings: Mapping[str, Any], values: dict[str, Any], extra: dict[str, Any]) -> None:
    values["counting"] = flag(xml_read.text(settings.get("ElectronCountingEnabled")))
    factor = integer(xml_read.text(settings.get("SuperResolutionFactor")))
    values["super_resolution_factor"] = factor if factor in (1, 2, 4) else None
    if values["super_resolution_factor"] is not None:
        values["super_resolution"] = values["super_resolution_factor"] > 1
    extra["compression"] = flag(xml_read.text(settings.get("EnableCompression")))
    values.update(fractionation(settings.get("FractionationSettings")))


def _custom_data(custom: Mapping[str, Any], values: dict[str, Any], extra: dict[str, Any]) -> None:
    words = {key: xml_read.text(node) for key, node in custom.items()}
    dose = number(words.get("Dose"))
    values["dose_total_eA2"] = None if dose is None or dose <= 0 else dose * 1e-20
    values["dose_on_camera_epx"] = number(words.get("DoseOnCamera"))
    values["defocus_target_um"] = _micrometres(words.get("AppliedDefocus"))
    values["phase_plate"] = flag(words.get("PhasePlateUsed"))
    values["c2_um"] = number(words.get("Aperture[C2].Name"))
    values["obj_aperture"] = words.get("Aperture[OBJ].Name")
    detector = _detector_values(words, values.get("detector") or words.get("BinaryResult.Detector") or "")
    values["detector"] = values.get("detector") or words.get("BinaryResult.Detector")
    values["detector_model"] = detector.get("CommercialName") or words.get("DetectorCommercialName")
    values["frame_rate_Hz"] = number(detector.get("FrameRate"))
    values["exposure_actual_s"] = number(detector.get("ExposureTime"))
    values["dose_measured_epx"] = number(detector.get("TotalDose"))
    rate = number(detector.get("DoseRate"))
    values["dose_rate_camera_epx_s"] = number(words.get("DoseRate")) if rate is None else rate
    gain = detector.get("EerGainReference") or detector.get("GainReference")
    if gain:
        values["gain_path"] = base_name(gain)
        extra["gain_reference"] = gain
        extra["eer_gain"] = "EerGainReference" in detector


def _detector_values(words: Mapping[str, str | None], camera: str) -> dict[str, str]:
    """Return the values of ``Detectors[<camera>].*``: of the camera that took the image, else of the only one."""
    cameras: dict[str, dict[str, str]] = {}
    for key, content in words.items():
        match = _DETECTOR.match(key)
        if match and content is not None:
            cameras.setdefault(match[1], {})[match[2]] = content
    if camera in cameras:
        return cameras[camera]
    return next(iter(cameras.values())) if len(cameras) == 1 else {}


def _role(path: str, values: Mapping[str, Any]) -> str:
    if names.is_overview(path) or Path(path).parent.name.lower() == "foilholes":
        return "overview"
    if values.get("fractionation") is not None:
        return "movie"
    return "single_image" if names.data_name(path) else "overview"


def _derive(values: dict[str, Any], extra: Mapping[str, Any], role: str, confidence: dict[str, str]) -> None:
    """Add what follows from several elements."""
    pixel, binning, factor = values.get("image_px_A"), values.get("binning"), values.get("super_resolution_factor")
    if pixel and binning:
        values["physical_px_A"] = pixel / binning
    if values.get("counting") is not None:
        values["mode"] = "linear" if not values["counting"] else "super-resolution" if factor == 2 else "counting"
    if values.get("frames_per_fraction") and values.get("n_frames") is None:
        values["n_frames"] = len(values["frames_per_fraction"])
    if role == "movie":
        if pixel:
            values["movie_px_A"] = pixel / (factor or 1)
        _movie_format(values, extra, confidence)
        values.update(frame_doses(values, confidence))
    dose, exposure = values.get("dose_total_eA2"), values.get("exposure_actual_s") or values.get("exposure_s")
    if dose and exposure and pixel:
        values["dose_rate_image_epx_s"] = dose * pixel**2 / exposure
        if binning:
            values["dose_rate_epx_s"] = dose * values["physical_px_A"] ** 2 / exposure


def _movie_format(values: dict[str, Any], extra: Mapping[str, Any], confidence: dict[str, str]) -> None:
    if values["fractionation"] != "EerFractionation" and not extra.get("eer_gain"):
        return
    compressed = extra.get("compression") and values["fractionation"] != "EerFractionation"
    values["movie_format"], confidence["movie_format"] = ("tiff" if compressed else "eer"), "derived"
    if values["movie_format"] == "eer":
        values["mode"] = "EER"
        values["gain_needed"], confidence["gain_needed"] = True, "derived"
