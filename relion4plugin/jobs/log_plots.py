"""logfile.pdf of jobs that treat many micrographs: each figure over the micrographs, and how often its values occur.

RELION declares this file as an output of motion correction, CTF estimation and picking, and draws the same figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.pdf import HEIGHT, WIDTH, Colour, PdfPage, write_pdf
from relion4plugin.files.star import read_star

LOG = "logfile.pdf"
MOTION = (
    ("rlnAccumMotionTotal", "Accumulated motion, total (px of the movie)"),
    ("rlnAccumMotionEarly", "Accumulated motion, early (px of the movie)"),
    ("rlnAccumMotionLate", "Accumulated motion, late (px of the movie)"),
)
CTF = (
    ("rlnDefocusU", "Defocus U (Å)"),
    ("rlnCtfAstigmatism", "Astigmatism (Å)"),
    ("rlnCtfMaxResolution", "Resolution limit of the fit (Å)"),
    ("rlnCtfFigureOfMerit", "Figure of merit"),
    ("rlnPhaseShift", "Phase shift (degrees)"),
    ("rlnCtfIceRingDensity", "Ice rings, power against that beside them"),
)
PICKS = (("rlnGroupNrParticles", "Picks"), ("rlnAutopickFigureOfMerit", "Mean figure of merit"))

_ROWS = 5  # figures of a page
_MARGIN, _GAP = 50.0, 44.0  # points
_BLUE: Colour = (0.27, 0.47, 0.67)
_GREY: Colour = (0.88, 0.9, 0.92)
_MOST_DOTS = 20000
_BINS, _TICKS = 40, 5


@dataclass(frozen=True)
class _Box:
    """Where a plot lies, in points, and what its edges stand for."""

    left: float
    bottom: float
    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
        """Return places on the page."""
        across = self.left + self.width * (x - self.x[0]) / (self.x[1] - self.x[0])
        up = self.bottom + self.height * (y - self.y[0]) / (self.y[1] - self.y[0])
        return list(zip(across.tolist(), up.tolist(), strict=True))


def write_plots(out_dir: Path, star: str, table: str, columns: Sequence[tuple[str, str]], what: str = "micrograph") -> None:
    """Draw columns of a job's STAR file into its logfile.pdf; nothing is written where it has none of them.

    Parameters
    ----------
    out_dir : Path
        Job directory.
    star, table : str
        Name of the file in it, and of its table.
    columns : sequence of (str, str)
        Labels, and their names in words.
    what : str
        What a row stands for.

    Raises
    ------
    UserError
        If the file cannot be read or written.
    """
    import pandas as pd

    if not (out_dir / star).is_file():
        return
    rows = read_star(out_dir / star).get(table)
    if not isinstance(rows, pd.DataFrame):
        raise UserError(f"{out_dir / star}: no table data_{table}; run the job again")
    known = [(name, pd.to_numeric(rows[label], errors="coerce").to_numpy(np.float64)) for label, name in columns if label in rows]
    known = [(name, values) for name, values in known if np.isfinite(values).any()]
    if known:
        write_pdf(out_dir / LOG, draw_pages(known, what, out_dir.as_posix()), f"{out_dir.as_posix()} {LOG}")


def draw_pages(figures: Sequence[tuple[str, np.ndarray]], what: str, heading: str) -> list[PdfPage]:
    """Draw figures, each over the rows and as a histogram, five to a page.

    Parameters
    ----------
    figures : sequence of (str, float (n,))
        Names and values; those that are not finite are left out.
    what : str
        What a value belongs to.
    heading : str
        Written above each page.

    Returns
    -------
    list of PdfPage
    """
    pages = []
    height = (HEIGHT - 2 * _MARGIN - 20) / _ROWS - _GAP
    width = (WIDTH - 2 * _MARGIN - _GAP) / 2
    for start in range(0, len(figures), _ROWS):
        page = PdfPage()
        page.text(_MARGIN, HEIGHT - _MARGIN, heading, 11)
        for row, (name, values) in enumerate(figures[start : start + _ROWS]):
            bottom = HEIGHT - _MARGIN - 20 - (row + 1) * (height + _GAP) + _GAP / 2
            _course(page, (_MARGIN, bottom, width, height), name, values, what)
            _histogram(page, (_MARGIN + width + _GAP, bottom, width, height), name, values, what)
        pages.append(page)
    return pages


def _course(page: PdfPage, place: tuple[float, float, float, float], name: str, values: np.ndarray, what: str) -> None:
    numbers = np.flatnonzero(np.isfinite(values))
    numbers = numbers[:: -(-len(numbers) // _MOST_DOTS)]
    box = _Box(*place, _range(np.array([0.0, len(values)])), _range(values[numbers]))
    _axes(page, box, what, name)
    page.dots(box.at(numbers + 1.0, values[numbers]), _BLUE, 2.4 if len(numbers) < 500 else 1.2)


def _histogram(page: PdfPage, place: tuple[float, float, float, float], name: str, values: np.ndarray, what: str) -> None:
    known = values[np.isfinite(values)]
    low, high = _range(known)
    counts, edges = np.histogram(known, _BINS, (low, high))
    box = _Box(*place, (low, high), (0.0, _range(np.array([0.0, counts.max()]))[1]))
    _axes(page, box, name, f"{what}s")
    corners, tops = box.at(edges[:-1], np.zeros(_BINS)), box.at(edges[1:], counts.astype(np.float64))
    for (x0, y0), (x1, y1) in zip(corners, tops, strict=True):
        if y1 > y0:
            page.rectangle(x0, y0, 0.9 * (x1 - x0), y1 - y0, _BLUE)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return round numbers below and above all values."""
    marks = _ticks(float(values.min()), float(values.max()))
    return float(marks[0]), float(marks[-1])


def _ticks(low: float, high: float) -> np.ndarray:
    """Return multiples of 1, 2 or 5 times a power of ten that cover a range; equal ends are widened."""
    if high <= low:
        low, high = low - max(abs(low) * 0.05, 0.5), high + max(abs(high) * 0.05, 0.5)
    rough = (high - low) / (_TICKS - 1)
    scale = 10.0 ** np.floor(np.log10(rough))
    step = float(next(s * scale for s in (1.0, 2.0, 5.0, 10.0) if s * scale >= 0.999 * rough))
    return step * np.arange(np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9) + 1)


def _within(ends: tuple[float, float]) -> np.ndarray:
    """Return the ticks between two ends."""
    marks, margin = _ticks(*ends), 1e-6 * (ends[1] - ends[0])
    return marks[(marks >= ends[0] - margin) & (marks <= ends[1] + margin)]


def _axes(page: PdfPage, box: _Box, x_name: str, y_name: str) -> None:
    for value in _within(box.y):
        (_, y), = box.at(np.array([box.x[0]]), np.array([value]))  # fmt: skip
        page.line([(box.left, y), (box.left + box.width, y)], _GREY)
        page.text(box.left - 4, y - 2.5, f"{value:.5g}", 7, align=1.0)
    for value in _within(box.x):
        (x, _), = box.at(np.array([value]), np.array([box.y[0]]))  # fmt: skip
        page.line([(x, box.bottom), (x, box.bottom - 3)])
        page.text(x, box.bottom - 11, f"{value:.5g}", 7, align=0.5)
    page.line([(box.left, box.bottom + box.height), (box.left, box.bottom), (box.left + box.width, box.bottom)])
    page.text(box.left + box.width / 2, box.bottom - 21, x_name, 7.5, align=0.5)
    page.text(box.left, box.bottom + box.height + 5, y_name, 7.5)
