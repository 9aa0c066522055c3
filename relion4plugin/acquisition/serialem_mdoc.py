"""SerialEM's mdoc files: sections of ``key = value`` lines beside the movies.

One file describes one movie, or all movies of a session, or a tilt series; `read_mdoc` tells which.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relion4plugin.acquisition import xml_read
from relion4plugin.acquisition.mdoc_values import KEYS, section_values
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.xml_read import UnreadableXml, integer, number

LIMIT = 1 << 27  # bytes: a collective file of a long session
_SECTION = re.compile(r"^\[\s*([^=\]]+?)\s*=\s*(.*?)\s*\]$")
_LINE = re.compile(r"^([^=]+?)\s*=\s*(.*)$")
_TILT_SPREAD = 2.0  # degrees
_IDS = (re.compile(r"\bD(\d{3,10})\b"), re.compile(r"\b(\d{7})\b"))
_DETECTORS = ("K2 Summit", "K2", "K3", "Falcon 4i", "Falcon 4", "Falcon 3", "Apollo", "DE-64", "DE-20")


@dataclass(frozen=True)
class Mdoc:
    """Content of a file: titles, keys before any section, and sections as (name, number or text, keys)."""

    titles: tuple[str, ...]
    top: Mapping[str, str]
    sections: tuple[tuple[str, str, Mapping[str, str]], ...]

    def named(self, name: str) -> list[Mapping[str, str]]:
        """Return the keys of all sections of a name, such as 'FrameSet' or 'ZValue'."""
        return [keys for kind, _, keys in self.sections if kind == name]


def parse_mdoc(data: bytes) -> Mdoc:
    """Return the content of an mdoc: UTF-8 or latin-1, any line ends; unknown keys are kept, lines that are neither are left out.

    A key that comes twice in a section keeps its last value; titles (``T``) are collected.
    """
    try:
        words = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        words = data.decode("latin-1")
    titles: list[str] = []
    top: dict[str, str] = {}
    sections: list[tuple[str, str, Mapping[str, str]]] = []
    current = top
    for line in words.replace("\x00", "").splitlines():
        line = line.strip()
        match = _SECTION.match(line)
        if match and match[1] == "T":
            titles.append(match[2])
        elif match:
            current = {}
            sections.append((match[1], match[2], current))
        elif line and not line.startswith("#") and (match := _LINE.match(line)):
            if match[1] == "T":
                titles.append(match[2].strip())
            else:
                current[match[1]] = match[2].strip()
    return Mdoc(tuple(titles), top, tuple(sections))


def is_tilt_series(mdoc: Mdoc) -> bool:
    """Tell whether the images are views of one place at different tilts, or steps of one continuous tilt."""
    images = mdoc.named("ZValue")
    angles = [angle for keys in images if (angle := number(keys.get("TiltAngle"))) is not None]
    spread = max(angles) - min(angles) if angles else 0.0
    if len(images) > 1 and (spread > _TILT_SPREAD or any("tilt axis angle" in title.lower() for title in mdoc.titles)):
        return True
    return len(mdoc.named("FrameSet")) == 1 and len(images) > 1


def read_mdoc(path: str | Path) -> tuple[Reading, ...]:
    """Return one reading for every movie of an mdoc; at least one, which says what is wrong if there is no movie.

    Roles: 'movie'; 'tilt_series' (one reading, values of the first tilt); 'overview' for montages; 'unknown' if nothing can be read.
    `extra` has titles, n_frameset, n_zvalue, kinds of data and keys that this program does not know.
    """
    try:
        mdoc = parse_mdoc(xml_read.read_bytes(path, LIMIT))
    except UnreadableXml as error:
        return (Reading(str(path), "serialem_mdoc", problems=(f"{path} {error}",)),)
    frames, images = mdoc.named("FrameSet"), mdoc.named("ZValue")
    sections = frames or images
    common = {"titles": mdoc.titles, "n_frameset": len(frames), "n_zvalue": len(images), "is_tilt_series": is_tilt_series(mdoc)}
    if not sections:
        montage = bool(mdoc.named("MontSection"))
        text = "describes a montage" if montage else "has no [FrameSet] and no [ZValue] section: it is no mdoc or is half-written"
        return (Reading(str(path), "serialem_mdoc", "overview" if montage else "unknown", extra=common, problems=(f"{path} {text}",)),)
    if common["is_tilt_series"]:
        return (_reading(path, mdoc, sections[0], "tilt_series", common),)
    role = "overview" if mdoc.top.get("Montage") == "1" or mdoc.named("MontSection") else "movie"
    return tuple(_reading(path, mdoc, keys, role, common) for keys in sections)


def _reading(path: str | Path, mdoc: Mdoc, section: Mapping[str, str], role: str, common: Mapping[str, Any]) -> Reading:
    keys = {**mdoc.top, **section}
    values, confidence, extra, problems = section_values(keys, is_movie=role == "movie")
    values.update(_from_titles(mdoc.titles))
    if role == "movie" and not section.get("DateTime") and integer(section.get("NumSubFrames")) is None:
        role = "single_image" if section else "unknown"
        problems.append(f"{path} has neither DateTime nor NumSubFrames: it is half-written, or describes no movie")
    if role == "movie" and integer(section.get("NumSubFrames")) is None and not section.get("SubFramePath"):
        role = "single_image"
    problems = [text if str(path) in text else f"{path}: {text}" for text in problems]
    known = {name: value for name, value in values.items() if value is not None}
    used = {name: level for name, level in confidence.items() if name in known}
    return Reading(str(path), "serialem_mdoc", role, known, KEYS, used, {**common, **extra}, tuple(problems))


def _from_titles(titles: tuple[str, ...]) -> dict[str, Any]:
    """Return id of the microscope and model of the detector where a title names them; a date is never taken as an id."""
    joined = "\n".join(titles)
    found: dict[str, Any] = {"software": "SerialEM"}
    for pattern in _IDS:
        match = pattern.search(joined)
        if match:
            found["scope_id"] = match[1]
            break
    digitized = next((name for name in _DETECTORS if f"by Gatan {name}" in joined or f"Digitized by {name}" in joined), None)
    if digitized:
        found["detector_model"] = digitized
    return found
