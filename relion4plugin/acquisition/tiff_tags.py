"""Tags of SerialEM's TIFF movies: description lines and pixel size."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.tiff_file import FirstPage, UnreadableTiff, read_first_page
from relion4plugin.acquisition.xml_read import base_name

_DESCRIPTION, _X_RESOLUTION, _UNIT = 270, 282, 296
_PER_UNIT = {2: 2.54e8, 3: 1e8}  # A per inch and centimetre; any other unit is unknown
_INCH = 2  # of TIFF files that name no unit
_LARGEST_PIXEL = 1000.0  # A; a larger one is the resolution of a print
_ROTATION = re.compile(r"\br/f\s+(\d)")
_GAIN = re.compile(r"\S+\.(?:dm4|mrc|tiff?|gain)$", re.IGNORECASE)
_DEFECTS = re.compile(r"\S*defects?\S*\.txt$", re.IGNORECASE)
KEYS: Mapping[str, str] = {
    "movie_px_A": "XResolution (282), ResolutionUnit (296)",
    "movie_size_px": "ImageWidth (256), ImageLength (257)",
    "gain_path": "ImageDescription (270)",
    "defect_path": "ImageDescription (270)",
    "rotation_flip": "ImageDescription (270)",
    "software": "ImageDescription (270)",
    "movie_format": "TIFF",
}


def read_tiff_tags(path: str | Path) -> Reading:
    """Return what the tags of the first frame say; `extra` has the description lines and whether frames are packed in 4 bits.

    The number of frames is not read: it needs a walk through the whole file.
    """
    name = str(path)
    try:
        page = read_first_page(path, (_DESCRIPTION, _X_RESOLUTION, _UNIT))
    except UnreadableTiff as error:
        return Reading(name, "tiff", problems=(f"{name} {error}",))
    return _reading(name, page)


def _reading(name: str, page: FirstPage) -> Reading:
    description, size = str(page.tags.get(_DESCRIPTION, "")), page.size
    lines = tuple(line.strip() for line in description.splitlines() if line.strip())
    values: dict[str, Any] = {"movie_format": "tiff", "movie_size_px": size, "movie_px_A": pixel_size(page.tags)}
    packed = page.bits == 8 and "4 bits packed" in description  # half as wide as the frames
    if packed:
        values["movie_size_px"] = (size[0] * 2, size[1])
    values.update(description_values(lines))
    known = {key: value for key, value in values.items() if value is not None}
    serialem = "SerialEM" in description
    return Reading(name, "serialem_tiff" if serialem else "tiff", "header", known, KEYS, {}, {"lines": lines, "packed": packed})


def pixel_size(tags: Mapping[int, Any]) -> float | None:
    """Return the pixel size in A of resolution (a fraction, pixels per unit) and unit; None if the unit says nothing.

    >>> pixel_size({282: (100000000, 1), 296: 3})
    1.0
    """
    resolution, unit = tags.get(_X_RESOLUTION), _PER_UNIT.get(int(tags.get(_UNIT, _INCH)))
    if unit is None or not isinstance(resolution, tuple) or len(resolution) != 2:
        return None
    per_unit, of = resolution
    if per_unit <= 0 or of <= 0:
        return None
    pixel = unit * of / per_unit
    return pixel if pixel <= _LARGEST_PIXEL else None


def description_values(lines: tuple[str, ...]) -> dict[str, Any]:
    """Return gain reference, defect file, rotation and flip of SerialEM's title lines (TIFF descriptions and MRC labels)."""
    found: dict[str, Any] = {}
    if not any("SerialEM" in line for line in lines):
        return found
    found["software"] = "SerialEM"
    for line in lines:
        rotation = _ROTATION.search(line)
        if rotation:
            found.setdefault("rotation_flip", int(rotation[1]))
        elif _DEFECTS.match(line):
            found.setdefault("defect_path", base_name(line))
        elif _GAIN.match(line):
            found.setdefault("gain_path", base_name(line))
    return found
