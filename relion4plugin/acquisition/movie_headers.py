"""What the headers of movies say: format, size, frames, and the tags that cameras write."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.eer_tags import read_eer_tags
from relion4plugin.acquisition.mrc_fei import read_fei_header
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.tiff_tags import description_values, read_tiff_tags
from relion4plugin.errors import UserError
from relion4plugin.files.movies import movie_kind, read_movie_header

_SIZE_KEYS: Mapping[str, str] = {"movie_size_px": "frame size", "n_frames": "frames", "movie_format": "format"}


def read_header(path: str | Path) -> Reading:
    """Return what the header and tags of a movie say; the role is 'header'.

    A file that is damaged or still being written gives a reading with what could be read and a problem.
    """
    kind = movie_kind(path)
    if kind == "eer":
        reading = read_eer_tags(path)
    elif kind == "tiff":
        reading = read_tiff_tags(path)
    else:
        reading = _mrc(path)
    if reading.problems and not reading.values:
        return replace(reading, role="header")
    return _with_frames(reading, path)


def _mrc(path: str | Path) -> Reading:
    """Return the reading of an MRC movie: its image pixel is that of the frames."""
    reading = read_fei_header(path)
    values: dict[str, Any] = {**reading.values, **description_values(tuple(reading.extra.get("labels", ())))}
    if "image_px_A" in values:
        values["movie_px_A"] = values.pop("image_px_A")
    return replace(reading, values=values)


def _with_frames(reading: Reading, path: str | Path) -> Reading:
    try:
        header = read_movie_header(path, eer_grouping=1)
    except UserError as error:
        return replace(reading, role="header", problems=(*reading.problems, str(error)))
    ny, nx = header.shape
    values = {**reading.values, "movie_size_px": (nx, ny), "n_frames": header.n_hardware_frames, "movie_format": header.kind}
    if header.pixel_size > 0:
        values.setdefault("movie_px_A", header.pixel_size)
    return replace(reading, role="header", values=values, keys={**reading.keys, **_SIZE_KEYS})
