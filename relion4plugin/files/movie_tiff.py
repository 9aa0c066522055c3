"""Movies in TIFF files."""

from pathlib import Path
from typing import Any

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files import movie_tiff_directories as tags
from relion4plugin.files.movie_header import MovieHeader, check_frame, unpack_nibbles

_TYPES = {(8, 1): "uint8", (8, 2): "int8", (16, 1): "uint16", (16, 2): "int16", (32, 3): "float32", (16, 3): "float16", (4, 1): "uint4"}
# Bytes (width, length) of super-resolution frames of K3 and K2 that hold two pixels each, in both orientations.
_PACKED_SIZES = frozenset(
    {(5760, 8184), (8184, 5760), (4092, 11520), (11520, 4092), (3710, 7676), (7676, 3710), (3838, 7420), (7420, 3838)}
)
_PACKED_TEXT = "4 bits packed"
_A_PER_UNIT = {2: 2.54e8, 3: 1e8}  # inch, centimetre
_LARGEST_PIXEL = 1000.0  # A; resolutions of prints and screens lie far above


class TiffMovie:
    """Frames of a TIFF file (see `relion4plugin.files.movies`).

    Rows are turned around on reading: the first row of a TIFF image is its top, that of an MRC image its bottom.

    Raises
    ------
    UserError
        If the file is missing, no TIFF file, truncated, or holds images of different sizes or unknown types.
    """

    def __init__(self, path: Path) -> None:
        chain = tags.TiffChain(path)
        try:
            self.header, self._packed = _header(chain)
        finally:
            chain.close()
        self._file: Any = None

    def read(self, frame: int) -> np.ndarray:
        """Return a frame, float32 (ny, nx).

        Raises
        ------
        UserError
            If its compressed pixels are damaged.
        """
        import tifffile

        check_frame(self.header, frame)
        path = self.header.path
        try:
            if self._file is None:
                self._file = tifffile.TiffFile(path)
            pixels = self._file.pages[frame].asarray(maxworkers=1)
        except (RuntimeError, ValueError, OSError, IndexError) as error:
            raise UserError(f"{path}: frame {frame + 1} cannot be read ({error}); the file is damaged, copy it again") from error
        if self._packed:
            pixels = unpack_nibbles(pixels, self.header.shape[1])
        return pixels[::-1].astype(np.float32)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _header(chain: tags.TiffChain) -> tuple[MovieHeader, bool]:
    """Return the header, and whether each byte holds two pixels."""
    path, first = chain.path, chain.directories[0]
    layout = _layout(chain, first)
    for number, directory in enumerate(chain.directories, 1):
        if _layout(chain, directory) != layout:
            raise UserError(f"{path}: frame {number} differs from the first one in size or type; expected frames of one size")
        chain.pieces(directory)
    width, length, bits, sample_format = layout
    if (bits, sample_format) not in _TYPES:
        raise UserError(f"{path}: TIFF images of {bits} bits, sample format {sample_format}, cannot be read; convert them to 16 bits")
    packed = bits == 8 and ((width, length) in _PACKED_SIZES or _PACKED_TEXT in chain.text(first, tags.DESCRIPTION))
    n_frames = len(chain.directories)
    nx = 2 * width if packed else width
    value_type = "uint4" if packed else _TYPES[bits, sample_format]
    return MovieHeader(path, "tiff", n_frames, (length, nx), _pixel_size(chain), n_frames, value_type), packed


def _layout(chain: tags.TiffChain, directory: tags.TiffDirectory) -> tuple[int, int, int, int]:
    return (
        chain.number(directory, tags.WIDTH),
        chain.number(directory, tags.LENGTH),
        chain.number(directory, tags.BITS, 1),
        chain.number(directory, tags.SAMPLE_FORMAT, 1),
    )


def _pixel_size(chain: tags.TiffChain) -> float:
    """Return the pixel size in A from the resolution, 0 where it has no unit or is that of a print."""
    first = chain.directories[0]
    resolution = chain.values(first, tags.X_RESOLUTION)
    unit = _A_PER_UNIT.get(chain.number(first, tags.RESOLUTION_UNIT, 2), 0.0)
    if len(resolution) != 2 or min(resolution) <= 0:
        return 0.0
    size = unit * resolution[1] / resolution[0]
    return round(size, 6) if size <= _LARGEST_PIXEL else 0.0
