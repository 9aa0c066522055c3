"""Figures of a 3D run: slices and projections of its maps, FSC, directions of view, classes and the course of the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relion4plugin.files.mrc import read_mrc
from relion4plugin.imaging.filters import resolution_at
from relion4plugin.viewers.run_panels import changes, finish, floats, occupancy, pair, resolution
from relion4plugin.web.axes import reciprocal_ticks
from relion4plugin.web.curves import per_particle
from relion4plugin.web.report3d_run import Kind, Run3D
from relion4plugin.web.sphere import sphere_picture
from relion4plugin.web.volume_views import AXES, common_levels, volume_views
from relion4plugin.web.wording import angstrom

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 6  # maps in one window
FSC_LEVELS = (0.143, 0.5)


def run_maps(run: Run3D, classes: Sequence[int] | None = None) -> dict[str, Path]:
    """Names and files of the maps of a run: its classes by falling occupancy, or final map and halves.

    Parameters
    ----------
    run : Run3D
    classes : sequence of int, optional
        Only these classes (0-based).
    """
    refinement = run.refinement
    if refinement is not None:
        halves = {f"half {half}": path for half, path in enumerate(refinement.half_maps, start=1)}
        return {"final map": refinement.maps[0], **halves} if refinement.converged else halves
    initial = {"initial model": run.initial_map} if run.initial_map is not None and classes is None else {}
    shown = [k for k in run.order if classes is None or k in classes]
    return initial | {f"class {k + 1}\n{100 * run.distribution[k]:.1f} %": run.results.maps[k] for k in shown}


def draw_volumes(figure: "Figure", maps: Mapping[str, Path]) -> None:
    """Draw three central slices and three projections of each map, one map per row; of more than six the first six.

    Raises
    ------
    UserError
        If a map cannot be read.
    """
    figure.clear()
    shown = list(maps.items())[:MOST_ROWS]
    grid: Any = figure.subplots(len(shown), 6, squeeze=False)
    for row, (name, path) in zip(grid, shown, strict=True):
        views = volume_views(read_mrc(path)[0])
        pictures = (*common_levels(views.slices), *common_levels(views.projections))
        for axes, picture in zip(row, pictures, strict=True):
            axes.imshow(picture, cmap="gray", vmin=0, vmax=255, interpolation="bilinear")
            axes.set_xticks([])
            axes.set_yticks([])
        row[0].set_ylabel(name, fontsize=9)
    for column, axes in enumerate(grid[0]):
        axes.set_title(f"{'slice across' if column < 3 else 'projection along'} {AXES[column % 3]}", fontsize=9)
    figure.tight_layout()


def draw_fsc(figure: "Figure", frequencies: np.ndarray, curves: Mapping[str, np.ndarray], title: str = "FSC") -> None:
    """Draw FSC curves; the last one is drawn thick, and its resolution at 0.143 is named.

    Parameters
    ----------
    figure : Figure
    frequencies : float (S,)
        1/A, evenly spaced from 0.
    curves : mapping
        Name to float (S,).
    title : str
        Of the figure.
    """
    figure.clear()
    axes = figure.subplots()
    for number, (name, curve) in enumerate(curves.items()):
        last = number == len(curves) - 1
        colour = "C3" if last else str(0.8 - 0.5 * number / len(curves))
        axes.plot(frequencies[: len(curve)], curve, color=colour, lw=2 if last else 1, label=name)
    for level in FSC_LEVELS:
        axes.axhline(level, color="0.5", lw=0.8, ls="--")
    ticks = reciprocal_ticks(0.0, float(frequencies[-1]))
    axes.set_xticks(ticks, [f"{1 / f:.3g}" for f in ticks])
    axes.set_xlim(0, frequencies[-1])
    axes.set_ylim(-0.05, 1.03)
    axes.set_xlabel("resolution (Å)")
    axes.set_ylabel("FSC")
    axes.grid(alpha=0.25)
    if len(curves) > 1:
        axes.legend(fontsize=8)
    final = next(reversed(curves.values()))
    length = resolution_at(final, 0.143, pixel_size=1.0 / float(frequencies[1]), box=1)  # only the width of the box enters
    axes.set_title(f"{title}: 0.143 at {angstrom(length)}")


def fsc_curves(run: Run3D) -> dict[str, np.ndarray]:
    """FSC curves of a run between its halves, by iteration and at last the final one; of an initial model between restarts."""
    refinement = run.refinement
    if refinement is None:
        return {"between restarts": np.asarray(run.verdict.agreement_fsc)} if run.verdict and run.verdict.agreement_fsc else {}
    known = {f"iteration {number}": curve for number, curve in run.fsc_by_iteration.items() if np.isfinite(curve).any()}
    return known | ({"final": refinement.fsc} if refinement.converged else {})


def draw_directions(figure: "Figure", run: Run3D, classes: Sequence[int] | None = None) -> None:
    """Draw the directions of view of each class on the sphere (Mollweide), equivalent ones included."""
    figure.clear()
    shown = [k for k in run.order if run.directions[k] is not None and (classes is None or k in classes)][:MOST_ROWS]
    if not shown:
        figure.text(0.5, 0.5, "No particle has a pose yet.", ha="center")
        return
    columns = 1 if len(shown) == 1 else 2
    grid: Any = figure.subplots(-(-len(shown) // columns), columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, k in zip(grid.flat, shown, strict=False):
        values = np.asarray(run.directions[k])
        axes.imshow(sphere_picture(values, 300), interpolation="bilinear")
        name = "all particles" if run.n_classes == 1 else f"class {k + 1}"
        axes.set_title(f"{name}: 0 to {values.max() / values.mean():.1f} times the mean", fontsize=9)
    figure.suptitle("Directions of view: rot −180° to 180° from left to right, tilt 0° at the top", fontsize=10)


def draw_classes(figure: "Figure", run: Run3D) -> None:
    """Draw particles and estimated resolution of each class."""
    figure.clear()
    left, right = figure.subplots(1, 2)
    numbers = np.arange(1, run.n_classes + 1)
    bars = left.bar(numbers, 100 * run.distribution, color="C0")
    left.bar_label(bars, [f"{count:,}" for count in run.counts], fontsize=8)
    left.set_title("Share of the posterior weight (%), particles", fontsize=10)
    lengths = np.where(run.class_resolution < 900, run.class_resolution, np.nan)
    right.bar(numbers, lengths, color="C1")
    right.set_title("Estimated resolution (Å)", fontsize=10)
    for axes in (left, right):
        axes.set_xlabel("class")
        axes.set_xticks(numbers)
        axes.grid(axis="y", alpha=0.25)
    figure.tight_layout()


def draw_progress(figure: "Figure", run: Run3D) -> None:
    """Draw resolution, sizes, sampling and accuracy, likelihood and changes over the iterations."""
    figure.clear()
    grid: Any = figure.subplots(2, 3)
    x = np.asarray(run.iterations)
    resolution(grid[0, 0], run, x)
    pair(grid[0, 1], x, ("Image size (px)", run.values("current_size")), ("Particles used", run.values("subset_size")), zero=True)
    if run.n_classes > 1:
        occupancy(grid[0, 2], run)
    else:
        pair(grid[0, 2], x, ("Log-likelihood per particle", per_particle(run)), ("Pmax", run.values("ave_pmax")))
    _sampling(grid[1, 0], run, x, "Angles (°)", (("angular_step", "step"), ("accuracy_rotation", "accuracy")))
    _sampling(grid[1, 1], run, x, "Offsets (Å)", (("offset_step", "step"), ("accuracy_translation", "accuracy"), ("offset_range", "range")))
    changes(grid[1, 2], run, x)
    finish(grid, "mini-batch" if run.algorithm == "VDAM" else "iteration")
    figure.suptitle(title(run), fontsize=11)
    figure.tight_layout()


def title(run: Run3D) -> str:
    """One line on the state of the run."""
    of = "" if run.kind is Kind.REFINEMENT else f" of {run.n_iterations}"
    state = "" if run.finished else " (running)"
    return f"{run.kind.value}, {run.algorithm} iteration {run.iteration}{of}{state}"


def _sampling(axes: Any, run: Run3D, x: np.ndarray, name: str, keys: Sequence[tuple[str, str]]) -> None:
    axes.set_title(name, fontsize=9)
    for number, (key, label) in enumerate(keys):
        axes.plot(x, floats(run.values(key)), color=f"C{number}", lw=1.2, label=label)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, loc="upper right")
