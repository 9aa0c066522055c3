"""Panels that the figures of several kinds of run share."""

from typing import Any

import numpy as np

from relion4plugin.web.run_details import RecordedRun

Values = list[float | None]
LEADERS = 10  # classes drawn with a colour of their own


def finish(grid: Any, x_label: str) -> None:
    """Label the abscissae and give all panels the same look."""
    for axes in grid.flat:
        axes.set_xlabel(x_label, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.25)


def occupancy(axes: Any, run: RecordedRun) -> None:
    """Stacked shares of the classes over the iterations; the smaller classes together in grey."""
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


def resolution(axes: Any, run: RecordedRun, x: np.ndarray) -> None:
    """Resolution of the best class, and the median of the largest classes."""
    axes.set_title("Resolution (Å)", fontsize=9)
    axes.plot(x, floats(run.values("resolution")), color="C0", lw=1.6, label="best class")
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


def changes(axes: Any, run: RecordedRun, x: np.ndarray) -> None:
    """Changes of angle, offset and class since the last visit."""
    axes.set_title("Changes since the last visit", fontsize=9)
    axes.plot(x, floats(run.values("changed_orientations")), color="C0", lw=1.2, label="angle (°)")
    axes.plot(x, floats(run.values("changed_offsets")), color="C1", lw=1.2, label="offset (Å)")
    axes.set_ylim(bottom=0)
    other = axes.twinx()
    other.plot(x, floats(run.values("changed_classes")), color="C2", lw=1.2, label="class (share)")
    other.set_ylim(0, 1)
    other.tick_params(labelsize=7, colors="C2")
    handles = axes.get_lines() + other.get_lines()
    axes.legend(handles, [line.get_label() for line in handles], fontsize=7, loc="upper right")


def pair(axes: Any, x: np.ndarray, left: tuple[str, Values], right: tuple[str, Values], zero: bool = False) -> None:
    """Two curves with an ordinate each: (title, values) at the left and at the right; `zero` starts both at 0."""
    axes.plot(x, floats(left[1]), color="C0", lw=1.4)
    axes.set_title(left[0], fontsize=9, loc="left", color="C0")
    other = axes.twinx()
    other.plot(x, floats(right[1]), color="C1", lw=1.2)
    other.set_title(right[0], fontsize=9, loc="right", color="C1")
    other.tick_params(labelsize=7)
    if zero:
        axes.set_ylim(bottom=0)
        other.set_ylim(bottom=0)


def floats(values: Values) -> np.ndarray:
    """Values as float64, NaN for None."""
    return np.asarray([np.nan if v is None else v for v in values], dtype=np.float64)
