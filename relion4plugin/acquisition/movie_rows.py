"""Movies and metadata put together by name."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from relion4plugin.acquisition import names
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.times import seconds

_DISC = re.compile(r"^Images-Disc\d+$", re.IGNORECASE)
_ENDING = re.compile(r"(_fractions|_EER)$", re.IGNORECASE)
_DIRECT = ("acquired", "tilt_deg", "dose_total_eA2", "n_frames", "exposure_s", "hole", "grid_square", "optics_group")


@dataclass(frozen=True)
class Pairing:
    """Rows of the movie table in the order of acquisition, their readings in the same order, and what is left over.

    Rows of movies without metadata come last and have no reading.
    """

    rows: tuple[dict[str, Any], ...]
    readings: tuple[Reading, ...]
    without_metadata: tuple[str, ...]
    without_movie: tuple[str, ...]


def pair(metadata: Mapping[str, Sequence[Reading]], movies: Sequence[str]) -> Pairing:
    """Put readings of movies (by the path of their file) and movie files together.

    Several files of one name are one movie: the surest format counts (EER before TIFF before MRC). Readings that are not about movies
    (overviews, tilt series, unreadable files) are left out.
    """
    found: dict[str, str] = {}
    for movie in sorted(movies, key=names.movie_rank):
        found[names.movie_key(movie)] = movie
    rows, seen = [], set()
    for path, readings in metadata.items():
        for reading in readings:
            if reading.role != "movie":
                continue
            key = _key(path, reading, len(readings))
            movie = found.get(key) or found.get(names.stem_of(reading.get("movie_path", "")), "")
            seen.add(movie)
            rows.append((_row(key, movie, path, reading), reading))
    rows.sort(key=lambda item: (seconds(item[0].get("acquired")) or float("inf"), item[0]["name"]))
    orphans = sorted(set(found.values()) - seen)
    without_movie = tuple(row["metadata"] for row, _ in rows if not row["movie"]) if movies else ()
    bare = [_bare_row(movie) for movie in orphans]
    return Pairing((*(row for row, _ in rows), *bare), tuple(reading for _, reading in rows), tuple(orphans), without_movie)


def _key(path: str, reading: Reading, count: int) -> str:
    """Return the name of a movie: of its metadata file, or, in a file of many movies, of the movie that it names."""
    named = reading.get("movie_path")
    return names.movie_key(named) if count > 1 and named else names.movie_key(path)


def _row(key: str, movie: str, path: str, reading: Reading) -> dict[str, Any]:
    row: dict[str, Any] = {"movie": movie, "name": key, "metadata": path}
    values = reading.values
    row.update({name: values.get(name) for name in _DIRECT})
    row["beam_shift_x"], row["beam_shift_y"] = values.get("beam_shift") or (None, None)
    row["image_shift_x"], row["image_shift_y"] = values.get("image_shift") or (None, None)
    row["stage_x_um"], row["stage_y_um"], row["stage_z_um"] = values.get("stage_um") or (None, None, None)
    target = values.get("defocus_target_um")
    row["defocus_um"] = values.get("defocus_um") if target is None else target
    return _with_name(row, path)


def _bare_row(movie: str) -> dict[str, Any]:
    return _with_name({"movie": movie, "name": names.movie_key(movie), "metadata": ""}, movie)


def _with_name(row: dict[str, Any], path: str) -> dict[str, Any]:
    """Add what the name of an EPU file and its folder say."""
    found = names.data_name(path)
    if found is not None:
        row.update(hole=found.hole, template=found.template, shift_index=found.shift_index)
        row["grid_square"] = names.grid_square(path)
        row["acquired"] = row.get("acquired") or found.time
    return row


def movie_pattern(movies: Sequence[str]) -> str | None:
    """Return a pattern below the folder of movies that finds most of them, None without movies.

    >>> movie_pattern(["Images-Disc1/GridSquare_1/Data/FoilHole_1_Data_2_3_20200101_101010_EER.eer"])
    'Images-Disc*/GridSquare_*/Data/FoilHole_*_Data_*_EER.eer'
    """
    patterns = Counter(_pattern(PurePosixPath(movie)) for movie in movies)
    return patterns.most_common(1)[0][0] if patterns else None


def _folder_pattern(part: str) -> str:
    if _DISC.match(part):
        return "Images-Disc*"
    return "GridSquare_*" if names.grid_square(f"{part}/x") else part


def _pattern(movie: PurePosixPath) -> str:
    folders = [_folder_pattern(part) for part in movie.parts[:-1]]
    ending = _ENDING.search(movie.stem)
    start = "FoilHole_*_Data_*" if names.data_name(movie.name) else "*"
    return "/".join((*folders, f"{start}{ending[0] if ending else ''}{movie.suffix}"))
