"""Figures of a 2D classification run: gallery of classes and curves over the iterations."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from relion4plugin.web.class2d_run import Class2DRun
from relion4plugin.web.images import grey_levels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Values = list[float | None]
GAP = 0.04  # between tiles, as a part of a tile
CAPTION = 0.3  # height of the two caption lines, as a part of a tile
LEADERS = 10  # classes drawn with a colour of their own


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
    resolution = run.class_resolution[k]
    shown = f"{resolution:.1f} Å" if 0 < resolution < 900 else "– Å"
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
    _occupancy(grid[0, 0], run)
    _resolution(grid[0, 1], run, x)
    _pair(grid[0, 2], x, ("Image size (px)", run.values("current_size")), ("Particles used", run.values("subset_size")), zero=True)
    _pair(grid[1, 0], x, ("Step size", run.values("stepsize")), ("T", run.values("tau2_fudge")), zero=True)
    _pair(grid[1, 1], x, ("Log-likelihood per particle", _per_particle(run)), ("Pmax", run.values("ave_pmax")))
    _changes(grid[1, 2], run, x)
    for axes in grid.flat:
        axes.set_xlabel("mini-batch" if run.algorithm == "VDAM" else "iteration", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)
    figure.suptitle(f"{run.algorithm} run at {run.iteration} of {run.n_iterations}", fontsize=11)
    figure.tight_layout()


def _tile(width: float, height: float, columns: int, rows: int) -> float:
    """Edge of a tile in the units of the window."""
    return min(0.98 * width / (columns * (1 + GAP)), 0.93 * height / (rows * (1 + CAPTION + GAP)))


def _occupancy(axes: Any, run: Class2DRun) -> None:
    axes.set_title("Class occupancy (%)", fontsize=9)
    known = [r for r in run.records if isinstance(r.get("class_distribution"), list) and len(r["class_distribution"]) == run.n_classes]
    if not known:
        return
    shares = 100 * np.asarray([r["class_distribution"] for r in known], dtype=np.float64).T
    leaders = run.order[:LEADERS]
    rest = shares.sum(axis=0) - shares[leaders].sum(axis=0)
    colours = [f"C{i}" for i in range(len(leaders))] + ["0.85"]
    axes.stackplot([r["iteration"] for r in known], [*shares[leaders], rest], colors=colours, linewidth=0)
    axes.set_ylim(0, 100)


def _resolution(axes: Any, run: Class2DRun, x: np.ndarray) -> None:
    axes.set_title("Resolution (Å)", fontsize=9)
    axes.plot(x, _floats(run.values("resolution")), color="C0", lw=1.6, label="best class")
    known = [r for r in run.records if isinstance(r.get("class_resolution"), list) and len(r["class_resolution"]) == run.n_classes]
    if known:
        largest = np.asarray([r["class_resolution"] for r in known], dtype=np.float64)[:, run.order[:LEADERS]]
        largest[largest > 900] = np.nan
        has_any = np.isfinite(largest).any(axis=1)
        median = np.full(len(known), np.nan)
        median[has_any] = np.nanmedian(largest[has_any], axis=1)
        axes.plot([r["iteration"] for r in known], median, color="C1", lw=1.2, label=f"median of {largest.shape[1]} largest")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, loc="upper right")


def _changes(axes: Any, run: Class2DRun, x: np.ndarray) -> None:
    axes.set_title("Changes since the last visit", fontsize=9)
    axes.plot(x, _floats(run.values("changed_orientations")), color="C0", lw=1.2, label="angle (°)")
    axes.plot(x, _floats(run.values("changed_offsets")), color="C1", lw=1.2, label="offset (Å)")
    axes.set_ylim(bottom=0)
    other = axes.twinx()
    other.plot(x, _floats(run.values("changed_classes")), color="C2", lw=1.2, label="class (share)")
    other.set_ylim(0, 1)
    other.tick_params(labelsize=7, colors="C2")
    handles = axes.get_lines() + other.get_lines()
    axes.legend(handles, [line.get_label() for line in handles], fontsize=7, loc="upper right")


def _per_particle(run: Class2DRun) -> Values:
    pairs = zip(run.values("log_likelihood"), run.values("subset_size"), strict=True)
    return [total / n if total is not None and n else None for total, n in pairs]


def _pair(axes: Any, x: np.ndarray, left: tuple[str, Values], right: tuple[str, Values], zero: bool = False) -> None:
    axes.plot(x, _floats(left[1]), color="C0", lw=1.4)
    axes.set_title(left[0], fontsize=9, loc="left", color="C0")
    other = axes.twinx()
    other.plot(x, _floats(right[1]), color="C1", lw=1.2)
    other.set_title(right[0], fontsize=9, loc="right", color="C1")
    other.tick_params(labelsize=7)
    if zero:
        axes.set_ylim(bottom=0)
        other.set_ylim(bottom=0)


def _floats(values: Values) -> np.ndarray:
    return np.asarray([np.nan if v is None else v for v in values], dtype=np.float64)
