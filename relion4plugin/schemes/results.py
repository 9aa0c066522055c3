"""How much a project has made: movies, micrographs, particles, classes and resolutions, and when."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from relion4plugin.errors import UserError
from relion4plugin.files.file_cache import FileCache, stamp_of
from relion4plugin.files.star_text import count_rows, read_tables
from relion4plugin.schemes.labels import relion4_label
from relion4plugin.schemes.pipeline import Pipeline

_MOST_FILES = 200  # of each kind, the newest
_ITERATION_MODEL = re.compile(r"run_it(\d{3,})_(?:half1_)?model\.star")
_NO_ESTIMATE = 999.0

Points = tuple[tuple[float, float], ...]
_Read = Callable[[Path], float | None]
_Locate = Callable[[str], Path | None]


@dataclass(frozen=True)
class Quantity:
    """A figure of the project and its course.

    `points` are (seconds since 1970, value), oldest first; `value` is the newest and `source` the file or job that it comes from; None
    and empty while there is none. `is_resolution` tells lengths in A, where less is better, from counts.
    """

    key: str
    title: str
    value: float | None = None
    source: str = ""
    points: Points = ()
    is_resolution: bool = False


def _rows(table: str) -> _Read:
    def count(path: Path) -> float | None:
        rows = count_rows(path, table)
        return None if rows is None else float(rows)

    return count


def _map_resolution(path: Path) -> float | None:
    """Return rlnCurrentResolution of a model file, or the final resolution of a post-processing."""
    tables = read_tables(path)
    for table, label in (("model_general", "rlnCurrentResolution"), ("general", "rlnFinalResolution")):
        if table in tables:
            return _resolution(tables[table].value(label))
    return None


def _best_class_resolution(path: Path) -> float | None:
    classes = read_tables(path).get("model_classes")
    if classes is None:
        return None
    values = [_resolution(text) for (text,) in classes.columns("rlnEstimatedResolution")]
    return min((value for value in values if value is not None), default=None)


def _resolution(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < _NO_ESTIMATE else None


# key, title, start of the file's kind, start of the job's type, and how the file is read
_COUNTED = (
    ("movies", "Movies", "MicrographMoviesData", "relion.import", _rows("movies")),
    ("corrected", "Corrected micrographs", "MicrographsData", "relion.motioncorr", _rows("micrographs")),
    ("micrographs", "Micrographs with CTF", "MicrographsData", "relion.ctffind", _rows("micrographs")),
    ("selected_micrographs", "Selected micrographs", "MicrographsData", "relion.select", _rows("micrographs")),
    ("particles", "Particles", "ParticlesData", "relion.extract", _rows("particles")),
    ("selected_particles", "Selected particles", "ParticlesData", "relion.select", _rows("particles")),
    ("classes", "Selected classes", "ImagesData", "relion.select", _rows("")),
)
_RESOLUTIONS = (
    ("class_resolution", "Best class", ("relion.class2d",), _best_class_resolution),
    (
        "resolution",
        "Resolution of the map",
        ("relion.refine3d", "relion.class3d", "relion.initialmodel", "relion.postprocess"),
        _map_resolution,
    ),
)


def newest_model(directory: Path) -> Path | None:
    """Return the model file of the newest iteration of a refinement (the final one where it has converged), or None."""
    if not directory.is_dir():
        return None
    best, number = None, -1
    for path in directory.iterdir():
        if path.name in ("run_model.star", "postprocess.star"):
            return path
        match = _ITERATION_MODEL.fullmatch(path.name)
        if match and int(match[1]) > number:
            best, number = path, int(match[1])
    return best


class ResultsReader:
    """Reads figures from files of a pipeline: older files once, the newest of each kind whenever it changes.

    What a file held at earlier calls stays in `points`: jobs that go on in their directory overwrite it.
    """

    def __init__(self, root: Path, cache: FileCache) -> None:
        self._root, self._cache = root, cache
        self._seen: dict[tuple[str, str], list[tuple[float, float]]] = {}
        self._sorted: tuple[Pipeline | None, dict[str, list[str]]] = (None, {})

    def read(self, pipeline: Pipeline) -> tuple[Quantity, ...]:
        """Return all figures; files that are missing or damaged count as not there yet."""
        if self._sorted[0] is not pipeline:
            self._sorted = pipeline, sources(pipeline)
        names = self._sorted[1]
        counted = [self._quantity(key, title, names[key], self._file, read) for key, title, _, _, read in _COUNTED]
        lengths = [self._quantity(key, title, names[key], self._model, read, True) for key, title, _, read in _RESOLUTIONS]
        return (*counted, *lengths)

    def _file(self, name: str) -> Path | None:
        path = PurePosixPath(name)
        return None if path.is_absolute() or ".." in path.parts else self._root / path

    def _model(self, job: str) -> Path | None:
        return self._cache.get(self._root / job, newest_model)

    def _quantity(self, key: str, title: str, names: list[str], locate: _Locate, read: _Read, is_resolution: bool = False) -> Quantity:
        names = names[-_MOST_FILES:]
        for name in names:
            seen = self._seen.setdefault((key, name), [])
            if not seen or name == names[-1]:
                point = self._point(locate(name), read)
                if point is not None and (not seen or seen[-1][1] != point[1]):
                    seen.append(point)
        course = sorted((time, value, name) for name in names for time, value in self._seen[key, name])
        value, source = (course[-1][1], course[-1][2]) if course else (None, "")
        return Quantity(key, title, value, source, tuple((time, one) for time, one, _ in course), is_resolution)

    def _point(self, path: Path | None, read: _Read) -> tuple[float, float] | None:
        stamp = stamp_of(path) if path is not None else None
        if path is None or stamp is None:
            return None
        try:
            value = self._cache.get(path, read)
        except UserError:  # not a STAR file yet, or no longer: the job's own log says more than a figure could
            return None
        return None if value is None else (stamp[0] / 1e9, value)


def sources(pipeline: Pipeline) -> dict[str, list[str]]:
    """Return for each figure the files or jobs that give it, in order of creation."""
    found: dict[str, list[str]] = {key: [] for key in [row[0] for row in _COUNTED] + [row[0] for row in _RESOLUTIONS]}
    for process, node in pipeline.outputs:
        kind, job_type = relion4_label(pipeline.nodes[node].type_label), pipeline.processes[process].type_label
        for key, _, wanted_kind, wanted_type, _ in _COUNTED:
            if kind.startswith(wanted_kind) and job_type.startswith(wanted_type):
                found[key].append(node)
    for job in pipeline.processes.values():
        for key, _, types, _ in _RESOLUTIONS:
            if job.type_label.startswith(types):
                found[key].append(job.name)
    return found
