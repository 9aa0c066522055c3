"""What is known of a movie before its pixels are read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

MovieKind = Literal["mrc", "tiff", "eer"]


@dataclass(frozen=True)
class MovieHeader:
    """Size and type of a movie.

    Parameters
    ----------
    path
        The file.
    kind
        Format of the file.
    n_frames
        Frames that can be read; in EER after hardware frames were summed in groups.
    shape
        Rows and columns (ny, nx) of a frame; in EER after upsampling.
    pixel_size
        A per pixel of `shape`; 0.0 where the file does not tell.
    n_hardware_frames
        Frames in the file.
    value_type
        Type of the stored numbers, such as ``uint8``; ``uint4`` for two pixels per byte, ``events`` for EER.
    """

    path: Path
    kind: MovieKind
    n_frames: int
    shape: tuple[int, int]
    pixel_size: float
    n_hardware_frames: int
    value_type: str


class MovieReader(Protocol):
    """An open movie; to be used by one thread."""

    @property
    def header(self) -> MovieHeader:
        """What the file holds."""

    def read(self, frame: int) -> np.ndarray:
        """Return a frame, counted from 0, as float32 (ny, nx)."""

    def close(self) -> None:
        """Release the file."""


def check_frame(header: MovieHeader, frame: int) -> None:
    """Raise IndexError for a frame that the movie does not have."""
    if not 0 <= frame < header.n_frames:
        raise IndexError(f"{header.path}: frame {frame} of {header.n_frames}")


def unpack_nibbles(packed: np.ndarray, nx: int) -> np.ndarray:
    """Return two pixels for each byte, the lower four bits first, cut to `nx` columns; uint8 (ny, nx)."""
    pixels = np.empty((packed.shape[0], 2 * packed.shape[1]), dtype=np.uint8)
    np.bitwise_and(packed, 15, out=pixels[:, 0::2])
    np.right_shift(packed, 4, out=pixels[:, 1::2])
    return pixels[:, :nx]


def pack_nibbles(pixels: np.ndarray) -> np.ndarray:
    """Return the opposite of `unpack_nibbles`: uint8 (ny, ceil(nx / 2)); an odd row ends with an empty pixel."""
    padded = np.pad(pixels, ((0, 0), (0, pixels.shape[1] % 2)))
    return (padded[:, 0::2] | padded[:, 1::2] << 4).astype(np.uint8)
