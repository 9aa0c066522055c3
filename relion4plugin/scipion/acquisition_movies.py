"""Movies of a session as items of a Scipion set, linked or copied into the run's folder under their path in the session."""

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pwem.objects import Acquisition, Integer, Movie, SetOfMovies

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path
from relion4plugin.scipion.acquisition_arrivals import ReadyMovie
from relion4plugin.scipion.acquisition_groups import optics_text
from relion4plugin.scipion.acquisition_values import MovieValues
from relion4plugin.scipion.sets import read_columns

MOVIES = "movies"  # folder below that of the run
_GROUP = "_rlnOpticsGroup"


def opened(file: Path) -> SetOfMovies:
    """Open a set of movies to which more are added."""
    movies = SetOfMovies(filename=str(file))
    movies.loadAllProperties()
    movies.setStreamState(movies.STREAM_OPEN)
    return movies


def imported(movies: SetOfMovies, folder: Path) -> dict[str, int]:
    """Return the movies that a set has, by their path in the session, with their optics groups.

    Parameters
    ----------
    movies : SetOfMovies
        An output of this protocol.
    folder : Path
        Of the run.
    """
    columns = read_columns(movies.getFileName(), ("_filename", _GROUP))
    place = folder / MOVIES
    pairs = zip(columns.get("_filename"), columns.get(_GROUP, 1), strict=True)
    return {str(PurePosixPath(name).relative_to(place)): int(group) for name, group in pairs}


def place_movie(source: Path, target: Path, is_copy: bool) -> None:
    """Link or copy a movie; one that is there in full stays.

    Raises
    ------
    UserError
        If it cannot be done.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if is_copy:
            if not target.is_file() or target.stat().st_size != source.stat().st_size:
                with atomic_path(target) as temporary:
                    shutil.copyfile(source, temporary)
        elif not target.is_symlink() or os.readlink(target) != str(source):
            target.unlink(missing_ok=True)
            target.symlink_to(source)
    except OSError as error:
        raise UserError(f"cannot bring {source} to {target}: {(error.strerror or str(error)).lower()}; check both") from error


def prepare_set(movies: SetOfMovies, values: MovieValues, first: ReadyMovie, folder: Path) -> None:
    """Give an empty set of movies its acquisition, pixel size, gain reference, and size and range of frames."""
    movies.setAcquisition(_acquisition(values))
    movies.setSamplingRate(values.pixel_size)
    if values.gain:
        movies.setGain(str(folder / values.gain))
    ny, nx = first.header.shape
    n = frame_count(first, values)
    movies.setDim((nx, ny, n))
    movies.setFramesRange([1, n, 1])


def append_movies(
    movies: SetOfMovies, new: Iterable[ReadyMovie], groups: Mapping[str, int], n_groups: int, values: MovieValues, folder: Path
) -> None:
    """Append movies that lie in the run's folder, and describe their optics groups.

    Parameters
    ----------
    movies : SetOfMovies
        Prepared, or opened for appending.
    new : iterable of ReadyMovie
    groups : mapping
        Movie to its optics group, from 1.
    n_groups : int
        Number of groups that there are by now.
    values : MovieValues
        Of all movies.
    folder : Path
        Of the run.
    """
    acquisition = _acquisition(values)
    names = set(read_columns(movies.getFileName(), ("_micName",)).get("_micName")) if not movies.isEmpty() else set()
    for movie in new:
        path = folder / MOVIES / movie.name
        item = Movie(location=str(path))
        item.setMicName(path.name if path.name not in names else movie.name.replace("/", "_"))
        names.add(item.getMicName())
        item.setSamplingRate(values.pixel_size)
        item.setAcquisition(acquisition)
        item.setFramesRange([1, frame_count(movie, values), 1])
        setattr(item, _GROUP, Integer(groups[movie.name]))
        movies.append(item)
    movies.getAcquisition().opticsGroupInfo.set(optics_text(n_groups, _optics(values, folder)))


def frame_count(movie: ReadyMovie, values: MovieValues) -> int:
    """Return the number of frames; of an EER movie the fractions."""
    return max(movie.header.n_hardware_frames // values.eer_grouping, 1)


def _acquisition(values: MovieValues) -> Acquisition:
    return Acquisition(
        magnification=values.magnification,
        voltage=values.voltage,
        sphericalAberration=values.spherical_aberration,
        amplitudeContrast=values.amplitude_contrast,
        doseInitial=values.pre_exposure,
        dosePerFrame=values.dose_per_frame,
    )


def _optics(values: MovieValues, folder: Path) -> dict[str, Any]:
    optics: dict[str, Any] = {
        "rlnMicrographOriginalPixelSize": values.pixel_size,
        "rlnVoltage": values.voltage,
        "rlnSphericalAberration": values.spherical_aberration,
        "rlnAmplitudeContrast": values.amplitude_contrast,
    }
    return {"rlnMtfFileName": str(folder / values.mtf), **optics} if values.mtf else optics
