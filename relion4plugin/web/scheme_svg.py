"""A scheme as a drawing: operators and jobs, forks with their labels, the current node and how often each was executed."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise

from relion4plugin.schemes.model import UNDEFINED, Edge, Scheme
from relion4plugin.schemes.status import NodeStatus
from relion4plugin.web.graph_layout import Box, GraphEdge, Layout, Point, Route, lay_out

_HEIGHT, _NARROW, _WIDE = 40.0, 112.0, 250.0
_NAME, _SMALL = 7.6, 6.1  # mean width of a letter, px
_PAD = 26.0
_CORNER = 7.0
END = "end of the scheme"

STYLE = """
.graph text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:var(--ink,#1b2430);text-anchor:middle}
.graph .sub{font-size:10.5px;fill:var(--soft,#5c6878)}
.graph .fork{font-size:10.5px;fill:var(--soft,#5c6878)}
.graph .fork.at-start{text-anchor:start}.graph .fork.at-end{text-anchor:end}
.graph .count{font-size:10px;fill:var(--soft,#5c6878);text-anchor:end}
.graph .box{fill:var(--card,#fff);stroke:var(--rest,#c3cad3);stroke-width:1.2}
.graph .job .box{fill:var(--job,#eaf1f9);stroke:var(--s0,#4477aa)}
.graph .done .box{stroke:var(--s2,#228833);stroke-width:1.6}
.graph .failed .box,.graph .aborted .box{stroke:var(--s4,#ee6677);stroke-width:2.4}
.graph .missing .box{stroke-dasharray:4 3;stroke:var(--s4,#ee6677)}
.graph .end .box{fill:none;stroke-dasharray:2 3}
.graph .current .box,.graph .running .box{stroke:var(--warn,#b35c00);stroke-width:3;fill:var(--now,#fff4e3)}
.graph .edge{fill:none;stroke:var(--soft,#5c6878);stroke-width:1.2;opacity:.75}
.graph .edge.walked{stroke:var(--s2,#228833);stroke-width:1.8;opacity:1}
.graph .tip{fill:var(--soft,#5c6878)}.graph .walked+.tip{fill:var(--s2,#228833)}
.graph a:hover .box{filter:brightness(.97)}
"""


def svg_of_scheme(
    scheme: Scheme,
    states: Mapping[str, NodeStatus] | None = None,
    *,
    standalone: bool = True,
    link: str = "",
) -> str:
    """Draw a scheme.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    states : mapping, optional
        What is known of each node by its name; by default nothing has been executed.
    standalone : bool
        A file of its own, with its style sheet; else a part of a page that has `STYLE`.
    link : str
        Start of the addresses to which nodes lead; empty for none.

    Returns
    -------
    str
        An ``<svg>`` element; all names are escaped.
    """
    known = states or {}
    edges = _edges(scheme)
    names = list(dict.fromkeys([name for edge in edges for name in (edge.source, edge.target)]))
    views = {name: _View(scheme, name, known.get(name)) for name in names}
    layout = lay_out({name: (view.width, _HEIGHT if name != END else 24.0) for name, view in views.items()}, edges)
    lines = sorted((_walked(route, known), i) for i, route in enumerate(layout.routes))
    parts = [_edge(layout.routes[i], walked) for walked, i in lines]
    parts += [views[name].drawn(box, link) for name, box in layout.boxes.items()]
    return _document(layout, parts, scheme, standalone)


def unused_nodes(scheme: Scheme) -> list[str]:
    """Return the operators and jobs that no edge names, sorted; jobs that never run have no mode and are left out."""
    used = {name for edge in scheme.edges for name in (edge.source, edge.target, edge.target_if_true)}
    jobs = [name for name, job in scheme.jobs.items() if job.mode]
    return sorted(name for name in (*scheme.operators, *jobs) if name not in used)


def _edges(scheme: Scheme) -> list[GraphEdge]:
    """Turn edges into lines: two of a fork; of several edges from one node only the last is ever taken."""
    last: dict[str, Edge] = {edge.source: edge for edge in scheme.edges}
    lines = []
    for source, edge in last.items():
        targets = [(edge.target, "false"), (edge.target_if_true, "true")] if edge.is_fork else [(edge.target, "")]
        lines += [GraphEdge(source, target if target != UNDEFINED else END, label) for target, label in targets]
    return lines


def _walked(route: Route, states: Mapping[str, NodeStatus]) -> bool:
    status = states.get(route.edge.target)
    return status is not None and status.came_from == route.edge.source and status.visits > 0


class _View:
    """One node: its two lines and how it looks."""

    def __init__(self, scheme: Scheme, name: str, status: NodeStatus | None) -> None:
        self.name, self.status = name, status
        job, operator = scheme.jobs.get(name), scheme.operators.get(name)
        if name == END:
            self.kind, self.detail = "end", ""
        elif operator is not None:
            self.kind, self.detail = "operator", operator.type
        elif job is not None:
            self.kind, self.detail = "job", job.name.rstrip("/") if job.has_directory else f"job, {job.mode}"
        else:
            self.kind, self.detail = "missing", "not in this scheme"
        self.width = min(max(_NAME * len(name) + _PAD, _SMALL * len(self.detail) + _PAD, _NARROW), _WIDE)

    def drawn(self, box: Box, link: str) -> str:
        status = self.status
        state = status.state if status is not None else "idle"
        radius = 9 if self.kind == "job" else box.height / 2
        shape = (
            f'<rect class="box" x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="{radius:.0f}"/>'
        )
        hint = f"{self.name}: {self.detail or self.kind}" + (f", executed {status.visits} times" if status and status.visits else "")
        lines = [f"<title>{escape(hint)}</title>", shape]
        name_y = box.y + 4.5 if not self.detail else box.y - 1.5
        lines.append(f'<text x="{box.x:.1f}" y="{name_y:.1f}">{escape(_clipped(self.name, box.width, _NAME))}</text>')
        if self.detail:
            text = escape(_clipped(self.detail, box.width, _SMALL))
            lines.append(f'<text class="sub" x="{box.x:.1f}" y="{box.y + 13:.1f}">{text}</text>')
        if status is not None and status.visits:
            lines.append(f'<text class="count" x="{box.right - 4:.1f}" y="{box.top - 3:.1f}">×{status.visits}</text>')
        body = f'<g class="{self.kind} {escape(state)}" data-node="{escape(self.name)}">{"".join(lines)}</g>'
        if link and status is not None and status.job:
            return f'<a href="{escape(link + status.job.rstrip("/"))}">{body}</a>'
        return body


def _clipped(text: str, width: float, letter: float) -> str:
    room = int((width - _PAD / 2) / letter)
    return text if len(text) <= room else text[: room - 1] + "…"


def _edge(route: Route, walked: bool) -> str:
    path = _corners(route.points) if route.back else _curve(route.points)
    (x, y), (fx, _) = route.points[-1], route.points[-2]
    if route.back and x != fx:
        sign = 1 if x > fx else -1
        tip = f"M{x:.1f} {y:.1f}l{-7 * sign} -3.5v7z"
    else:
        tip = f"M{x:.1f} {y:.1f}l-3.5 -7h7z"
    label = ""
    if route.edge.label:
        at = route.label_at
        label = f'<text class="fork at-{route.label_anchor}" x="{at[0]:.1f}" y="{at[1]:.1f}">{escape(route.edge.label)}</text>'
    kind = "edge walked" if walked else "edge"
    hint = escape(f"{route.edge.source} → {route.edge.target}")
    return f'<path class="{kind}" d="{path}"><title>{hint}</title></path><path class="tip" d="{tip}"/>{label}'


def _curve(points: Sequence[Point]) -> str:
    """Draw a curve that leaves and enters every point straight down."""
    commands = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (ax, ay), (bx, by) in pairwise(points):
        middle = (ay + by) / 2
        commands.append(f"C{ax:.1f} {middle:.1f} {bx:.1f} {middle:.1f} {bx:.1f} {by:.1f}")
    return "".join(commands)


def _corners(points: Sequence[Point]) -> str:
    """Draw straight lines with rounded corners."""
    commands = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _towards(corner, before), _towards(corner, after)
        commands.append(f"L{enter[0]:.1f} {enter[1]:.1f}Q{corner[0]:.1f} {corner[1]:.1f} {leave[0]:.1f} {leave[1]:.1f}")
    return "".join(commands) + f"L{points[-1][0]:.1f} {points[-1][1]:.1f}"


def _towards(corner: Point, other: Point) -> Point:
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    length = abs(dx) + abs(dy)
    part = min(_CORNER / length, 0.5) if length else 0.0
    return corner[0] + dx * part, corner[1] + dy * part


def _document(layout: Layout, parts: Sequence[str], scheme: Scheme, standalone: bool) -> str:
    size = f'width="{layout.width:.0f}" height="{layout.height:.0f}" viewBox="0 0 {layout.width:.0f} {layout.height:.0f}"'
    style = f"<style>{STYLE}</style>" if standalone else ""
    title = escape(f"Scheme {scheme.short_name}")
    return f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="img" aria-label="{title}" {size}>{style}{"".join(parts)}</svg>' + (
        "\n" if standalone else ""
    )
