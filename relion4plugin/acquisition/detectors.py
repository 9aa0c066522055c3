"""Detectors: sensor size, usual names of movies and gain references, MTF curves and dose rates.

Sizes are width by height in pixels as the makers give them; files may hold them turned by 90 degrees.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from relion4plugin.acquisition.record import AcquisitionRecord


@dataclass(frozen=True)
class Detector:
    """What is known about a model of detector.

    Attributes
    ----------
    label : str
        Name for people.
    match : str
        Regular expression that finds it in the names that software gives.
    native : tuple of int
        Physical pixels, width and height.
    patches : tuple of int
        Columns and rows of the grid of local motion.
    movies : tuple of str
        Patterns of movie names.
    gains : tuple of str
        Patterns of gain references beside the movies; empty where movies are corrected or the file is named by the metadata.
    mtf : mapping
        Way of counting ('counting', 'super-resolution', 'cds', 'linear') to the file of the MTF; ``{kV}`` is the voltage.
    dose_rate : tuple of float
        Usual dose rates in e per physical pixel and second.
    """

    label: str
    match: str
    native: tuple[int, int]
    patches: tuple[int, int]
    movies: tuple[str, ...]
    gains: tuple[str, ...]
    mtf: Mapping[str, str]
    dose_rate: tuple[float, float]


_FALCON = (4096, 4096)
_FALCON_MOVIES = ("*_EER.eer", "*_[Ff]ractions.tif*", "*_[Ff]ractions.mrc")
_SERIALEM_GAINS = ("CountRef_*.mrc", "SuperRef_*.mrc")
DETECTORS: Mapping[str, Detector] = {
    "falcon3": Detector(
        "Falcon 3", r"falcon[ -]?3", _FALCON, (5, 5), ("*_[Ff]ractions.mrc", "*_[Ff]ractions.tif*"), (),
        {"counting": "mtf_falcon3EC_{kV}kV.star", "linear": "mtf_falcon2_{kV}kV.star"}, (0.4, 1.2),
    ),
    "falcon4": Detector(
        "Falcon 4", r"falcon[ -]?4(?!i)", _FALCON, (5, 5), _FALCON_MOVIES, (), {"counting": "mtf_falcon4EC_{kV}kV.star"}, (2.0, 15.0)
    ),
    "falcon4i": Detector(
        "Falcon 4i", r"falcon[ -]?4i", _FALCON, (5, 5), _FALCON_MOVIES, (), {"counting": "mtf_falcon4EC_{kV}kV.star"}, (2.0, 15.0)
    ),
    "k2": Detector(
        "K2", r"\bk2\b", (3838, 3710), (5, 5), ("*-[0-9]*.mrc", "*.tif", "*.tiff", "*.mrc"), ("*-gain-ref.[Mm][Rr][Cc]", *_SERIALEM_GAINS),
        {"counting": "mtf_k2_{kV}kV.star", "super-resolution": "mtf_k2_{kV}kV.star"}, (2.0, 10.0),
    ),
    "k3": Detector(
        "K3", r"\bk3\b", (5760, 4092), (7, 5), ("*_[Ff]ractions.tif*", "*.tif", "*.tiff"), ("*_gain.tif*", *_SERIALEM_GAINS),
        {"counting": "mtf_K3_{kV}kv_nocds.star", "super-resolution": "mtf_K3_{kV}kv_nocds.star", "cds": "mtf_K3_{kV}kv_cds.star"},
        (7.0, 40.0),
    ),
}  # fmt: skip


def detector_of(record: AcquisitionRecord) -> str | None:
    """Return the key in `DETECTORS` of the detector that a record names; None if it names none of them.

    The commercial name counts more than the name of the camera in the software; last comes the size of the sensor, where
    only one model has it.
    """
    for name in ("detector_model", "detector"):
        text = str(record.get(name, "")).lower()
        found = [key for key, detector in DETECTORS.items() if re.search(detector.match, text)]
        if found:
            return found[0]
    size = record.get("readout_px") or record.get("movie_size_px")
    fitting = [key for key, detector in DETECTORS.items() if size is not None and is_size_of(detector, size)]
    return fitting[0] if len(fitting) == 1 else None


def is_size_of(detector: Detector, size: tuple[int, ...]) -> bool:
    """Tell whether an image of this width and height is the whole sensor in physical or super-resolution pixels, turned or not."""
    native = sorted(detector.native)
    return sorted(size) in (native, [2 * side for side in native])
