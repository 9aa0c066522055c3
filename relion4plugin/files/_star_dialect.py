"""What reading and writing of STAR files share: loading a file, quotes, and how numbers look."""

import gzip
import re
import zlib
from pathlib import Path

from relion4plugin.errors import UserError

# A quoted text ends at the matching quote that is followed by white space, so a quote inside a word is a letter.
QUOTED = re.compile(rb"""(?<!\S)(?:"(.*?)"|'(.*?)')(?!\S)""")
HIDDEN = "\x7f"  # a control character, refused in files
END_OF_ROWS = re.compile(rb"\n(?=[ \t]*(?:\n|#|data_\S*[ \t]*(?:\n|\Z)|loop_[ \t]*(?:\n|\Z)|\Z))")
_NEEDS_QUOTES = re.compile(r"""\s|^["'_#;]|^data_|^loop_|^$""")


def load(path: Path) -> bytes:
    """Return the bytes of a STAR file (plain or gzip) with Unix line ends.

    Raises
    ------
    UserError
        If the file is missing, cannot be read, or holds no text.
    """
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a STAR file, check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged gzip file ({error}); expected a STAR file, copy it again") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected a STAR file") from error
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            raise UserError(f"{path}: not a STAR file (binary data or not UTF-8); give a text file with data_ blocks") from None
    if b"\0" in data or HIDDEN.encode() in data:
        raise UserError(f"{path}: not a STAR file (binary data); give a text file with data_ blocks")
    return data.replace(b"\r\n", b"\n") if b"\r" in data else data


def quote(text: str) -> str:
    """Put quotes around a text where blanks, emptiness or a leading mark would change its meaning.

    Raises
    ------
    UserError
        If no quotes can hold the text.
    """
    if not _NEEDS_QUOTES.search(text):
        return text
    if "\n" in text or "\r" in text:
        raise UserError(f"the text {text!r} has a line break and cannot be stored in a STAR file; remove the line break")
    for mark in ('"', "'"):
        if not re.search(mark + r"\s", text):
            return mark + text + mark
    raise UserError(f"the text {text!r} mixes blanks and both kinds of quotes and cannot be stored in a STAR file; rename it")


def float_format(value: float) -> str:
    """Return RELION's format of a float; it spends the place of the sign on a digit."""
    size = abs(value)
    letter = "e" if 0 < size < 1e-3 or size > 1e5 else "f"
    return f"%12.{5 if value < 0 else 6}{letter}"
