"""What all charts share: the mapping of data to the drawing, axes, marks, legend.

Colours are CSS classes, so that the page decides them for light and dark; no script, no inline style.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from relion4plugin.web.axes import number_text, reciprocal_ticks, ticks

TOP, RIGHT, BOTTOM, LEFT = 14, 14, 40, 52  # plot margins, SVG units
WIDE = 600  # SVG units; wider drawings are scaled up less, so their letters are smaller


@dataclass(frozen=True)
class Mark:
    """A vertical line at `x` with an explanation shown on hovering."""

    x: float
    text: str


@dataclass(frozen=True)
class Frame:
    """Mapping of data to SVG units."""

    width: int
    height: int
    x_low: float
    x_high: float
    y_ticks: tuple[float, ...]
    whole_x: bool = True  # ticks of the abscissa are whole numbers

    def sx(self, x: float) -> float:
        """Abscissa of the drawing."""
        span = (self.x_high - self.x_low) or 1.0
        return LEFT + (x - self.x_low) / span * (self.width - LEFT - RIGHT)

    def sy(self, y: float) -> float:
        """Ordinate of the drawing, from its top."""
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.height - BOTTOM - (y - low) / (high - low) * (self.height - TOP - BOTTOM)


def _abscissa(frame: Frame, reciprocal: bool) -> list[tuple[float, str]]:
    """Ticks of the abscissa with their labels."""
    if reciprocal:
        return [(f, number_text(round(1 / f, 6))) for f in reciprocal_ticks(frame.x_low, frame.x_high)]
    found = ticks(frame.x_low, frame.x_high, 6, integers=frame.whole_x)
    return [(v, number_text(v)) for v in found if frame.x_low - 1e-9 <= v <= frame.x_high + 1e-9]


def draw_axes(frame: Frame, x_label: str, y_label: str, reciprocal: bool = False) -> list[str]:
    """Return grid, ticks and labels of both axes."""
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


def draw_marks(frame: Frame, marks: Sequence[Mark]) -> list[str]:
    """Return vertical lines with a triangle at the top."""
    parts = []
    for mark in marks:
        sx, bottom = frame.sx(mark.x), frame.height - BOTTOM
        parts.append(
            f'<g class="mark"><title>{escape(mark.text)}</title><line x1="{sx:.1f}" y1="{TOP - 4}" x2="{sx:.1f}" y2="{bottom}"/>'
            f'<path d="M{sx - 4:.1f} {TOP - 10}h8l-4 7z"/></g>'
        )
    return parts


def draw_levels(frame: Frame, levels: Sequence[float]) -> list[str]:
    """Dashed horizontal lines, named at their right end, where they lie within the frame."""
    parts = []
    for level in levels:
        if frame.y_ticks[0] <= level <= frame.y_ticks[-1]:
            y, right = frame.sy(level), frame.width - RIGHT
            parts.append(f'<line class="level" x1="{LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{right}" y="{y - 4:.1f}" text-anchor="end">{number_text(level)}</text>')
    return parts


def draw_legend(entries: Sequence[tuple[str, str]]) -> str:
    """Return names with the colours of their curves: pairs (name, CSS class)."""
    items = "".join(f'<li><span class="swatch {colour}"></span>{escape(name)}</li>' for name, colour in entries)
    return f'<ul class="legend">{items}</ul>'


def draw_svg(title: str, frame: Frame, parts: Sequence[str], kind: str = "") -> str:
    """Return the whole drawing; `kind` is one more CSS class."""
    return (
        f'<svg class="chart {kind}" role="img" aria-label="{escape(title)}" viewBox="0 0 {frame.width} {frame.height}">'
        f"{''.join(parts)}</svg>"
    )
