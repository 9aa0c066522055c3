"""Small SVG charts for the report: line chart and stacked areas, without a plotting library.

Colours are CSS classes (``s0`` to ``s11``, ``rest``) so that the page decides them for light and dark; no script, no inline style.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from relion4plugin.web.axes import finite_range, number_text, ticks
from relion4plugin.web.chart_frame import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    WIDE,
    Frame,
    Mark,
    draw_axes,
    draw_legend,
    draw_levels,
    draw_marks,
    draw_svg,
)

N_COLOURS = 12  # series classes defined in the page's style sheet
MAX_HOVER_STRIPS = 100


@dataclass(frozen=True)
class Series:
    """One named curve; ``values[i]`` belongs to ``x[i]`` of the chart, None leaves a gap."""

    name: str
    values: Sequence[float | None]
    colour: str = "s0"


def line_chart(
    title: str,
    x: Sequence[float],
    series: Sequence[Series],
    *,
    x_label: str = "iteration",
    y_label: str = "",
    size: tuple[int, int] = (400, 230),
    from_zero: bool = False,
    integers: bool = False,
    marks: Sequence[Mark] = (),
    reciprocal: bool = False,
    levels: Sequence[float] = (),
) -> str:
    """Draw curves over a common abscissa.

    Parameters
    ----------
    title : str
        Accessible title of the drawing.
    x : sequence of float
        Abscissa, ascending.
    series : sequence of Series
        Curves; a legend is drawn for more than one.
    x_label, y_label : str
        Axis labels with units.
    size : tuple of int
        Width and height in SVG units; the page scales the drawing.
    from_zero : bool
        The ordinate starts at zero.
    integers : bool
        Ordinate ticks are whole numbers.
    marks : sequence of Mark
        Vertical lines.
    reciprocal : bool
        The abscissa is a spatial frequency (1/A), labelled with the lengths in A.
    levels : sequence of float
        Ordinates of dashed horizontal lines, such as 0.143.

    Returns
    -------
    str
        An ``<svg>`` element; "" when no series has a finite value.
    """
    span = finite_range(v for s in series for v in s.values)
    if span is None or not x:
        return ""
    low = min(0.0, span[0]) if from_zero else span[0]
    frame = Frame(*size, float(x[0]), float(x[-1]), tuple(ticks(low, span[1], integers=integers)))
    parts = [*draw_axes(frame, x_label, y_label, reciprocal), *draw_marks(frame, marks), *draw_levels(frame, levels)]
    for one in series:
        parts.append(f'<path class="line {one.colour}" d="{_polyline(frame, x, one.values)}"/>')
    parts += _hover_strips(frame, x, series, x_label, reciprocal)
    legend = draw_legend([(s.name, s.colour) for s in series]) if len(series) > 1 else ""
    return draw_svg(title, frame, parts, "wide" if frame.width > WIDE else "") + legend


def stacked_areas(
    title: str,
    x: Sequence[float],
    layers: Sequence[Series],
    *,
    x_label: str = "iteration",
    y_label: str = "",
    size: tuple[int, int] = (820, 250),
    marks: Sequence[Mark] = (),
) -> str:
    """Draw layers on top of each other, the first at the bottom.

    Parameters are those of `line_chart`; every value must be finite and non-negative. Each layer tells its name and last
    value when hovered.

    Returns
    -------
    str
        An ``<svg>`` element and its legend; "" without layers or abscissa.

    Raises
    ------
    ValueError
        If a layer has a gap or a negative value: a sum over it would mislead.
    """
    if not layers or not x:
        return ""
    base = [0.0] * len(x)
    bands: list[tuple[Series, list[float], list[float]]] = []
    for layer in layers:
        heights = [-1.0 if v is None or not math.isfinite(v) else float(v) for v in layer.values]
        if len(heights) != len(x) or min(heights) < 0:
            raise ValueError(f"layer {layer.name!r} must have one non-negative value per abscissa")
        top = [b + h for b, h in zip(base, heights, strict=True)]
        bands.append((layer, base, top))
        base = top
    frame = Frame(*size, float(x[0]), float(x[-1]), tuple(ticks(0.0, max(base) * 0.9999)))
    parts: list[str] = []
    for layer, bottom, top in bands:
        path = _polyline(frame, x, top) + _polyline(frame, list(reversed(x)), list(reversed(bottom))).replace("M", "L", 1) + "Z"
        hint = escape(f"{layer.name}: {number_text(float(layer.values[-1] or 0.0))} {y_label}")
        parts.append(f'<path class="area {layer.colour}" d="{path}"><title>{hint}</title></path>')
    parts = [*parts, *draw_axes(frame, x_label, y_label), *draw_marks(frame, marks)]
    return draw_svg(title, frame, parts, "wide") + draw_legend([(s.name, s.colour) for s in layers])


def _polyline(frame: Frame, x: Sequence[float], values: Sequence[float | None]) -> str:
    commands: list[str] = []
    pen_down = False
    for one_x, y in zip(x, values, strict=True):
        if y is None or not math.isfinite(y):
            pen_down = False
            continue
        commands.append(f"{'L' if pen_down else 'M'}{frame.sx(one_x):.1f} {frame.sy(y):.1f}")
        pen_down = True
    if len(commands) == 1:  # a single point would be invisible
        commands.append("h0.1")
    return "".join(commands)


def _hover_strips(frame: Frame, x: Sequence[float], series: Sequence[Series], x_label: str, reciprocal: bool) -> list[str]:
    """Invisible columns that show the values below the pointer."""
    step = max(1, math.ceil(len(x) / MAX_HOVER_STRIPS))
    width = (frame.width - LEFT - RIGHT) / max(len(x) / step, 1)
    parts = []
    for i in range(0, len(x), step):
        found = [(s.name, s.values[i]) for s in series]
        texts = [f"{name} {number_text(v)}" for name, v in found if v is not None and math.isfinite(v)]
        where = f"{x_label} {number_text(x[i])}" if not reciprocal else f"{number_text(1 / x[i])} Å" if x[i] > 0 else "origin"
        hint = escape(f"{where}: {', '.join(texts) or 'no value'}")
        parts.append(
            f'<rect class="hover" x="{frame.sx(x[i]) - width / 2:.1f}" y="{TOP}" width="{width:.1f}" '
            f'height="{frame.height - TOP - BOTTOM}"><title>{hint}</title></rect>'
        )
    return parts
