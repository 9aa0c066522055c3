"""The chain of image directories of a TIFF or BigTIFF file, read without its pixels and checked for completeness."""

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError

WIDTH, LENGTH, BITS, COMPRESSION, DESCRIPTION, STRIP_OFFSETS, STRIP_BYTES = 256, 257, 258, 259, 270, 273, 279
X_RESOLUTION, RESOLUTION_UNIT, TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT = 282, 296, 324, 325, 339

# Type of a value -> letters of the struct module; fractions are two numbers.
_FORMATS = {1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I"}
_FORMATS |= {16: "Q", 17: "q", 18: "Q"}
_GUESS = 512  # bytes that hold a usual directory


@dataclass(frozen=True)
class _Layout:
    """Classic TIFF or BigTIFF in one byte order."""

    order: str
    big: bool

    @property
    def count(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "H"))

    @property
    def entry(self) -> struct.Struct:
        return struct.Struct(self.order + ("HHQ8s" if self.big else "HHI4s"))

    @property
    def pointer(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "I"))


@dataclass(frozen=True)
class TiffDirectory:
    """Tags of one image: tag -> (type, number of values, value or its place in the file)."""

    tags: Mapping[int, tuple[int, int, bytes]]


class TiffChain:
    """All image directories of a file.

    Parameters
    ----------
    path
        The file; it stays open until `close`.

    Raises
    ------
    UserError
        If it is no TIFF file, is damaged, or ends before its last directory or pixel.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = path.open("rb", buffering=0)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; expected a movie, check the path") from None
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror}); expected a movie") from error
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self._layout, first = self._read_start()
            self.directories = self._read_chain(first)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def bytes_at(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`.

        Raises
        ------
        UserError
            If the file ends before.
        """
        if offset + length > self.size:
            raise self._truncated(offset + length)
        data = os.pread(self._file.fileno(), length, offset)
        if len(data) != length:
            raise self._truncated(offset + length)
        return data

    def values(self, directory: TiffDirectory, tag: int) -> tuple[float, ...]:
        """Return the values of a tag, none where it is missing; a fraction gives two values."""
        if tag not in directory.tags:
            return ()
        kind, count, field = directory.tags[tag]
        if kind not in _FORMATS:
            raise UserError(f"{self.path}: tag {tag} has the unknown type {kind}; the file is damaged, copy it again")
        reader = struct.Struct(f"{self._layout.order}{count * len(_FORMATS[kind])}{_FORMATS[kind][0]}")
        if reader.size <= len(field):
            return reader.unpack(field[: reader.size])
        return reader.unpack(self.bytes_at(self._layout.pointer.unpack(field)[0], reader.size))

    def number(self, directory: TiffDirectory, tag: int, default: int = 0) -> int:
        """Return the first value of a tag as a whole number."""
        values = self.values(directory, tag)
        return int(values[0]) if values else default

    def text(self, directory: TiffDirectory, tag: int) -> str:
        """Return a tag as text, empty where it is missing."""
        return bytes(int(value) for value in self.values(directory, tag)).decode("utf-8", "replace").rstrip("\0")

    def pieces(self, directory: TiffDirectory) -> list[tuple[int, int]]:
        """Return place and length of the strips or tiles of an image.

        Raises
        ------
        UserError
            If there are none or the file ends before them.
        """
        tags = (STRIP_OFFSETS, STRIP_BYTES) if STRIP_OFFSETS in directory.tags else (TILE_OFFSETS, TILE_BYTES)
        offsets, lengths = (self.values(directory, tag) for tag in tags)
        if not offsets or len(offsets) != len(lengths):
            raise UserError(f"{self.path}: an image has no pixels; the file is damaged or still being written, copy it again")
        pieces = [(int(offset), int(length)) for offset, length in zip(offsets, lengths, strict=True)]
        end = max(offset + length for offset, length in pieces)
        if end > self.size:
            raise self._truncated(end)
        return pieces

    def _truncated(self, wanted: int) -> UserError:
        return UserError(
            f"{self.path}: truncated file, expected at least {wanted} bytes, found {self.size}; copy it again or wait until it is written"
        )

    def _read_start(self) -> tuple[_Layout, int]:
        if self.size == 0:
            raise UserError(f"{self.path}: the file is empty; copy it again or wait until it is written")
        start = self.bytes_at(0, min(16, self.size))
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        version = struct.unpack(f"{order}H", start[2:4])[0] if order and len(start) >= 8 else 0
        if order is None or version not in (42, 43):
            raise UserError(f"{self.path}: not a TIFF or EER file (its header makes no sense); give a movie")
        layout = _Layout(order, version == 43)
        offset = layout.pointer.unpack(self.bytes_at(8 if layout.big else 4, layout.pointer.size))[0]
        if offset == 0:
            raise UserError(f"{self.path}: the file has no images; it is damaged or still being written")
        return layout, int(offset)

    def _read_chain(self, offset: int) -> list[TiffDirectory]:
        directories: list[TiffDirectory] = []
        seen: set[int] = set()
        while offset:
            if offset in seen:
                raise UserError(f"{self.path}: its list of images runs in a circle; the file is damaged, copy it again")
            seen.add(offset)
            directory, offset = self._read_directory(offset)
            directories.append(directory)
        return directories

    def _read_directory(self, offset: int) -> tuple[TiffDirectory, int]:
        count_reader, entry, pointer = self._layout.count, self._layout.entry, self._layout.pointer
        block = self.bytes_at(offset, max(count_reader.size, min(_GUESS, self.size - offset)))
        (count,) = count_reader.unpack_from(block)
        end = count_reader.size + count * entry.size + pointer.size
        if end > len(block):
            block = self.bytes_at(offset, end)
        entries = entry.iter_unpack(block[count_reader.size : end - pointer.size])
        tags = {tag: (kind, number, field) for tag, kind, number, field in entries}
        return TiffDirectory(tags), int(pointer.unpack_from(block, end - pointer.size)[0])
