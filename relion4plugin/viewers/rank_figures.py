"""Figures of a class selection: the classes by falling score, and the histogram of scores with the cut."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from relion4plugin.scipion.rank_files import RankedFiles
from relion4plugin.viewers.class2d_figures import CAPTION, GAP, gallery_columns
from relion4plugin.web.images import grey_levels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHOSEN, LEFT = "#228833", "0.7"  # colours of selected and other classes
BIN = 0.05
AREA = (0.01, 0.07, 0.98, 0.86)  # of the gallery in the figure: left, bottom, width, height


@dataclass(frozen=True)
class Tile:
    """One class in the gallery.

    Attributes
    ----------
    number : int
        0-based class.
    picture, frame : artists
        What tells whether it is selected.
    x, y : float
        Left and upper edge in the units of the axes; the tile is 1 wide and high.
    """

    number: int
    picture: Any
    frame: Any
    x: float
    y: float

    def show(self, chosen: bool) -> None:
        """Draw it as selected or left out."""
        self.picture.set_alpha(1.0 if chosen else 0.6)
        self.frame.set_edgecolor(CHOSEN if chosen else LEFT)
        self.frame.set_linewidth(2.5 if chosen else 0.8)

    def holds(self, x: float, y: float) -> bool:
        """Whether a point of the axes lies on the tile or its caption."""
        return self.x <= x <= self.x + 1 and self.y <= y <= self.y + 1 + CAPTION


def draw_gallery(figure: "Figure", ranked: RankedFiles, labels: np.ndarray, order: np.ndarray) -> list[Tile]:
    """Draw all classes in the `order` (K,); `labels` (K,) are 0 for those left out."""
    figure.clear()
    width, height = figure.get_size_inches()
    columns = gallery_columns(len(labels), width, height)
    rows = -(-len(labels) // columns)
    extent = (columns * (1 + GAP), rows * (1 + CAPTION + GAP))
    axes = figure.add_axes(AREA)
    axes.axis("off")
    edge = min(AREA[2] * width / extent[0], AREA[3] * height / extent[1])
    size = float(np.clip(72 * edge * CAPTION / 3.0, 3.0, 10.0))  # two lines of text and a gap
    tiles = []
    for position, k in enumerate(order.tolist()):
        x, y = position % columns * (1 + GAP), position // columns * (1 + CAPTION + GAP)
        tiles.append(_tile(axes, ranked, k, x, y))
        tiles[-1].show(bool(labels[k] > 0))
        axes.text(x + 0.5, y + 1.03, caption(ranked, k), ha="center", va="top", fontsize=size, linespacing=1.1, color="0.1")
    axes.set_xlim(-GAP / 2, extent[0])
    axes.set_ylim(extent[1], -GAP / 2)
    axes.set_aspect("equal")
    return tiles


def caption(ranked: RankedFiles, k: int) -> str:
    """Two lines: class number, score and score in this job, then particles and resolution."""
    score = f"{ranked.scores[k]:.2f}" if ranked.scored[k] else "–"
    if ranked.scored[k] and ranked.job_scores is not None:
        score = f"{score} / {ranked.job_scores[k]:.2f}"
    length = ranked.resolution[k]
    return f"{k + 1}: {score}\n{ranked.sizes[k]:,} · {f'{length:.1f} Å' if 0 < length < 900 else '– Å'}"


def told(ranked: RankedFiles, labels: np.ndarray) -> str:
    """One line on a selection and how it differs from that of the run."""
    chosen = labels > 0
    particles, total = int(ranked.sizes[chosen].sum()), max(int(ranked.sizes.sum()), 1)
    changed = int(np.count_nonzero(chosen != (ranked.labels > 0)))
    line = f"{int(chosen.sum())} of {len(labels)} classes, {particles:,} of {total:,} particles ({100 * particles / total:.1f} %)"
    return f"{line}; {changed} changed" if changed else line


def draw_histogram(figure: "Figure", ranked: RankedFiles) -> None:
    """Draw the particles per interval of score, selected classes apart, with the threshold."""
    figure.clear()
    axes = figure.add_subplot()
    scored = ranked.scored
    scores, sizes, chosen = ranked.deciding[scored], ranked.sizes[scored], ranked.labels[scored] > 0
    first, last = np.floor(min(scores.min(), 0.0) / BIN), np.floor(max(scores.max(), 0.999) / BIN) + 1
    axes.hist(
        [scores[chosen], scores[~chosen]],
        bins=(np.arange(first, last + 1) * BIN).tolist(),
        weights=[sizes[chosen], sizes[~chosen]],
        stacked=True,
        color=[CHOSEN, LEFT],
        label=["selected", "left out"],
    )
    if ranked.threshold is not None:
        axes.axvline(ranked.threshold, color="C1", linestyle="--", label=f"cut at {ranked.threshold:.3f}")
    axes.set_xlabel("score" if ranked.deciding is ranked.scores else "score in this job")
    axes.set_ylabel("particles")
    axes.set_title(f"{len(ranked.scores)} classes, selected by {ranked.rule}", fontsize=10)
    axes.legend(fontsize=9)
    figure.tight_layout()


def _tile(axes: Any, ranked: RankedFiles, k: int, x: float, y: float) -> Tile:
    from matplotlib.patches import Rectangle

    place = (x, x + 1, y + 1, y)
    picture = axes.imshow(grey_levels(ranked.images[k]), cmap="gray", vmin=0, vmax=255, extent=place, interpolation="bilinear", zorder=1)
    frame = axes.add_patch(Rectangle((x, y), 1, 1, fill=False, zorder=2))
    return Tile(k, picture, frame, x, y)
