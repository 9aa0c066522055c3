"""Movies written as MRC or TIFF files; EER files see `movie_write_eer`."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from relion4plugin.files.atomic import atomic_path
from relion4plugin.files.movie_header import pack_nibbles
from relion4plugin.files.movie_mrc import FOUR_BITS
from relion4plugin.files.movie_write_eer import write_eer
from relion4plugin.files.movies import movie_kind
from relion4plugin.files.mrc import new_header

__all__ = ["write_eer", "write_movie"]

_MODES = {"int8": 0, "int16": 1, "float32": 2, "uint16": 6, "float16": 12}
_HEADER_BYTES = 1024


def write_movie(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    pixel_size: float,
    compression: Literal["lzw", "zlib", "none"] = "lzw",
    packed: bool = False,
) -> None:
    """Write frames (ny, nx) as an MRC or TIFF movie, whichever the suffix says; the file appears whole or not at all.

    Parameters
    ----------
    path
        File ending in .mrc, .mrcs, .tif or .tiff.
    frames
        int8, uint8, int16, uint16, float16 or float32, all of one shape and type, in the orientation in which movies are read. MRC has no
        uint8: values up to 127 are written as int8.
    pixel_size
        A; 0 if it is unknown.
    compression
        Of TIFF files.
    packed
        Two pixels in a byte; values must lie between 0 and 15.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    ValueError
        If frames do not fit the format or there are none.
    """
    path, kind = Path(path), movie_kind(path)
    if kind == "eer":
        raise ValueError(f"{path}: EER movies are written by write_eer")
    checked = _checked(path, frames, packed)
    with atomic_path(path) as temporary:
        if kind == "mrc":
            _write_mrc(temporary, checked, pixel_size, packed)
        else:
            _write_tiff(temporary, checked, pixel_size, compression, packed)


def _checked(path: Path, frames: Iterable[np.ndarray], packed: bool) -> Iterator[np.ndarray]:
    first: np.ndarray | None = None
    for frame in frames:
        first = frame if first is None else first
        if frame.shape != first.shape or frame.dtype != first.dtype:
            raise ValueError(f"{path}: frames differ in shape or type")
        if packed and (frame.min() < 0 or frame.max() > 15):
            raise ValueError(f"{path}: values of {frame.min()} to {frame.max()} do not fit in four bits")
        yield frame
    if first is None:
        raise ValueError(f"{path}: there are no frames")


def _write_mrc(path: Path, frames: Iterator[np.ndarray], pixel_size: float, packed: bool) -> None:
    low, high, total, squares, count, n_frames = np.inf, -np.inf, 0.0, 0.0, 0, 0
    with path.open("wb") as stream:
        stream.write(bytes(_HEADER_BYTES))
        for frame in frames:
            stored = pack_nibbles(frame) if packed else _as_mode(path, frame)
            stream.write(np.ascontiguousarray(stored, dtype=stored.dtype.newbyteorder("<")).data)
            values = frame.astype(np.float32, copy=False)
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            total += float(values.sum(dtype=np.float64))
            squares += float(np.einsum("ij,ij->", values, values, dtype=np.float64))
            count, n_frames, shape = count + values.size, n_frames + 1, frame.shape
        mean = total / count
        header = new_header((n_frames, *shape), pixel_size, FOUR_BITS if packed else _MODES[stored.dtype.name], is_volume=False)
        header["dmin"], header["dmax"], header["dmean"] = low, high, mean
        header["rms"] = np.sqrt(max(0.0, squares / count - mean**2))
        stream.seek(0)
        stream.write(header.tobytes())


def _as_mode(path: Path, frame: np.ndarray) -> np.ndarray:
    """Return a frame in a type that MRC has."""
    if frame.dtype == np.uint8 and frame.max() <= 127:
        return frame.astype(np.int8)
    if frame.dtype.name not in _MODES:
        raise ValueError(f"{path}: MRC cannot store these values of type {frame.dtype}")
    return frame


def _write_tiff(path: Path, frames: Iterator[np.ndarray], pixel_size: float, compression: str, packed: bool) -> None:
    import tifffile

    # A whole number of pixels per centimetre: as a float it would be rounded to a power of two.
    resolution: dict[str, Any] = {}
    if pixel_size > 0:
        resolution = {"resolution": ((round(1e8 / pixel_size), 1),) * 2, "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(path) as tiff:
        for number, frame in enumerate(frames):
            stored = (pack_nibbles(frame) if packed else frame)[::-1]  # the first row of a TIFF image is its top
            tiff.write(
                np.ascontiguousarray(stored),
                photometric="minisblack",
                compression=None if compression == "none" else compression,
                description="4 bits packed" if packed and number == 0 else None,
                metadata=None,
                contiguous=False,
                **resolution,
            )
