"""The session file of EPU, ``EpuSession.dm``: what was asked for before the first image."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relion4plugin.acquisition import xml_read
from relion4plugin.acquisition.epu_dose import fractionation
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.xml_read import UnreadableXml, flag, integer, local_name, number, text

LIMIT = 1 << 27  # bytes: the file holds all grid squares of a session
_VERSION = re.compile(r"Version=([\d.]+)")
_PRESET = "Acquisition"
_OUTPUT_WITHOUT_GAIN = re.compile(r"non[- ]?gain|eer", re.IGNORECASE)
KEYS: Mapping[str, str] = {
    "software_version": "z:Assembly",
    "session": "Name",
    "clustering": "ClusteringMode",
    "output_format": "DoseFractionsOutputFormat",
    "gain_needed": "DoseFractionsOutputFormat",
    "phase_plate": "PhasePlateEnabled",
    "acquired": "StartDateTime",
    "tilt_deg": "TiltAngle",
    "shots_per_hole": "DataAcquisitionAreas/m_serializationArray z:Size",
    "defoci_um": "ImageAcquisitionSettingXml/Defocus",
    "detector": "MicroscopeSettings[Acquisition]/camera/Name",
    "exposure_s": "MicroscopeSettings[Acquisition]/camera/ExposureTime",
    "binning": "MicroscopeSettings[Acquisition]/camera/Binning",
    "n_frames": "MicroscopeSettings[Acquisition]/camera/CameraSpecificInput[FractionationSettings]",
    "fractionation": "MicroscopeSettings[Acquisition]/camera/CameraSpecificInput[FractionationSettings]",
    "super_resolution_factor": "MicroscopeSettings[Acquisition]/camera/CameraSpecificInput[SuperResolutionFactor]",
    "spot": "MicroscopeSettings[Acquisition]/Optics/SpotIndex",
    "beam_diameter_um": "MicroscopeSettings[Acquisition]/Optics/BeamDiameter",
    "slit_eV": "MicroscopeSettings[Acquisition]/Optics/EnergyFilter/EnergySelectionSlitWidth",
    "c2_um": "MicroscopeSettings[Acquisition]/Optics/Apertures/C2Aperture/Diameter",
}


def read_epu_session(path: str | Path) -> Reading:
    """Return what an ``EpuSession.dm`` says; a file that cannot be read gives a reading without values and a problem.

    `extra` has clustering_radius_um, image_file_format, autoloader_slot, storage_path, atlas_id, mag_index and the like.
    """
    try:
        root = xml_read.read_xml(path, LIMIT)
    except UnreadableXml as error:
        return Reading(str(path), "epu_session_dm", problems=(f"{path} {error}",))
    if local_name(root) != "EpuSessionXml":
        return Reading(str(path), "unknown", problems=(f"{path} is no session of EPU: its root is <{local_name(root)}>",))
    values: dict[str, Any] = {
        "software": "EPU",
        "session": text(root, "Name"),
        "clustering": text(root, "ClusteringMode"),
        "output_format": text(root, "DoseFractionsOutputFormat"),
        "phase_plate": flag(text(root, "PhasePlateEnabled")),
        "acquired": text(root, "StartDateTime"),
        "tilt_deg": number(text(root, "TiltAngle")),
        "software_version": _version(root),
    }
    if values["output_format"]:
        values["gain_needed"] = _OUTPUT_WITHOUT_GAIN.search(values["output_format"]) is not None
    sample = next((node for node in _named(root, "SampleXml") if not xml_read.is_nil(node)), None)
    extra = _extra(root, sample)
    if sample is not None:
        values.update(_shots(sample))
        values.update(_preset(sample, extra))
    known = {name: value for name, value in values.items() if value is not None}
    return Reading(str(path), "epu_session_dm", "session", known, KEYS, {}, extra)


def _named(node: Any, name: str) -> Iterator[Any]:
    return (item for item in node.iter() if local_name(item) == name)


def _first(node: Any, name: str) -> Any:
    return next(_named(node, name), None)


def _attribute(node: Any, name: str) -> str | None:
    return next((content for key, content in node.attrib.items() if xml_read.local_name_of(key) == name), None)


def _version(root: Any) -> str | None:
    match = _VERSION.search(_attribute(root, "Assembly") or "")
    return match[1] if match else None


def _micrometres(words: str | None) -> float | None:
    value = number(words)
    return None if value is None else value * 1e6


def _extra(root: Any, sample: Any) -> dict[str, Any]:
    folder = next((node for node in _named(root, "StorageFolderXml") if not xml_read.is_nil(node)), None)
    extra: dict[str, Any] = {
        "clustering_radius_um": _micrometres(text(root, "ClusteringRadius")),
        "image_file_format": text(root, "ImageFileFormat"),
        "autoloader_slot": text(root, "AutoloaderSlot"),
        "tilted_acquisition": flag(text(root, "TiltedAcquisitionEnabled")),
        "afis_mode": text(root, "AfisMode"),
        "storage_path": None if folder is None else text(folder, "Path"),
    }
    if sample is not None:
        holes = xml_read.child(sample, "FilterHolesSettings")
        extra.update(
            atlas_id=text(sample, "AtlasId"),
            grid_type=text(sample, "GridType"),
            grid_geometry=text(sample, "GridGeometry"),
            hole_size_um=None if holes is None else _micrometres(text(holes, "HoleSize")),
            hole_spacing_um=None if holes is None else _micrometres(text(holes, "HoleSpacing")),
        )
    return {name: value for name, value in extra.items() if value is not None}


def _shots(sample: Any) -> dict[str, Any]:
    """Return shots per hole and the list of defoci, of the first area that has its own (the others refer to it)."""
    areas = _first(sample, "DataAcquisitionAreas")
    if areas is None:
        return {}
    array = _first(areas, "m_serializationArray")
    found: dict[str, Any] = {"shots_per_hole": None if array is None else integer(_attribute(array, "Size"))}
    for node in _named(areas, "Defocus"):
        defoci = tuple(_micrometres(item.text) for item in node)
        if defoci and None not in defoci:
            found["defoci_um"] = defoci
            break
    return found


def _preset(sample: Any, extra: dict[str, Any]) -> dict[str, Any]:
    """Return camera and optics of the setting named 'Acquisition'. Its NominalMagnification is an index, not a magnification."""
    settings = xml_read.child(sample, "MicroscopeSettings")
    pairs = None if settings is None else _first(settings, "KeyValuePairs")
    preset = dict(xml_read.key_values(pairs)).get(_PRESET)
    if preset is None:
        return {}
    camera, optics = _first(preset, "camera"), _first(preset, "Optics")
    found: dict[str, Any] = {}
    if camera is not None:
        inputs = xml_read.find(camera, "CameraSpecificInput")
        options = dict(xml_read.key_values(None if inputs is None else _first(inputs, "KeyValuePairs")))
        found.update(
            detector=text(camera, "Name"),
            exposure_s=number(text(camera, "ExposureTime")),
            binning=integer(text(camera, "Binning/DR:x")),
            super_resolution_factor=integer(text(options.get("SuperResolutionFactor"))),
            **fractionation(options.get("FractionationSettings")),
        )
    if optics is not None:
        found.update(
            spot=integer(text(optics, "SpotIndex")),
            beam_diameter_um=_micrometres(text(optics, "BeamDiameter")) or None,
            c2_um=number(text(optics, "Apertures/C2Aperture/Diameter")),
        )
        if flag(text(optics, "EnergyFilter/EnergySelectionSlitInserted")):
            found["slit_eV"] = number(text(optics, "EnergyFilter/EnergySelectionSlitWidth"))
        extra["mag_index"] = integer(text(optics, "TemMagnification/NominalMagnification"))
    return found
