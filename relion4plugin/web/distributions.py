"""SVG charts of many single values: histograms of one or more groups, and points."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from relion4plugin.web.axes import number_text, ticks
from relion4plugin.web.chart_frame import Frame, Mark, draw_axes, draw_legend, draw_levels, draw_marks, draw_svg

SIZE = (400, 230)  # SVG units
MOST_POINTS = 4000
_FEW = 300  # so many dots are drawn larger
_BINS = 24  # about so many intervals
_TAIL = 2.0  # values further beyond the 99th percentile than so many of the spreads up to it join the last interval

STYLE = ".dots{fill:none;stroke-linecap:round;stroke-width:3.2;stroke-opacity:.75}.dots.few{stroke-width:6;stroke-opacity:.9}" + "".join(
    f".dots.s{i}{{stroke:var(--s{i})}}" for i in range(12)
)


@dataclass(frozen=True)
class Group:
    """Named values; those that are not finite are left out."""

    name: str
    values: np.ndarray
    colour: str = "s0"


def histogram(
    title: str, groups: Sequence[Group], *, x_label: str, y_label: str = "micrographs", marks: Sequence[Mark] = (), integers: bool = False
) -> str:
    """Draw how often values occur; groups stand on top of each other.

    Parameters
    ----------
    title : str
        Accessible title of the drawing.
    groups : sequence of Group
        A legend is drawn for more than one.
    x_label, y_label : str
        Axis labels with units.
    marks : sequence of Mark
        Vertical lines.
    integers : bool
        The values are counts: intervals have whole widths.

    Returns
    -------
    str
        An ``<svg>`` element; "" without finite values.
    """
    known = [np.asarray(g.values, dtype=np.float64) for g in groups]
    known = [values[np.isfinite(values)] for values in known]
    every = np.concatenate(known) if known else np.zeros(0)
    if not len(every):
        return ""
    edges = _edges(every, integers)
    # the last interval has no upper end
    counts = [np.bincount(np.clip(np.searchsorted(edges, v, "right") - 1, 0, len(edges) - 2), minlength=len(edges) - 1) for v in known]
    top = float(np.sum(counts, axis=0).max())
    frame = Frame(*SIZE, float(edges[0]), float(edges[-1]), tuple(ticks(0.0, top, integers=True)), whole_x=integers)
    parts = draw_axes(frame, x_label, y_label)
    base = np.zeros(len(edges) - 1)
    for group, heights in zip(groups, counts, strict=True):
        parts += _bars(frame, edges, base, heights, group, bool(every.max() > edges[-1]))
        base = base + heights
    parts += draw_marks(frame, [mark for mark in marks if edges[0] <= mark.x <= edges[-1]])
    return draw_svg(title, frame, parts) + (draw_legend([(g.name, g.colour) for g in groups]) if len(groups) > 1 else "")


def _edges(values: np.ndarray, integers: bool) -> np.ndarray:
    """Return round ends of the intervals; few large values do not widen them."""
    low, first, last = (float(v) for v in (values.min(), *np.percentile(values, (1, 99))))
    high = min(float(values.max()), last + _TAIL * (last - first)) if last > first else float(values.max())
    return np.array(ticks(low, high if high > low else low + (1.0 if integers else 0.0), _BINS, integers))


def _bars(frame: Frame, edges: np.ndarray, base: np.ndarray, heights: np.ndarray, group: Group, is_open: bool) -> list[str]:
    parts = []
    for i in np.flatnonzero(heights):
        left, right = frame.sx(edges[i]), frame.sx(edges[i + 1])
        bottom, top = frame.sy(base[i]), frame.sy(base[i] + heights[i])
        span = f"{number_text(edges[i])} to {number_text(edges[i + 1])}"
        if is_open and i == len(edges) - 2:
            span = f"{number_text(edges[i])} and above"
        hint = escape(f"{group.name + ', ' if group.name else ''}{span}: {heights[i]}")
        parts.append(
            f'<rect class="area {group.colour}" x="{left + 0.5:.1f}" y="{top:.1f}" width="{max(right - left - 1, 0.5):.1f}" '
            f'height="{bottom - top:.1f}"><title>{hint}</title></rect>'
        )
    return parts


def points(
    title: str,
    x: np.ndarray,
    groups: Sequence[Group],
    *,
    x_label: str,
    y_label: str,
    levels: Sequence[float] = (),
    from_zero: bool = True,
    whole_x: bool = True,
    size: tuple[int, int] = SIZE,
) -> str:
    """Draw a dot for each value over a common abscissa; of very many values every n-th.

    Parameters
    ----------
    title : str
        Accessible title of the drawing.
    x : float (n,)
        Abscissa.
    groups : sequence of Group
        n values each.
    x_label, y_label : str
        Axis labels with units.
    levels : sequence of float
        Ordinates of dashed horizontal lines.
    from_zero, whole_x : bool
        The ordinate starts at zero; ticks of the abscissa are whole numbers.
    size : tuple of int
        Width and height in SVG units.

    Returns
    -------
    str
        An ``<svg>`` element; "" without finite values.
    """
    every = np.concatenate([np.asarray(g.values, dtype=np.float64) for g in groups]) if groups else np.zeros(0)
    every = every[np.isfinite(every)]
    if not len(every):
        return ""
    low = min(0.0, float(every.min())) if from_zero else float(every.min())
    edges = ticks(float(np.min(x)), float(np.max(x)), 6, whole_x)
    frame = Frame(*size, edges[0], edges[-1], tuple(ticks(low, float(every.max()))), whole_x)
    parts = [*draw_axes(frame, x_label, y_label), *draw_levels(frame, levels)]
    step, kind = -(-len(x) // MOST_POINTS), "few " if len(x) <= _FEW else ""
    for group in groups:
        pairs = zip(np.asarray(x, dtype=np.float64)[::step], np.asarray(group.values, dtype=np.float64)[::step], strict=True)
        dots = "".join(f"M{frame.sx(a):.1f} {frame.sy(b):.1f}h0" for a, b in pairs if np.isfinite(b))
        parts.append(f'<path class="dots {kind}{group.colour}" d="{dots}"/>')
    legend = draw_legend([(g.name, g.colour) for g in groups]) if len(groups) > 1 else ""
    return draw_svg(title, frame, parts, "wide" if size[0] > SIZE[0] else "") + legend
