"""Metadata of a session as Thermo Fisher's EPU writes it: one XML file for each movie, and EpuSession.dm.

Elements are those of files of EPU 3.9, less the ones that say nothing; values are .NET data contracts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lxml import etree

SHARED = "http://schemas.datacontract.org/2004/07/Fei.SharedObjects"
ARRAYS = "http://schemas.microsoft.com/2003/10/Serialization/Arrays"
DRAWING = "http://schemas.datacontract.org/2004/07/System.Drawing"
TYPES = "http://schemas.datacontract.org/2004/07/Fei.Types"
OMP = "http://schemas.datacontract.org/2004/07/Fei.Applications.Common.Omp.Interface"
MEDIA = "http://schemas.datacontract.org/2004/07/System.Windows.Media"
SESSION = "http://schemas.datacontract.org/2004/07/Applications.Epu.Persistence"
SCHEMA = "http://www.w3.org/2001/XMLSchema"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
SERIAL = "http://schemas.microsoft.com/2003/10/Serialization/"
VERSION = "3.9.1.8206"
_TYPES = {bool: "boolean", int: "long", float: "double", str: "string"}


@dataclass(frozen=True)
class Detector:
    """A camera as EPU names it."""

    name: str
    commercial: str
    location: str
    slit: bool  # behind an energy filter


DETECTORS: Mapping[str, Detector] = {  # by format of the movies
    "tiff": Detector("EF-CCD", "BioQuantum K3", "EnergyFilter", True),
    "mrc": Detector("BM-Falcon", "Falcon 3EC", "Wideangle", False),
    "eer": Detector("EF-Falcon", "Falcon 4i", "EnergyFilter", True),
}


@dataclass(frozen=True)
class EpuImage:
    """What EPU knows about one movie; SI units where EPU writes them."""

    acquired: datetime
    pixel_size: float  # m, physical
    voltage: float  # V
    dose: float  # electrons per m^2, of the whole movie
    n_frames: int
    exposure: float  # s
    shape: tuple[int, int]  # height, width of the camera, physical px
    super_resolution: bool
    defocus: float  # m, asked for; negative underfocus
    beam_shift: tuple[float, float]
    phase_plate: bool
    tilt: float  # rad
    stage: tuple[float, float]  # m
    detector: Detector
    gain_reference: str = ""  # of EER movies
    is_eer: bool = False
    magnification: int = 105000
    identity: str = "00000000-0000-0000-0000-000000000000"


class _Nothing:
    """Marks an empty element of a data contract."""


def _add(parent: Any, namespace: str, content: Mapping[str, Any]) -> None:
    """Add elements of one namespace; values are texts, numbers, mappings, elements (as they are) or _Nothing."""
    for name, value in content.items():
        element = etree.SubElement(parent, f"{{{namespace}}}{name}")
        if isinstance(value, Mapping):
            _add(element, namespace, value)
        elif isinstance(value, _Within):
            _add(element, value.namespace, value.content)
        elif isinstance(value, _Keys):
            for key, item in value.content.items():
                _add_key(element, key, item)
        elif value is _Nothing:
            element.set(f"{{{INSTANCE}}}nil", "true")
        else:
            element.text = _text(value)


@dataclass(frozen=True)
class _Within:
    """Children in another namespace."""

    namespace: str
    content: Mapping[str, Any]


@dataclass(frozen=True)
class _Keys:
    """A dictionary of a data contract."""

    content: Mapping[str, Any]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value).replace("e", "E") if isinstance(value, float) else str(value)


def _add_key(parent: Any, key: str, value: Any) -> None:
    pair = etree.SubElement(parent, f"{{{ARRAYS}}}KeyValueOfstringanyType")
    etree.SubElement(pair, f"{{{ARRAYS}}}Key").text = key
    namespace = OMP if isinstance(value, _Within) else SCHEMA
    element = etree.SubElement(pair, f"{{{ARRAYS}}}Value", nsmap={"b": namespace})
    if isinstance(value, _Within):
        kind, children = next(iter(value.content.items()))
        element.set(f"{{{INSTANCE}}}type", f"b:{kind}")
        _add(element, OMP, children)
    else:
        element.set(f"{{{INSTANCE}}}type", f"b:{_TYPES[type(value)]}")
        element.text = _text(value)


def image_xml(image: EpuImage) -> bytes:
    """Metadata of one movie.

    Parameters
    ----------
    image : EpuImage
        What is to be said.

    Returns
    -------
    bytes
        XML with root MicroscopeImage.
    """
    root = etree.Element(f"{{{SHARED}}}MicroscopeImage", nsmap={None: SHARED, "i": INSTANCE})
    scale = {axis: {"numericValue": image.pixel_size} for axis in "xy"}
    matrix = {"_m11": image.pixel_size, "_m12": 0, "_m21": 0, "_m22": image.pixel_size, "_offsetX": 0, "_offsetY": 0}
    _add(
        root,
        SHARED,
        {
            "name": "Empty",
            "uniqueID": image.identity,
            "CustomData": _Keys(_custom_data(image)),
            "IntensityScale": _Nothing,
            "ReferenceTransformation": {"matrix": _Within(MEDIA, matrix)},
            "SpatialScale": {"offset": {axis: {"numericValue": 0} for axis in "xy"}, "pixelSize": scale},
            "microscopeData": {
                "acquisition": {
                    "acquisitionDateTime": image.acquired.strftime("%Y-%m-%dT%H:%M:%S.%f") + "0+00:00",
                    "camera": _camera(image),
                },
                "core": {"ApplicationSoftware": "EPU", "ApplicationSoftwareVersion": VERSION, "Guid": image.identity},
                "gun": {"AccelerationVoltage": image.voltage, "ExtractorVoltage": 4250, "GunLens": 4, "Sourcetype": "FieldEmission"},
                "instrument": {"ComputerName": "SIMULATED", "InstrumentID": "9999", "InstrumentModel": "SIMULATED"},
                "optics": _optics(image),
                "stage": {
                    "Holder": "Unspecified",
                    "Position": {"A": image.tilt, "B": 0, "X": image.stage[0], "Y": image.stage[1], "Z": 0},
                },
            },
        },
    )
    return bytes(etree.tostring(root, xml_declaration=False, encoding="utf-8"))


def _custom_data(image: EpuImage) -> dict[str, Any]:
    camera = image.detector.name
    per_pixel = image.dose * image.pixel_size**2
    found: dict[str, Any] = {
        "DoseOnCamera": float(per_pixel),
        "Aperture[C2].Name": "50",
        "Aperture[OBJ].Name": "100",
        f"Detectors[{camera}].CommercialName": image.detector.commercial,
        f"Detectors[{camera}].ElectronCounted": True,
        f"Detectors[{camera}].ExposureTime": float(image.exposure),
        "Dose": float(image.dose),
        "PhasePlateUsed": image.phase_plate,
        "BinaryResult.Detector": camera,
        "DetectorCommercialName": image.detector.commercial,
        "AppliedDefocus": float(image.defocus),
    }
    if image.gain_reference:
        found |= {f"Detectors[{camera}].{key}": image.gain_reference for key in ("EerGainReference", "GainReference")}
    return found


def _camera(image: EpuImage) -> dict[str, Any]:
    fractions = {"EerFractionation": {}} if image.is_eer else {"EquidistantFractionation": {"NumberOffractions": image.n_frames}}
    height, width = image.shape
    return {
        "Binning": _Within(DRAWING, {"x": 1, "y": 1}),
        "CameraLocation": image.detector.location,
        "CameraSpecificInput": _Keys(
            {
                "AlignIntegratedImageEnabled": False,
                "SuperResolutionFactor": 2 if image.super_resolution else 1,
                "FractionationSettings": _Within(OMP, fractions),
                "ElectronCountingEnabled": True,
                "EnableCompression": False,
            }
        ),
        "DarkGainCorrection": "None",
        "ExposureTime": image.exposure,
        "Inserted": True,
        "Name": image.detector.name,
        "ReadoutArea": _Within(DRAWING, {"height": height, "width": width, "x": 0, "y": 0}),
    }


def _optics(image: EpuImage) -> dict[str, Any]:
    def pair(x: float, y: float) -> _Within:
        return _Within(TYPES, {"_x": x, "_y": y})

    return {
        "Apertures": _Nothing,
        "BeamDiameter": 8e-07,
        "BeamShift": pair(*image.beam_shift),
        "BeamTilt": pair(0.0114, -0.0149),
        "ColumnOperatingMode": "TEM",
        "Defocus": image.defocus,
        "EFTEMOn": image.detector.slit,
        "EnergyFilter": {"EnergySelectionSlitInserted": image.detector.slit, "EnergySelectionSlitWidth": 20},
        "IlluminationMode": "Parallel",
        "ImageShift": pair(0, 0),
        "ProbeMode": "NanoProbe",
        "SpotIndex": 5,
        "TemMagnification": {"NominalMagnification": image.magnification},
    }


def session_xml(name: str, started: datetime, n_groups: int, output_format: str, phase_plate: bool, tilt: float) -> bytes:
    """EpuSession.dm of a session.

    Parameters
    ----------
    name : str
        Of the session.
    started : datetime
        When.
    n_groups : int
        Holes that are reached by shifting the beam; 1: the stage moves for every hole.
    output_format : str
        What EPU calls the format of the movies.
    phase_plate : bool
        Whether one is used.
    tilt : float
        Of the stage, degrees.

    Returns
    -------
    bytes
        XML with root EpuSessionXml.
    """
    root = etree.Element(f"{{{SESSION}}}EpuSessionXml", nsmap={None: SESSION, "i": INSTANCE, "z": SERIAL})
    root.set(f"{{{SERIAL}}}Assembly", f"Applications.Epu.Persistence, Version={VERSION}, Culture=neutral")
    _add(
        root,
        SESSION,
        {
            "ClusteringMode": "ClusteringWithImageBeamShift" if n_groups > 1 else "NoClustering",
            "ClusteringRadius": 1.2e-05,
            "DoseFractionsOutputFormat": output_format,
            "ImageFileFormat": "Mrc",
            "Name": name,
            "PhasePlateEnabled": phase_plate,
            "Samples": {
                "_items": {
                    "SampleXml": {
                        "FilterHolesSettings": {"HoleSize": 1.3e-06, "HoleSpacing": 2.6e-06},
                        "GridGeometry": "Square",
                        "GridType": "HoleyCarbon",
                    }
                }
            },
            "StartDateTime": started.strftime("%Y-%m-%dT%H:%M:%S") + "Z",
            "TiltAngle": tilt,
        },
    )
    return bytes(etree.tostring(root, xml_declaration=True, encoding="utf-8"))
