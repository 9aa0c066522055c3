"""A session as a whole: `scan_session` reads all its metadata and puts them together; `find_sessions` lists the sessions there are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from relion4plugin.acquisition import rules
from relion4plugin.acquisition.combine import combine
from relion4plugin.acquisition.distinct_settings import SettingSet, by_setting, distinct_settings
from relion4plugin.acquisition.epu_fractions import read_epu_fractions
from relion4plugin.acquisition.epu_image import read_epu_image
from relion4plugin.acquisition.epu_session import read_epu_session
from relion4plugin.acquisition.find_sessions import SessionInfo, find_sessions, info_of
from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.layout import SessionFiles, session_files
from relion4plugin.acquisition.movie_headers import read_header
from relion4plugin.acquisition.movie_rows import movie_pattern, pair
from relion4plugin.acquisition.movie_table import MovieTable
from relion4plugin.acquisition.optics_groups import GroupModel
from relion4plugin.acquisition.reading import Reading
from relion4plugin.acquisition.record import AcquisitionRecord, Finding, Value
from relion4plugin.acquisition.rules import Facts
from relion4plugin.acquisition.serialem_mdoc import read_mdoc
from relion4plugin.acquisition.session_groups import session_groups
from relion4plugin.acquisition.timing import Timing, timing
from relion4plugin.errors import UserError
from relion4plugin.progress import Progress

__all__ = ["Session", "SessionInfo", "find_sessions", "scan_session"]

_HEADERS = 3  # movies whose headers are read: first, middle, last
_SHOWN = 20  # problems of files that are listed one by one


@dataclass(frozen=True)
class Session:
    """All that is known about a session.

    Attributes
    ----------
    info : SessionInfo
        Name, kind and counts.
    record : AcquisitionRecord
        What holds for the movies of the most frequent setting, with conflicts and what the rules found.
    movies : MovieTable
        One row for each movie.
    movies_dir : Path
        Folder that `movie` paths of the table start at.
    settings : tuple of SettingSet
        Distinct settings, the most frequent first.
    without_metadata, without_movie : tuple of str
        Movies without metadata, and metadata whose movie is not there (empty if no movie is there at all).
    groups : GroupModel
        Optics groups; `movies["optics_group"]` has the name for each movie.
    timing : Timing
        Rate and gaps.
    gains : tuple of Path
        Gain references among the movies.
    """

    info: SessionInfo
    record: AcquisitionRecord
    movies: MovieTable
    movies_dir: Path
    settings: tuple[SettingSet, ...]
    without_metadata: tuple[str, ...]
    without_movie: tuple[str, ...]
    groups: GroupModel
    timing: Timing
    gains: tuple[Path, ...]


def scan_session(
    path: str | Path,
    movies: str | Path | None = None,
    index: str | Path | MetadataIndex | None = None,
    progress: Progress | None = None,
) -> Session:
    """Return what all metadata files of a session say.

    Parameters
    ----------
    path : path
        Folder of the session.
    movies : path, optional
        Folder of its movies, where that is another one.
    index : path or MetadataIndex, optional
        Keeps what was read, so that the next scan reads only new and changed files, and optics groups keep their numbers.
    progress : Progress, optional
        Told about files that are read.

    Raises
    ------
    UserError
        If a folder is not there, or the index cannot be used. Files that cannot be read give warnings in the record.
    """
    folder = _folder(path, "session")
    movies_dir = folder if movies is None else _folder(movies, "movies")
    kept = index if isinstance(index, MetadataIndex) else MetadataIndex(index)
    problems: list[str] = []
    files = session_files(folder, movies, problems)
    info = info_of(folder, files)
    metadata = _read_metadata(folder, files, kept, progress)
    listed_in = movies_dir if files.fractions_with_movies else folder
    fractions = _flat(kept.refresh(listed_in, files.fractions, lambda file: (read_epu_fractions(file),), progress))
    pairing = pair(metadata, [entry.path for entry in files.movies])
    headers = _headers(movies_dir, [row["movie"] for row in pairing.rows if row.get("movie")] or [entry.path for entry in files.movies])
    session = _session_reading(folder, files)
    images = pairing.readings
    alike = by_setting(images)
    record = combine((alike[0] if alike else (), fractions, headers, session))
    record = _named(record, info, files)
    groups, model = session_groups(pairing.rows, record, kept, str(folder))
    table = MovieTable.of_rows(pairing.rows).with_column("optics_group", groups)
    settings = distinct_settings(alike)
    times = timing(table["acquired"][: len(images)] or table["acquired"])  # file names have local time, metadata have a zone
    readings = [reading for items in metadata.values() for reading in items]
    orphans = pairing.without_metadata, pairing.without_movie
    roles = Counter(reading.role for reading in readings)
    facts = Facts(info, record, images, fractions, headers, table, settings, times, *orphans, roles)
    findings = (*_reading_findings(problems, readings, fractions, headers, session), *rules.check(facts))
    gains = tuple(movies_dir / entry.path for entry in files.gains)
    return Session(info, record.with_warnings(findings), table, movies_dir, settings, *orphans, model, times, gains)


def _folder(path: str | Path, what: str) -> Path:
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(f"folder of the {what} {folder} does not exist; check the path")
    return folder.resolve()


def _read_metadata(folder: Path, files: SessionFiles, kept: MetadataIndex, progress: Progress | None) -> Mapping[str, tuple[Reading, ...]]:
    if files.software == "SerialEM":
        return kept.refresh(folder, files.mdocs, read_mdoc, progress)
    return kept.refresh(folder, files.images, lambda file: (read_epu_image(file),), progress)


def _flat(readings: Mapping[str, tuple[Reading, ...]]) -> list[Reading]:
    return [reading for items in readings.values() for reading in items]


def _headers(folder: Path, movies: Sequence[str]) -> list[Reading]:
    """Return the headers of a few movies; one kind of file only, so that they can be summed up."""
    if not movies:
        return []
    chosen = sorted({0, len(movies) // 2, len(movies) - 1})[:_HEADERS]
    return [read_header(folder / movies[number]) for number in chosen]


def _session_reading(folder: Path, files: SessionFiles) -> list[Reading]:
    return [] if files.session is None else [read_epu_session(folder / files.session.path)]


def _named(record: AcquisitionRecord, info: SessionInfo, files: SessionFiles) -> AcquisitionRecord:
    """Add name of the session and pattern of its movies."""
    values = dict(record.values)
    values.setdefault("session", Value(info.name, "", "folder", str(info.path), "", "derived"))
    if "software" not in values and info.software:
        values["software"] = Value(info.software, "", "folder", str(info.path), "", "derived")
    pattern = movie_pattern([entry.path for entry in files.movies])
    if pattern:
        values["movie_pattern"] = Value(pattern, "", "file names", str(info.path), "", "derived")
    return replace(record, values=values)


def _reading_findings(problems: Sequence[str], *groups: Sequence[Reading]) -> tuple[Finding, ...]:
    texts = [*problems, *(text for readings in groups for reading in readings for text in reading.problems)]
    more = len(texts) - _SHOWN
    shown = [Finding("READ", "warning", "", text) for text in texts[:_SHOWN]]
    return (*shown, Finding("READ", "warning", "", f"{more} more files have such problems")) if more > 0 else tuple(shown)
