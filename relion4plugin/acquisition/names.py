"""File names of EPU and SerialEM: what is an image, a movie, a gain reference; which belong together; what a name says."""

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath

MOVIE_SUFFIXES = (".eer", ".tiff", ".tif", ".mrc", ".mrcs")
_SUFFIXES = (*MOVIE_SUFFIXES, ".xml", ".jpg", ".dm4", ".gain")

_DATA = re.compile(
    r"^FoilHole_(?P<hole>\d+)_Data_(?P<template>\d+)_(?P<n4>\d+)_(?P<date>\d{8})_(?P<time>\d{4}(?:\d{2})?)"
    r"(?P<suffix>_fractions|_EER|-\d+|-gain-ref|_gain)?$",
    re.IGNORECASE,
)
_OVERVIEW = re.compile(r"^(GridSquare_\d{8}_\d{4,6}|FoilHole_\d+_\d{8}_\d{4,6}|Atlas_\d+.*|Tile_\d+_.*)$", re.IGNORECASE)
_GAIN = re.compile(r"(-gain-ref|_gain|_GainReference|^CountRef_.*|^SuperRef_.*|^gain.*)$", re.IGNORECASE)
_MOVIE_ENDING = re.compile(r"(_fractions|_EER|-\d+)$", re.IGNORECASE)
_SQUARE = re.compile(r"GridSquare_(\d+)$", re.IGNORECASE)


@dataclass(frozen=True)
class DataName:
    """What the name of an EPU data image says.

    `hole` and `template` (the shot in the hole) are ids. `shift_index` is an acquisition id in old versions, and the index of the hole
    in its image-shift cluster in new ones. `time` is local (YYYY-MM-DDTHH:MM[:SS]), `suffix` is empty for the summed image.
    """

    hole: str
    template: str
    shift_index: str
    time: str
    suffix: str


def stem_of(path: str | PurePath) -> str:
    """Return the file name without ``.mdoc`` and without one suffix of an image or metadata file."""
    name = os.path.basename(path)
    if name.lower().endswith(".mdoc"):
        name = name[:-5]
    stem, ending = os.path.splitext(name)
    return stem if stem and ending.lower() in _SUFFIXES else name


def data_name(path: str | PurePath) -> DataName | None:
    """Return what the name of an EPU data file says, None for other names."""
    return _read_stem(stem_of(path))


@lru_cache(maxsize=1 << 17)  # names of a session, which are looked at many times
def _read_stem(stem: str) -> DataName | None:
    match = _DATA.match(stem)
    if match is None:
        return None
    date, time = match["date"], match["time"]
    clock = ":".join(time[start : start + 2] for start in range(0, len(time), 2))
    return DataName(match["hole"], match["template"], match["n4"], f"{date[:4]}-{date[4:6]}-{date[6:]}T{clock}", match["suffix"] or "")


def is_overview(path: str | PurePath) -> bool:
    """Tell whether a name is that of an atlas, grid square or foil hole image."""
    return _OVERVIEW.match(stem_of(path)) is not None


def is_fractions_xml(path: str | PurePath) -> bool:
    """Tell whether a name is that of the XML that Falcon cameras write beside the movie."""
    return os.fspath(path).lower().endswith("_fractions.xml")


def is_gain(path: str | PurePath) -> bool:
    """Tell whether a name is that of a gain reference."""
    return os.fspath(path).lower().endswith(".gain") or _GAIN.search(stem_of(path)) is not None


def movie_key(path: str | PurePath) -> str:
    """Return the part of a name that a movie shares with its metadata: the stem without ``_fractions``, ``_EER``, ``-0001``."""
    stem = stem_of(path)
    return _MOVIE_ENDING.sub("", stem) if _read_stem(stem) else stem


def grid_square(path: str | PurePath) -> str | None:
    """Return the id of the grid square's folder that a file lies in."""
    for part in reversed(os.fspath(path).split("/")[:-1]):
        match = _SQUARE.match(part)
        if match:
            return match[1]
    return None


def movie_rank(path: str | PurePath) -> int:
    """Return how sure it is that a file is a movie: 3 by its ending, 2 by its format, 1 for a plain MRC (may be a summed image), else 0."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in MOVIE_SUFFIXES or is_gain(path) or is_overview(path):
        return 0
    if _MOVIE_ENDING.search(stem_of(path)):
        return 3
    return 1 if suffix == ".mrc" else 2
