"""Figures of a 2D classification run: gallery of classes and curves over the iterations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from relion4plugin.viewers.run_panels import changes, finish, occupancy, pair, resolution
from relion4plugin.web.class2d_run import Class2DRun
from relion4plugin.web.curves import per_particle
from relion4plugin.web.images import grey_levels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP = 0.04  # between tiles, as a part of a tile
CAPTION = 0.3  # height of the two caption lines, as a part of a tile


def gallery_columns(n_classes: int, width: float, height: float) -> int:
    """Columns which give the largest tiles in a window of this size, and of those the fewest empty places.

    >>> gallery_columns(25, 11, 7), gallery_columns(3, 11, 7)
    (7, 3)
    """

    def merit(columns: int) -> tuple[float, int]:
        rows = -(-n_classes // columns)
        return round(_tile(width, height, columns, rows), 6), -columns * rows

    return max(range(1, n_classes + 1), key=merit)


def caption(run: Class2DRun, k: int) -> str:
    """Two lines under the average of class `k` (0-based): number and share, then particles and resolution."""
    length = run.class_resolution[k]
    shown = f"{length:.1f} Å" if 0 < length < 900 else "– Å"
    share = f"{100 * run.distribution[k]:.1f} %"
    return f"{k + 1}: {share}\n" + (f"{run.counts[k]:,} · {shown}" if run.finished else shown)


def draw_gallery(figure: "Figure", run: Class2DRun, classes: Sequence[int] | None = None) -> None:
    """Draw class averages by falling occupancy, or the given classes (0-based) in that order."""
    figure.clear()
    shown = [k for k in run.order if classes is None or k in classes]
    width, height = figure.get_size_inches()
    columns = gallery_columns(len(shown), width, height)
    rows = -(-len(shown) // columns)
    axes = figure.add_axes((0.01, 0.01, 0.98, 0.93))
    axes.set_xlim(0, columns * (1 + GAP))
    axes.set_ylim(rows * (1 + CAPTION + GAP), 0)
    axes.set_aspect("equal")
    axes.axis("off")
    size = float(np.clip(72 * _tile(width, height, columns, rows) * CAPTION / 3.0, 3.0, 10.0))  # two lines of text and a gap
    for position, k in enumerate(shown):
        x, y = position % columns * (1 + GAP), position // columns * (1 + CAPTION + GAP)
        axes.imshow(
            grey_levels(run.images[k]), cmap="gray", vmin=0, vmax=255, extent=(x, x + 1, y + 1, y), interpolation="bilinear", zorder=1
        )
        dim = run.distribution[k] <= 0
        axes.text(x + 0.5, y + 1.02, caption(run, k), ha="center", va="top", fontsize=size, linespacing=1.1, color="0.6" if dim else "0.1")
    axes.set_xlim(0, columns * (1 + GAP))
    axes.set_ylim(rows * (1 + CAPTION + GAP), 0)
    figure.suptitle(title(run), fontsize=11)


def title(run: Class2DRun) -> str:
    """One line on the state of the run."""
    kind = "mini-batch" if run.algorithm == "VDAM" else "iteration"
    state = "" if run.finished else " (running)"
    return f"{run.n_classes} classes by falling occupancy, {run.algorithm} {kind} {run.iteration} of {run.n_iterations}{state}"


def draw_curves(figure: "Figure", run: Class2DRun) -> None:
    """Draw occupancy, resolution, sizes, schedules, likelihood and changes over the iterations."""
    figure.clear()
    grid: Any = figure.subplots(2, 3)
    x = np.asarray(run.iterations)
    occupancy(grid[0, 0], run)
    resolution(grid[0, 1], run, x)
    pair(grid[0, 2], x, ("Image size (px)", run.values("current_size")), ("Particles used", run.values("subset_size")), zero=True)
    pair(grid[1, 0], x, ("Step size", run.values("stepsize")), ("T", run.values("tau2_fudge")), zero=True)
    pair(grid[1, 1], x, ("Log-likelihood per particle", per_particle(run)), ("Pmax", run.values("ave_pmax")))
    changes(grid[1, 2], run, x)
    finish(grid, "mini-batch" if run.algorithm == "VDAM" else "iteration")
    figure.suptitle(f"{run.algorithm} run at {run.iteration} of {run.n_iterations}", fontsize=11)
    figure.tight_layout()


def _tile(width: float, height: float, columns: int, rows: int) -> float:
    """Edge of a tile in the units of the window."""
    return min(0.98 * width / (columns * (1 + GAP)), 0.93 * height / (rows * (1 + CAPTION + GAP)))
