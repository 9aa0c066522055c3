"""PDF files of drawn pages: lines, rectangles, dots and text, as vectors, without a library.

Pages are A4 upright; coordinates are in points (1/72 inch) from the lower left corner. Text is Helvetica, which every reader has.
Source: ISO 32000-1, sections 7.5 (structure of a file), 8.5 (paths), 9.4 (text), and annex D.2 (WinAnsiEncoding).
"""

import os
import zlib
from collections.abc import Sequence

from relion4plugin.files.atomic import atomic_write_bytes

WIDTH, HEIGHT = 595.0, 842.0  # A4
Colour = tuple[float, float, float]  # red, green, blue, 0 to 1
BLACK: Colour = (0.0, 0.0, 0.0)

# Widths of Helvetica's letters in thousandths of the size, where they are not 556.
_LETTERS = (
    (222, "ijl"), (278, " !,./:;I[\\]ft"), (333, "()-r`²"), (400, "°"), (500, "cJksvxyz"), (584, "+<=>~"), (611, "FTZ"),
    (667, "ABEKPSVXYÅ&"), (722, "CDHNRUw"), (778, "GOQ"), (833, "Mm"), (889, "%"), (944, "W"),
)  # fmt: skip
_WIDTHS = {letter: width for width, letters in _LETTERS for letter in letters}


def text_width(text: str, size: float) -> float:
    """Return the width of a text in points."""
    return size * sum(_WIDTHS.get(letter, 556) for letter in text) / 1000.0


class PdfPage:
    """One page; what is drawn later lies above."""

    def __init__(self) -> None:
        self._words: list[str] = []

    def line(self, points: Sequence[tuple[float, float]], colour: Colour = BLACK, width: float = 0.6) -> None:
        """Draw a line through points."""
        path = " ".join(f"{x:.2f} {y:.2f} {'l' if i else 'm'}" for i, (x, y) in enumerate(points))
        self._words.append(f"{_numbers(colour)} RG {width:.2f} w {path} S")

    def rectangle(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Fill a rectangle; `x` and `y` are its lower left corner."""
        self._words.append(f"{_numbers(colour)} rg {x:.2f} {y:.2f} {width:.2f} {height:.2f} re f")

    def dots(self, points: Sequence[tuple[float, float]], colour: Colour, diameter: float = 2.0) -> None:
        """Draw round dots."""
        path = " ".join(f"{x:.2f} {y:.2f} m {x:.2f} {y:.2f} l" for x, y in points)
        self._words.append(f"{_numbers(colour)} RG 1 J {diameter:.2f} w {path} S 0 J")

    def text(self, x: float, y: float, text: str, size: float = 8.0, align: float = 0.0, turned: bool = False) -> None:
        """Write one line.

        Parameters
        ----------
        x, y : float
            Where its base line is.
        text : str
            Letters that are not in WinAnsiEncoding become question marks.
        size : float
            Points.
        align : float
            0: begins at the place; 0.5: is centred on it; 1: ends there.
        turned : bool
            Runs upwards.
        """
        back = align * text_width(text, size)
        place = f"0 1 -1 0 {x:.2f} {y - back:.2f}" if turned else f"1 0 0 1 {x - back:.2f} {y:.2f}"
        shown = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
        self._words.append(f"BT /F1 {size:.1f} Tf 0 0 0 rg {place} Tm ({shown}) Tj ET")

    @property
    def content(self) -> bytes:
        """The content stream, not compressed."""
        return "\n".join(self._words).encode("cp1252", errors="replace")


def _numbers(colour: Colour) -> str:
    return " ".join(f"{value:.3f}" for value in colour)


def pdf_bytes(pages: Sequence[PdfPage], title: str) -> bytes:
    """Return a file with these pages, at least one."""
    first = 5  # catalogue, tree of pages, font, title; then two objects for each page
    kids = " ".join(f"{first + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode("ascii"),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        b"<< /Title <" + (b"\xfe\xff" + title.encode("utf-16-be")).hex().encode("ascii") + b"> >>",
    ]
    for i, page in enumerate(pages):
        packed = zlib.compress(page.content)
        box, fonts = f"/MediaBox [0 0 {WIDTH:.0f} {HEIGHT:.0f}]", "/Resources << /Font << /F1 3 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R {box} {fonts} /Contents {first + 2 * i + 1} 0 R >>".encode("ascii"))
        objects.append(f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode("ascii") + packed + b"\nendstream")
    data, starts = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, body in enumerate(objects, 1):
        starts.append(len(data))
        data += f"{number} 0 obj\n".encode("ascii") + body + b"\nendobj\n"
    rows = "".join(f"{start:010d} 00000 n \n" for start in starts)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{rows}trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{len(data)}\n%%EOF\n"
    return data + end.encode("ascii")


def write_pdf(path: str | os.PathLike[str], pages: Sequence[PdfPage], title: str) -> None:
    """Write pages to a file, atomically.

    Raises
    ------
    UserError
        If it cannot be written.
    """
    atomic_write_bytes(path, pdf_bytes(pages, title))
