"""Small SVG charts for the report: line chart and stacked areas, without a plotting library.

Colours are CSS classes (``s0`` to ``s11``, ``rest``) so that the page decides them for light and dark; no script, no inline style.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from relion4plugin.web.axes import finite_range, number_text, reciprocal_ticks, ticks

N_COLOURS = 12  # series classes defined in the page's style sheet
TOP, RIGHT, BOTTOM, LEFT = 14, 14, 40, 52  # plot margins, SVG units
MAX_HOVER_STRIPS = 100
WIDE = 600  # SVG units; wider drawings are scaled up less, so their letters are smaller


@dataclass(frozen=True)
class Series:
    """One named curve; ``values[i]`` belongs to ``x[i]`` of the chart, None leaves a gap."""

    name: str
    values: Sequence[float | None]
    colour: str = "s0"


@dataclass(frozen=True)
class Mark:
    """A vertical line at `x` with an explanation shown on hovering."""

    x: float
    text: str


@dataclass(frozen=True)
class _Frame:
    """Mapping of data to SVG units."""

    width: int
    height: int
    x_low: float
    x_high: float
    y_ticks: tuple[float, ...]

    def sx(self, x: float) -> float:
        span = (self.x_high - self.x_low) or 1.0
        return LEFT + (x - self.x_low) / span * (self.width - LEFT - RIGHT)

    def sy(self, y: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.height - BOTTOM - (y - low) / (high - low) * (self.height - TOP - BOTTOM)


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
    frame = _Frame(*size, float(x[0]), float(x[-1]), tuple(ticks(low, span[1], integers=integers)))
    parts = [*_axes(frame, x_label, y_label, reciprocal), *_marks(frame, marks), *_levels(frame, levels)]
    for one in series:
        parts.append(f'<path class="line {one.colour}" d="{_polyline(frame, x, one.values)}"/>')
    parts += _hover_strips(frame, x, series, x_label, reciprocal)
    legend = _legend([(s.name, s.colour) for s in series]) if len(series) > 1 else ""
    return _svg(title, frame, parts, "wide" if frame.width > WIDE else "") + legend


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
    frame = _Frame(*size, float(x[0]), float(x[-1]), tuple(ticks(0.0, max(base) * 0.9999)))
    parts: list[str] = []
    for layer, bottom, top in bands:
        path = _polyline(frame, x, top) + _polyline(frame, list(reversed(x)), list(reversed(bottom))).replace("M", "L", 1) + "Z"
        hint = escape(f"{layer.name}: {number_text(float(layer.values[-1] or 0.0))} {y_label}")
        parts.append(f'<path class="area {layer.colour}" d="{path}"><title>{hint}</title></path>')
    parts = [*parts, *_axes(frame, x_label, y_label), *_marks(frame, marks)]
    return _svg(title, frame, parts, "wide") + _legend([(s.name, s.colour) for s in layers])


def _polyline(frame: _Frame, x: Sequence[float], values: Sequence[float | None]) -> str:
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


def _abscissa(frame: _Frame, reciprocal: bool) -> list[tuple[float, str]]:
    """Ticks of the abscissa with their labels."""
    if reciprocal:
        return [(f, number_text(round(1 / f, 6))) for f in reciprocal_ticks(frame.x_low, frame.x_high)]
    return [(v, number_text(v)) for v in ticks(frame.x_low, frame.x_high, 6, integers=True) if frame.x_low <= v <= frame.x_high]


def _axes(frame: _Frame, x_label: str, y_label: str, reciprocal: bool = False) -> list[str]:
    left, right, bottom = LEFT, frame.width - RIGHT, frame.height - BOTTOM
    parts = []
    for y in frame.y_ticks:
        sy = frame.sy(y)
        parts.append(f'<line class="grid" x1="{left}" y1="{sy:.1f}" x2="{right}" y2="{sy:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{sy + 4:.1f}" text-anchor="end">{number_text(y)}</text>')
    for value, text in _abscissa(frame, reciprocal):
        sx = frame.sx(value)
        parts.append(f'<line class="axis" x1="{sx:.1f}" y1="{bottom}" x2="{sx:.1f}" y2="{bottom + 4}"/>')
        parts.append(f'<text x="{sx:.1f}" y="{bottom + 17}" text-anchor="middle">{text}</text>')
    parts.append(f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>')
    middle = (TOP + bottom) / 2
    parts.append(f'<text class="label" x="{(left + right) / 2}" y="{frame.height - 5}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f'x="12" y="{middle}" text-anchor="middle" transform="rotate(-90 12 {middle})"'
    parts.append(f'<text class="label" {turned}>{escape(y_label)}</text>')
    return parts


def _marks(frame: _Frame, marks: Sequence[Mark]) -> list[str]:
    parts = []
    for mark in marks:
        sx, bottom = frame.sx(mark.x), frame.height - BOTTOM
        parts.append(
            f'<g class="mark"><title>{escape(mark.text)}</title><line x1="{sx:.1f}" y1="{TOP - 4}" x2="{sx:.1f}" y2="{bottom}"/>'
            f'<path d="M{sx - 4:.1f} {TOP - 10}h8l-4 7z"/></g>'
        )
    return parts


def _levels(frame: _Frame, levels: Sequence[float]) -> list[str]:
    """Dashed horizontal lines, named at their right end, where they lie within the frame."""
    parts = []
    for level in levels:
        if frame.y_ticks[0] <= level <= frame.y_ticks[-1]:
            y, right = frame.sy(level), frame.width - RIGHT
            parts.append(f'<line class="level" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{right}" y="{y - 4:.1f}" text-anchor="end">{number_text(level)}</text>')
    return parts


def _hover_strips(frame: _Frame, x: Sequence[float], series: Sequence[Series], x_label: str, reciprocal: bool) -> list[str]:
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


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    items = "".join(f'<li><span class="swatch {colour}"></span>{escape(name)}</li>' for name, colour in entries)
    return f'<ul class="legend">{items}</ul>'


def _svg(title: str, frame: _Frame, parts: Sequence[str], kind: str = "") -> str:
    return (
        f'<svg class="chart {kind}" role="img" aria-label="{escape(title)}" viewBox="0 0 {frame.width} {frame.height}">'
        f"{''.join(parts)}</svg>"
    )
