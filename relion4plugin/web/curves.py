"""Charts of a run: figures of its records over the iterations."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relion4plugin.web.charts import N_COLOURS, Mark, Series, line_chart, stacked_areas
from relion4plugin.web.page import card
from relion4plugin.web.run_details import RecordedRun

Values = list[float | None]


@dataclass(frozen=True)
class Curve:
    """One chart: title, ordinate label and the records' keys with their names in the legend.

    A curve that `must_vary` is left out where it is constant, as a schedule is in a run that has none.
    """

    title: str
    y_label: str
    keys: tuple[tuple[str, str], ...]
    from_zero: bool = True
    integers: bool = False
    must_vary: bool = False


LIKELIHOOD = "Log-likelihood per particle"


def curve_cards(run: RecordedRun, curves: Sequence[Curve], marks: Sequence[Mark] = ()) -> list[str]:
    """Return one card per curve that has any value; of a `Curve` named `LIKELIHOOD` the values are divided by the particles used."""
    x = run.iterations
    cards = []
    for curve in curves:
        known = [(name, per_particle(run) if curve.title == LIKELIHOOD else run.values(key)) for key, name in curve.keys]
        series = [Series(name, values, f"s{i * 4}") for i, (name, values) in enumerate(known) if any(v is not None for v in values)]
        if curve.must_vary and all(len(set(one.values)) == 1 for one in series):
            continue
        chart = line_chart(
            curve.title, x, series, y_label=curve.y_label, from_zero=curve.from_zero, integers=curve.integers, marks=marks
        )
        cards.append(card(curve.title, chart))
    return [one for one in cards if one]


def occupancy_card(run: RecordedRun) -> str:
    """Return the card with the stacked occupancies of all classes over the iterations; replaced classes are marked."""
    known = [r for r in run.records if isinstance(r.get("class_distribution"), list) and len(r["class_distribution"]) == run.n_classes]
    if not known:
        return ""
    x = [float(r["iteration"]) for r in known]
    leaders = run.order[:N_COLOURS]
    layers = [Series(f"Class {k + 1}", _percent(known, [k]), f"s{i}") for i, k in enumerate(leaders)]
    others = run.order[N_COLOURS:]
    if others:
        layers.append(Series(f"{len(others)} smaller classes", _percent(known, others), "rest"))
    marks = replacement_marks(run)
    chart = stacked_areas("Class occupancy over the iterations", x, layers, y_label="%", marks=marks)
    title = "Class occupancy" + (f" (triangles: {len(marks)} iterations in which empty classes were replaced)" if marks else "")
    return card(title, chart, wide=True)


def replacement_marks(run: RecordedRun) -> list[Mark]:
    """Return one mark per iteration in which a class was dropped for a copy of another."""
    marks = []
    for record in run.records:
        pair = record.get("replaced")
        if isinstance(pair, list) and len(pair) == 2:
            text = f"iteration {record['iteration']}: class {int(pair[0])} was replaced by a copy of class {int(pair[1])}"
            marks.append(Mark(float(record["iteration"]), text))
    return marks


def _percent(records: Sequence[dict[str, Any]], classes: Sequence[int]) -> list[float]:
    """Occupancy of some classes together over the records, in percent."""
    return [100.0 * sum(max(float(record["class_distribution"][k]), 0.0) for k in classes) for record in records]


def per_particle(run: RecordedRun) -> Values:
    """Log-likelihood divided by the particles that an iteration used."""
    pairs = zip(run.values("log_likelihood"), run.values("subset_size"), strict=True)
    return [total / n if total is not None and n and math.isfinite(total) else None for total, n in pairs]
