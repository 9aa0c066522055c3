"""Movies in MRC files, four-bit ones included."""

from pathlib import Path

import numpy as np
from mrcfile.dtypes import HEADER_DTYPE

from relion4plugin.errors import UserError
from relion4plugin.files.movie_header import MovieHeader, check_frame, unpack_nibbles
from relion4plugin.files.mrc import read_header

FOUR_BITS = 101
_HEADER_BYTES = 1024


class MrcMovie:
    """Frames of an MRC file through a memory map (see `relion4plugin.files.movies`).

    Raises
    ------
    UserError
        If the file is missing, is no MRC file, or is shorter than its header says.
    """

    def __init__(self, path: Path) -> None:
        start = _start(path)
        packed = start is not None and int(start["mode"]) == FOUR_BITS
        if start is not None and packed:
            nx, ny, nz = (int(start[name]) for name in ("nx", "ny", "nz"))
            length, intervals = float(start["cella"]["x"]), int(start["mx"])
            pixel_size = round(length / intervals, 6) if intervals > 0 and np.isfinite(length) and length > 0 else 0.0
            offset, dtype, width = _HEADER_BYTES + max(0, int(start["nsymbt"])), np.dtype(np.uint8), (nx + 1) // 2
        else:
            header = read_header(path)
            nx, ny, nz, pixel_size = header.nx, header.ny, header.nz, header.pixel_size
            offset, dtype, width = header.offset, header.dtype, nx
        expected, found = offset + nz * ny * width * dtype.itemsize, path.stat().st_size
        if nz < 1 or found < expected:
            raise UserError(
                f"{path}: truncated file, expected {expected} bytes for {nz} frames of {nx} x {ny} px, found {found}; "
                "copy it again or wait until it is written"
            )
        self._packed = packed
        self._pixels = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=(nz, ny, width))
        self.header = MovieHeader(path, "mrc", nz, (ny, nx), pixel_size, nz, "uint4" if packed else dtype.newbyteorder("=").name)

    def read(self, frame: int) -> np.ndarray:
        """Return a frame, float32 (ny, nx)."""
        check_frame(self.header, frame)
        pixels = self._pixels[frame]
        return (unpack_nibbles(pixels, self.header.shape[1]) if self._packed else pixels).astype(np.float32)

    def close(self) -> None:
        """Release the map."""
        del self._pixels


def _start(path: Path) -> np.ndarray | None:
    """Return the little-endian header record; None where `read_header` has to say what is wrong."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_HEADER_BYTES)
    except OSError:
        return None
    if not raw:
        raise UserError(f"{path}: the file is empty; copy it again or wait until it is written")
    return np.frombuffer(raw, dtype=HEADER_DTYPE.newbyteorder("<"))[0] if len(raw) == _HEADER_BYTES else None
