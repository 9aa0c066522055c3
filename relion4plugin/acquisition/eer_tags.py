"""The metadata that Falcon cameras write into EER movies: XML in a tag of the first frame."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relion4plugin.acquisition import xml_read
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.tiff_file import UnreadableTiff, read_first_page
from relion4plugin.acquisition.xml_read import UnreadableXml, base_name, integer, number

_METADATA, _COMPRESSIONS = 65001, (65000, 65001, 65002)
_START = re.compile(rb"<metadata\b")
KEYS: Mapping[str, str] = {
    "n_frames": "numberOfFrames",
    "exposure_actual_s": "exposureTime",
    "dose_measured_epx": "totalDose",
    "dose_rate_camera_epx_s": "meanDoseRate",
    "movie_px_A": "sensorPixelSize.width",
    "movie_size_px": "sensorImageWidth, sensorImageHeight",
    "detector": "cameraName",
    "detector_model": "commercialName",
    "acquired": "timestamp",
    "gain_path": "eerGainReference",
    "dose_total_eA2": "totalDose / sensorPixelSize^2",
    "dose_per_frame_eA2": "totalDose / sensorPixelSize^2 / numberOfFrames",
    "movie_format": "compression",
    "mode": "compression",
    "frame_rate_Hz": "numberOfFrames / exposureTime",
}


def read_eer_tags(path: str | Path) -> Reading:
    """Return what the metadata of an EER movie say; only the first directory of the file is read.

    Frames are those of the camera. `extra` has all items by their own names.
    """
    name = str(path)
    try:
        page = read_first_page(path, (_METADATA,))
    except UnreadableTiff as error:
        return Reading(name, "eer", problems=(f"{name} {error}",))
    content = page.tags.get(_METADATA)
    if content is None and page.compression not in _COMPRESSIONS:
        return Reading(name, "tiff", problems=(f"{name} is no EER movie: compression {page.compression} without metadata",))
    return parse_eer_metadata(name, content, page.size)


def parse_eer_metadata(name: str, content: str | bytes | None, size: tuple[int, int]) -> Reading:
    """Return the reading of the metadata text of an EER file.

    The XML declaration of some files is not well formed, so reading starts at ``<metadata``.
    """
    values: dict[str, Any] = {"movie_format": "eer", "mode": "EER", "movie_size_px": size, "counting": True, "gain_needed": True}
    confidence = {"gain_needed": "derived", "counting": "derived", "mode": "derived"}
    if content is None:
        text = f"{name} has no acquisition metadata (tag {_METADATA})"
        return Reading(name, "eer", "header", values, KEYS, confidence, {}, (text,))
    data = content.encode("utf-8") if isinstance(content, str) else bytes(content)
    start = _START.search(data)
    try:
        root = xml_read.parse(data[start.start() :].rstrip(b"\x00 \r\n") if start else data)
    except UnreadableXml as error:
        return Reading(name, "eer", "header", values, KEYS, confidence, {}, (f"the metadata of {name} {error}",))
    items = {node.get("name"): (node.text or "").strip() for node in root.iter() if node.get("name")}
    values.update(_values(items, size, confidence))
    known = {key: value for key, value in values.items() if value is not None}
    return Reading(name, "eer", "header", known, KEYS, {key: level for key, level in confidence.items() if key in known}, items)


def _values(items: Mapping[str, str], size: tuple[int, int], confidence: dict[str, str]) -> dict[str, Any]:
    """Return record values; a pixel, dose or exposure of 0 is unknown."""
    pixel = number(items.get("sensorPixelSize.width"))
    width, height = integer(items.get("sensorImageWidth")), integer(items.get("sensorImageHeight"))
    frames, exposure = integer(items.get("numberOfFrames")), number(items.get("exposureTime"))
    dose = number(items.get("totalDose"))
    gain = next((items[name] for name in items if "gainreference" in name.lower().replace("_", "") and items[name]), None)
    values: dict[str, Any] = {
        "movie_px_A": pixel * 1e10 if pixel and pixel > 0 else None,
        "movie_size_px": (width, height) if width and height else size,
        "n_frames": frames or None,
        "exposure_actual_s": exposure or None,
        "dose_measured_epx": dose or None,
        "dose_rate_camera_epx_s": number(items.get("meanDoseRate")) or None,
        "detector": items.get("cameraName") or None,
        "detector_model": items.get("commercialName") or None,
        "acquired": items.get("timestamp") or None,
        "gain_path": base_name(gain) if gain else None,
    }
    if values["dose_measured_epx"] and values["movie_px_A"]:
        values["dose_total_eA2"], confidence["dose_total_eA2"] = values["dose_measured_epx"] / values["movie_px_A"] ** 2, "derived"
    if values.get("dose_total_eA2") and frames:
        values["dose_per_frame_eA2"], confidence["dose_per_frame_eA2"] = values["dose_total_eA2"] / frames, "derived"
    if frames and exposure:
        values["frame_rate_Hz"], confidence["frame_rate_Hz"] = frames / exposure, "derived"
    return values
