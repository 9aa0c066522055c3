"""Movies of any format, frame by frame, in the orientation in which RELION reads them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.movie_eer import EerMovie
from relion4plugin.files.movie_header import MovieHeader, MovieKind, MovieReader
from relion4plugin.files.movie_mrc import MrcMovie
from relion4plugin.files.movie_tiff import TiffMovie

__all__ = ["MovieHeader", "MovieKind", "MovieReader", "movie_kind", "open_movie", "read_movie_header"]

_KINDS: dict[str, MovieKind] = {".mrc": "mrc", ".mrcs": "mrc", ".tif": "tiff", ".tiff": "tiff", ".eer": "eer", ".ecc": "eer"}


def movie_kind(path: str | os.PathLike[str]) -> MovieKind:
    """Return the format that the suffix of a file stands for, in capital or small letters.

    Raises
    ------
    UserError
        If it is not the suffix of a movie.
    """
    kind = _KINDS.get(os.path.splitext(path)[1].lower())
    if kind is None:
        raise UserError(f"{path}: not a movie by its name; expected a suffix {', '.join(_KINDS)}")
    return kind


def _open(path: Path, eer_grouping: int, eer_upsampling: int) -> MovieReader:
    kind = movie_kind(path)
    if kind == "eer":
        return EerMovie(path, eer_grouping, eer_upsampling)
    return MrcMovie(path) if kind == "mrc" else TiffMovie(path)


def read_movie_header(path: str | os.PathLike[str], eer_grouping: int = 32, eer_upsampling: int = 1) -> MovieHeader:
    """Return number, size and type of the frames, and check that the file is complete, without reading pixels.

    Parameters
    ----------
    path
        MRC, TIFF or EER file, told apart by its suffix.
    eer_grouping
        Hardware frames of an EER file that make one frame.
    eer_upsampling
        1 (4K) or 2 (8K) for EER files.

    Raises
    ------
    UserError
        If the file is missing, empty, truncated, still being written, or not a movie.
    """
    reader = _open(Path(path), eer_grouping, eer_upsampling)
    reader.close()
    return reader.header


@contextmanager
def open_movie(path: str | os.PathLike[str], eer_grouping: int = 32, eer_upsampling: int = 1) -> Iterator[MovieReader]:
    """Open a movie for reading frames (see `read_movie_header` for the arguments); one reader for each thread.

    Examples
    --------
    >>> with open_movie("Movies/a.tiff") as movie:  # doctest: +SKIP
    ...     total = sum(movie.read(frame) for frame in range(movie.header.n_frames))

    Raises
    ------
    UserError
        As `read_movie_header`.
    """
    reader = _open(Path(path), eer_grouping, eer_upsampling)
    try:
        yield reader
    finally:
        reader.close()
