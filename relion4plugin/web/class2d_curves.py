"""Charts of a 2D classification run: what each one shows and from which record."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from relion4plugin.web.charts import N_COLOURS, Mark, Series, line_chart, stacked_areas
from relion4plugin.web.class2d_run import Class2DRun
from relion4plugin.web.page import card

Values = list[float | None]


@dataclass(frozen=True)
class _Curve:
    """One chart: title, ordinate label and the records' keys with their names in the legend."""

    title: str
    y_label: str
    keys: tuple[tuple[str, str], ...]
    from_zero: bool = False
    integers: bool = False


CURVES = (
    _Curve("Resolution", "Å", (("resolution", "resolution"),), from_zero=True),
    _Curve("Image size used", "px", (("current_size", "current size"),), from_zero=True, integers=True),
    _Curve("Step size", "", (("stepsize", "step size"),), from_zero=True),
    _Curve("Regularisation T", "", (("tau2_fudge", "T"),), from_zero=True),
    _Curve("Particles per iteration", "", (("subset_size", "particles"),), from_zero=True, integers=True),
    _Curve("Confidence of the assignments", "mean largest probability", (("ave_pmax", "Pmax"),), from_zero=True),
    _Curve("Spread of the offsets", "Å", (("sigma_offset", "sigma"),), from_zero=True),
    _Curve("Changes of orientation", "degrees", (("changed_orientations", "orientation"),), from_zero=True),
    _Curve("Changes of offset", "Å", (("changed_offsets", "offset"),), from_zero=True),
    _Curve("Changes of class", "share of particles", (("changed_classes", "class"),), from_zero=True),
    _Curve("Time per iteration", "seconds", (("seconds", "wall clock"), ("cpu_seconds", "CPU")), from_zero=True),
)


def curve_cards(run: Class2DRun) -> list[str]:
    """Return one card per curve that has any value (EM has no step size, for example)."""
    x = run.iterations
    cards = []
    for curve in CURVES:
        series = [Series(name, run.values(key), f"s{i * 4}") for i, (key, name) in enumerate(curve.keys)]
        series = [one for one in series if any(v is not None for v in one.values)]
        chart = line_chart(curve.title, x, series, y_label=curve.y_label, from_zero=curve.from_zero, integers=curve.integers)
        cards.append(card(curve.title, chart))
    likelihood = line_chart("Log-likelihood per particle", x, [Series("log-likelihood", _per_particle(run))], y_label="per particle")
    cards.insert(5, card("Log-likelihood per particle", likelihood))
    return [one for one in cards if one]


def occupancy_card(run: Class2DRun) -> str:
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


def replacement_marks(run: Class2DRun) -> list[Mark]:
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


def _per_particle(run: Class2DRun) -> Values:
    pairs = zip(run.values("log_likelihood"), run.values("subset_size"), strict=True)
    return [total / n if total is not None and n and math.isfinite(total) else None for total, n in pairs]
