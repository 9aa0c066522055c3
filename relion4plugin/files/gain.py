"""Gain references: what the pixels of a frame are multiplied by."""

import os
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.movie_header import MovieHeader
from relion4plugin.files.movie_mrc import MrcMovie
from relion4plugin.files.movie_tiff import TiffMovie

_MULTIPLIED = ".gain"  # TIFF file that comes with EER movies
_SUFFIXES = (".mrc", ".mrcs", ".tif", ".tiff", _MULTIPLIED)


def read_gain(path: str | os.PathLike[str], rotation: int, flip: int, header: MovieHeader) -> np.ndarray:
    """Read a gain reference in RELION's conventions.

    Parameters
    ----------
    path
        MRC or TIFF file of one image, or a .gain file that comes with EER movies. For EER movies, MRC and TIFF files hold the response of
        the camera, by which frames are divided: they are inverted here, with mean response as unit.
    rotation
        0 to 3 quarter turns, clockwise where the first row is shown on top. It comes before the flip.
    flip
        0 for none, 1 upside down, 2 left to right.
    header
        Movies that it is for. Gain references of EER movies may have half or twice their size.

    Returns
    -------
    array : float32 (ny, nx)
        Frames are multiplied by it; 0 marks defects.

    Raises
    ------
    UserError
        If the file is missing, damaged, holds values that are not finite, or has another size than the movies.
    """
    if rotation not in range(4):
        raise UserError(f"rotation of the gain reference is {rotation} but must be 0, 1, 2 or 3 quarter turns")
    if flip not in range(3):
        raise UserError(f"flip of the gain reference is {flip} but must be 0 (none), 1 (upside down) or 2 (left to right)")
    path = Path(path)
    gain = np.rot90(_read(path, is_eer=header.kind == "eer"), k=-rotation)
    if flip:
        gain = gain[::-1] if flip == 1 else gain[:, ::-1]
    if header.kind == "eer":
        gain = _resampled(gain, header.shape)
        gain = gain if path.suffix.lower() == _MULTIPLIED else _inverted(gain)
    if gain.shape != header.shape:
        found, expected = (f"{nx} x {ny}" for ny, nx in (gain.shape, header.shape))
        swapped = "; rotate it by a quarter turn" if gain.shape == header.shape[::-1] else "; give the one that belongs to these movies"
        raise UserError(f"gain reference {path} has {found} px, expected {expected} px as in {header.path}{swapped}")
    return np.ascontiguousarray(gain, dtype=np.float32)


def _read(path: Path, is_eer: bool) -> np.ndarray:
    """Return the first image, float32."""
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise UserError(f"gain reference {path}: expected a suffix {', '.join(_SUFFIXES)}; convert it, DM4 files with IMOD's dm2mrc")
    if not path.is_file():
        raise UserError(f"gain reference {path}: no such file; give an existing one")
    reader = MrcMovie(path) if suffix.startswith(".mrc") else TiffMovie(path)
    gain = reader.read(0)
    reader.close()
    if suffix == _MULTIPLIED and is_eer:
        gain = gain[::-1]  # rows of EER frames keep their order, and so do those of the gain reference made for them
    if not np.isfinite(gain).all():
        raise UserError(f"gain reference {path} holds values that are not finite; make it again")
    if not gain.any():
        raise UserError(f"gain reference {path} is zero everywhere; make it again")
    return gain


def _resampled(gain: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the gain of EER movies repeated or averaged two by two where that gives the wanted size."""
    if (2 * gain.shape[0], 2 * gain.shape[1]) == shape:
        return gain.repeat(2, axis=0).repeat(2, axis=1)
    if gain.shape == (2 * shape[0], 2 * shape[1]):
        return np.asarray(gain.reshape(shape[0], 2, shape[1], 2).mean(axis=(1, 3), dtype=np.float64))
    return gain


def _inverted(response: np.ndarray) -> np.ndarray:
    mean = response.mean(dtype=np.float64)
    return np.divide(mean, response, out=np.zeros(response.shape), where=response != 0)
