"""The first directory of a TIFF file (EER is TIFF too), with one kind of error for all that can be wrong with it."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class UnreadableTiff(Exception):
    """A file that cannot be read as TIFF; the text says why in one line."""


@dataclass(frozen=True)
class FirstPage:
    """Tags that were asked for and are there, width and height, bits of a sample, and number of the compression."""

    tags: dict[int, Any]
    size: tuple[int, int]
    bits: int
    compression: int


def read_first_page(path: str | Path, codes: Sequence[int]) -> FirstPage:
    """Return the first directory; the rest of the file is not looked at.

    Raises
    ------
    UnreadableTiff
        If the file cannot be read, is cut off, or no TIFF file.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            page = tiff.pages.first
            tags = {code: tag.value for code in codes if (tag := page.tags.get(code)) is not None}
            return FirstPage(tags, (int(page.imagewidth), int(page.imagelength)), int(page.bitspersample), int(page.compression))
    except OSError as error:
        raise UnreadableTiff(f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    # What tifffile raises for damaged files: its own error, and those of the structures that it unpacks.
    except (tifffile.TiffFileError, struct.error, ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:
        raise UnreadableTiff(f"is no whole TIFF file: {error}") from error
