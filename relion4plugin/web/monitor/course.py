"""The figures of a project and their course over time."""

import time
from bisect import bisect_right
from collections.abc import Sequence

from relion4plugin.schemes.results import Points, Quantity
from relion4plugin.schemes.status import SchemeStatus
from relion4plugin.web.charts import Series, line_chart
from relion4plugin.web.page import card, figure

_MOST_TIMES = 240
_CHARTS = (
    ("Movies and micrographs", "count", ("movies", "corrected", "micrographs", "selected_micrographs")),
    ("Particles", "count", ("particles", "selected_particles")),
    ("Selected classes", "count", ("classes",)),
    ("Resolution", "Å", ("class_resolution", "resolution")),
)
_COLOURS = ("s0", "s2", "s3", "s4")
_UNITS = (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0))
_BEFORE = 1e-3  # s, at which a value is drawn once more before it changes, so that curves are steps
_FEWEST = 3.0  # of a unit, along an axis


def figures_html(quantities: Sequence[Quantity]) -> str:
    """Return the newest value of each figure, with the job that it comes from."""
    boxes = []
    for one in quantities:
        if one.value is not None:
            value = f"{one.value:.1f} Å" if one.is_resolution else f"{int(one.value):,}"
            boxes.append(figure(one.title, value, "/".join(one.source.split("/")[:2])))
    return f'<dl class="figures">{"".join(boxes)}</dl>' if boxes else ""


def charts_html(quantities: Sequence[Quantity], schemes: Sequence[SchemeStatus]) -> str:
    """Return charts of all figures that have changed at least once, and of the numbers that schemes computed."""
    known = {one.key: one for one in quantities}
    cards = []
    for title, unit, keys in _CHARTS:
        found = [known[key] for key in keys if key in known and known[key].points]
        cards.append(course_chart(title, unit, [(one.title, one.points) for one in found], unit != "Å"))
    for scheme in schemes:
        for name, points in scheme.history.series.items():
            cards.append(course_chart(f"{name} in scheme {scheme.name}", "", [(name, points)], True))
    return f'<div class="charts">{"".join(cards)}</div>' if any(cards) else ""


def course_chart(title: str, unit: str, curves: Sequence[tuple[str, Points]], from_zero: bool) -> str:
    """Return a chart of curves (name, points) that keep each value until the next; "" where no curve has two points."""
    if not any(len(points) > 1 for _, points in curves):
        return ""
    changes = {moment for _, points in curves for moment, _ in points}
    first = min(changes)
    moments = _thinned(sorted(changes | {moment - _BEFORE for moment in changes if moment > first}))
    start = moments[0]
    series = [Series(name, _held(points, moments), _COLOURS[i % len(_COLOURS)]) for i, (name, points) in enumerate(curves)]
    since = time.strftime("%d %b %H:%M", time.localtime(start))
    name, seconds = next((one for one in _UNITS if moments[-1] - start >= _FEWEST * one[1]), _UNITS[-1])
    x = [(moment - start) / seconds for moment in moments]
    return card(title, line_chart(title, x, series, x_label=f"{name} since {since}", y_label=unit, from_zero=from_zero))


def _thinned(moments: list[float]) -> list[float]:
    step = -(-len(moments) // _MOST_TIMES)
    return moments[:-1:step] + moments[-1:]


def _held(points: Points, moments: Sequence[float]) -> list[float | None]:
    """Return the last value at each moment, None before the first."""
    times = [moment for moment, _ in points]
    places = [bisect_right(times, moment) for moment in moments]
    return [points[place - 1][1] if place else None for place in places]
