"""The ``_Fractions.xml`` that Falcon cameras write beside a movie: what was recorded, frame by frame."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relion4plugin.acquisition import xml_read
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.xml_read import UnreadableXml, flag, integer, number, text

KEYS: Mapping[str, str] = {
    "n_frames": "Info/RecordedNumberOfFractions",
    "frames_per_fraction": "Fractions/Fraction/NumberOfFrames",
    "exposure_actual_s": "Fractions/Fraction/ExposureTime",
    "dose_measured_epx": "Fractions/Fraction/MeanPixelValue x CountsToElectrons",
    "detector_model": "Info/Detector",
    "counting": "Info/ElectronCounting",
    "gain_needed": "Info/GainCorrection",
    "movie_size_px": "Info/ImageSize",
}


def read_epu_fractions(path: str | Path) -> Reading:
    """Return what a ``_Fractions.xml`` says; a file that cannot be read gives a reading without values and a problem.

    `extra` has file_version, acquisition_id, expected_fractions, recorded_fractions, format and binning.
    """
    try:
        root = xml_read.read_xml(path)
    except UnreadableXml as error:
        return Reading(str(path), "epu_fractions_xml", problems=(f"{path} {error}",))
    if xml_read.local_name(root) != "Acquisition":
        return Reading(str(path), "unknown", problems=(f"{path} is no list of fractions: its root is <{xml_read.local_name(root)}>",))
    info = xml_read.child(root, "Info")
    if info is None:
        return Reading(str(path), "epu_fractions_xml", "fractions", problems=(f"{path} has no <Info>",))
    listed = xml_read.child(root, "Fractions")
    fractions = [] if listed is None else [node for node in listed if xml_read.local_name(node) == "Fraction"]
    values: dict[str, Any] = {
        "n_frames": integer(text(info, "RecordedNumberOfFractions")),
        "detector_model": text(info, "Detector"),
        "counting": flag(text(info, "ElectronCounting")),
        **_sums(fractions),
    }
    corrected = flag(text(info, "GainCorrection"))
    if corrected is not None:
        values["gain_needed"] = not corrected
    size = tuple(integer(text(info, f"ImageSize/{axis}")) for axis in ("Width", "Height"))
    values["movie_size_px"] = None if None in size else size
    extra = {
        "file_version": text(info, "FileVersion"),
        "acquisition_id": text(info, "AcquisitionID"),
        "expected_fractions": integer(text(info, "ExpectedNumberOfFractions")),
        "recorded_fractions": values["n_frames"],
        "format": text(info, "Format"),
        "binning": integer(text(info, "Binning")),
    }
    known = {name: value for name, value in values.items() if value is not None}
    return Reading(str(path), "epu_fractions_xml", "fractions", known, KEYS, {}, extra)


def _sums(fractions: list[Any]) -> dict[str, Any]:
    """Return frames of each fraction, exposure and electrons per pixel of all; what one fraction lacks is not known for the sum."""
    frames = [integer(text(node, "NumberOfFrames")) for node in fractions]
    times = [number(text(node, "ExposureTime")) for node in fractions]
    means = [number(text(node, "MeanPixelValue")) for node in fractions]
    factors = [number(text(node, "CountsToElectrons")) for node in fractions]
    found: dict[str, Any] = {}
    if frames and None not in frames:
        found["frames_per_fraction"] = tuple(frames)
    if times and None not in times:
        found["exposure_actual_s"] = sum(time for time in times if time is not None)
    doses = [mean * factor for mean, factor in zip(means, factors, strict=True) if mean is not None and factor is not None]
    if doses and len(doses) == len(fractions):
        found["dose_measured_epx"] = sum(doses)
    return found
