"""Movies in EER files: lists of electrons, rendered into frames."""

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files import movie_tiff_directories as tags
from relion4plugin.files.movie_header import MovieHeader, check_frame

EIGHT_BITS, SEVEN_BITS, ANY_BITS = 65000, 65001, 65002
METADATA = 65001
SKIP_BITS, X_BITS, Y_BITS = 65007, 65008, 65009
_COMPRESSIONS = (EIGHT_BITS, SEVEN_BITS, ANY_BITS)
_A_PER_METRE = 1e10


class EventCode(NamedTuple):
    """How electrons are written: bits of the run length and of both subpixel positions.

    `padded` says that a run without an electron at its end has subpixel bits too.
    """

    skip: int
    x: int
    y: int
    padded: bool


class EerMovie:
    """Frames of an EER file (see `relion4plugin.files.movies`).

    Images that are not lists of electrons, such as a sum in front, are left out. Rows keep their order.

    Parameters
    ----------
    path
        The file.
    grouping
        Hardware frames summed into one frame; what is left over at the end is dropped.
    upsampling
        1 for one pixel per physical pixel (4K), 2 for two by two (8K).

    Raises
    ------
    UserError
        If the file is missing, no EER file, truncated, or has fewer hardware frames than one group.
    """

    def __init__(self, path: Path, grouping: int, upsampling: int) -> None:
        if grouping < 1:
            raise UserError(f"EER grouping is {grouping} but must be at least 1 hardware frame")
        if upsampling not in (1, 2):
            raise UserError(f"EER upsampling is {upsampling} but must be 1 (4K) or 2 (8K)")
        self._chain = tags.TiffChain(path)
        try:
            chain = self._chain
            self._directories = [d for d in chain.directories if chain.number(d, tags.COMPRESSION) in _COMPRESSIONS]
            self._pieces = [chain.pieces(directory) for directory in self._directories]
            self._grouping, self._upsampling = grouping, upsampling
            self.header = self._read_header()
            self._code = self._event_code()
        except BaseException:
            self._chain.close()
            raise

    def _read_header(self) -> MovieHeader:
        chain, path, n_hardware = self._chain, self._chain.path, len(self._directories)
        if n_hardware == 0:
            raise UserError(f"{path}: it has no EER frames; expected an EER movie")
        if n_hardware < self._grouping:
            raise UserError(f"{path}: {n_hardware} hardware frames, fewer than one group of {self._grouping}; lower the EER grouping")
        sizes = {(chain.number(d, tags.LENGTH), chain.number(d, tags.WIDTH)) for d in self._directories}
        if len(sizes) != 1:
            raise UserError(f"{path}: its hardware frames differ in size; the file is damaged, copy it again")
        ny, nx = (side * self._upsampling for side in sizes.pop())
        pixel_size = _pixel_size(chain) / self._upsampling
        return MovieHeader(path, "eer", n_hardware // self._grouping, (ny, nx), round(pixel_size, 6), n_hardware, "events")

    def _event_code(self) -> EventCode:
        first = self._directories[0]
        compression = self._chain.number(first, tags.COMPRESSION)
        if compression != ANY_BITS:
            return EventCode(8 if compression == EIGHT_BITS else 7, 2, 2, compression == EIGHT_BITS)
        skip, x, y = (self._chain.number(first, tag, usual) for tag, usual in ((SKIP_BITS, 7), (X_BITS, 2), (Y_BITS, 2)))
        code = EventCode(skip, x, y, False)
        if not 1 <= code.skip <= 16 or not 0 <= code.x <= 8 or not 0 <= code.y <= 8:
            raise UserError(f"{self._chain.path}: EER codes of {code.skip}, {code.x} and {code.y} bits make no sense; copy the file again")
        if self._upsampling > 1 and min(code.x, code.y) == 0:
            raise UserError(f"{self._chain.path}: its electrons have no subpixel positions; use EER upsampling 1")
        return code

    def read(self, frame: int) -> np.ndarray:
        """Return the sum of a group of hardware frames, float32 (ny, nx).

        Raises
        ------
        UserError
            If a hardware frame is damaged.
        """
        from relion4plugin.files.movie_eer_events import add_events

        check_frame(self.header, frame)
        # A pixel counts at most one electron of each hardware frame; small numbers make fewer cache misses.
        counts = np.zeros(self.header.shape, dtype=np.uint8 if self._grouping < 256 else np.uint32)
        for hardware in range(frame * self._grouping, (frame + 1) * self._grouping):
            data = b"".join(self._chain.bytes_at(*piece) for piece in self._pieces[hardware])
            if not add_events(np.frombuffer(data, dtype=np.uint8), counts, self._upsampling, *self._code):
                raise UserError(f"{self.header.path}: hardware frame {hardware + 1} is damaged; copy the file again")
        return counts.astype(np.float32)

    def close(self) -> None:
        """Close the file."""
        self._chain.close()


def eer_metadata(chain: tags.TiffChain) -> str:
    """Return the XML text about the acquisition, empty where there is none.

    The declaration in front of it is left out: some files have one that no XML parser takes.
    """
    texts = (chain.text(directory, METADATA) for directory in chain.directories[:2])
    text = next((text for text in texts if "<metadata" in text), "")
    return text[text.find("<metadata") :]


def _pixel_size(chain: tags.TiffChain) -> float:
    """Return the size of a physical pixel at the specimen in A, 0 where the file does not tell."""
    match = re.search(r'<item[^>]*name="sensorPixelSize\.width"[^>]*>\s*([0-9.eE+-]+)\s*<', eer_metadata(chain))
    try:
        return float(match[1]) * _A_PER_METRE if match else 0.0
    except ValueError:  # a text that only looks like a number
        return 0.0
