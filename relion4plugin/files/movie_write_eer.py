"""Movies written as EER files."""

import os
import struct
from collections.abc import Iterable
from itertools import chain
from typing import BinaryIO, Literal

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_path
from relion4plugin.files.movie_eer import EIGHT_BITS, METADATA, SEVEN_BITS
from relion4plugin.files.movies import movie_kind


def write_eer(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    pixel_size: float = 0.0,
    upsampled: bool = False,
    run_bits: Literal[7, 8] = 7,
) -> None:
    """Write hardware frames as an EER movie; the file appears whole or not at all.

    Parameters
    ----------
    path
        File ending in .eer.
    frames
        (ny, nx), the number of electrons in each pixel. Like the camera, the format knows one electron for each pixel and hardware
        frame: further ones are lost.
    pixel_size
        A of a physical pixel; 0 if it is unknown.
    upsampled
        Frames have two by two pixels for each physical one, of which the first with an electron is kept.
    run_bits
        7 for files of current cameras, 8 for those of the first ones.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    ValueError
        If there are no frames, or they differ in shape.
    """
    if movie_kind(path) != "eer":
        raise UserError(f"{path}: EER movies must end in .eer")
    remaining = iter(frames)
    first = next(remaining, None)
    if first is None:
        raise ValueError(f"{path}: there are no frames")
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        _write_eer_frames(stream, chain([first], remaining), first.shape, pixel_size, upsampled, run_bits)


def _write_eer_frames(
    stream: BinaryIO, frames: Iterable[np.ndarray], shape: tuple[int, ...], pixel_size: float, upsampled: bool, run_bits: int
) -> None:
    """Write a BigTIFF file: each frame's data, then its directory, to which the one before points."""
    from relion4plugin.files.movie_eer_events import encode_events

    ny, nx = (side // 2 for side in shape) if upsampled else shape
    compression = SEVEN_BITS if run_bits == 7 else EIGHT_BITS
    stream.write(b"II" + struct.pack("<HHHQ", 43, 8, 0, 0))
    pointer = 8
    xml = _metadata(ny, nx, pixel_size)
    for frame in frames:
        if frame.shape != shape:
            raise ValueError(f"frames differ in shape: {frame.shape} after {shape}")
        data = encode_events(*_electrons(frame, upsampled), ny * nx, run_bits, run_bits == 8).tobytes()
        place = stream.tell()
        stream.write(data)
        entries = [(256, 4, nx), (257, 4, ny), (258, 3, 1), (259, 3, compression), (262, 3, 1)]
        entries += [(273, 16, place), (278, 4, ny), (279, 16, len(data))]
        tags = [struct.pack("<HHQQ", tag, kind, 1, value) for tag, kind, value in entries]
        if xml:
            tags.append(struct.pack("<HHQQ", METADATA, 7, len(xml), stream.tell()))
            stream.write(xml)
            xml = b""
        directory = stream.tell()
        stream.write(struct.pack("<Q", len(tags)) + b"".join(tags) + bytes(8))
        after = stream.tell()
        stream.seek(pointer)
        stream.write(struct.pack("<Q", directory))
        stream.seek(after)
        pointer = after - 8


def _electrons(frame: np.ndarray, upsampled: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels with an electron, ascending, and its position in quarters of a pixel (see `encode_events`)."""
    if not upsampled:
        positions = np.flatnonzero(frame)
        return positions, np.zeros(len(positions), dtype=np.int64)
    ny, nx = frame.shape[0] // 2, frame.shape[1] // 2
    cells = (frame.reshape(ny, 2, nx, 2) > 0).transpose(0, 2, 1, 3).reshape(-1, 4)
    positions = np.flatnonzero(cells.any(axis=1))
    half = cells[positions].argmax(axis=1)
    return positions, 2 * (half % 2) + 8 * (half // 2)


def _metadata(ny: int, nx: int, pixel_size: float) -> bytes:
    items = [("sensorImageHeight", "pixel", str(ny)), ("sensorImageWidth", "pixel", str(nx))]
    if pixel_size > 0:
        items += [(f"sensorPixelSize.{side}", "m", f"{pixel_size * 1e-10:.6e}") for side in ("height", "width")]
    lines = "".join(f'<item name="{name}" unit="{unit}">{value}</item>' for name, unit, value in items)
    return f"<metadata>{lines}</metadata>".encode()
