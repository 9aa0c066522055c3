"""Parts of the report of a 3D run: maps with their views, directions, FSC curves, and the verdict on an initial model."""

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np

from relion4plugin.files.initial_model import Verdict
from relion4plugin.files.model3d_star import Refine3DResults
from relion4plugin.files.mrc import read_mrc
from relion4plugin.imaging.filters import resolution_at
from relion4plugin.web.charts import N_COLOURS, Series, line_chart
from relion4plugin.web.images import png_data_uri
from relion4plugin.web.page import card, figure, note, table
from relion4plugin.web.report3d_run import Run3D
from relion4plugin.web.run_details import as_text
from relion4plugin.web.sphere import colour_bar, sphere_picture
from relion4plugin.web.volume_views import AXES, at_most, common_levels, volume_views
from relion4plugin.web.wording import angstrom, number

SSNR_TOP = 1e3  # larger ratios, and smaller ones than its inverse, say no more


def volume_card(path: Path, heading: str, detail: str, side: str = "", share: float | None = None) -> str:
    """A map: slices above projections, a bar for its share where given, and ready HTML beside them."""
    volume, _ = read_mrc(path)
    views = volume_views(volume)
    pictures = [
        *_figures(views.slices, heading, "central slice across {}"),
        *_figures(views.projections, heading, "projection along {}"),
    ]
    bar = "" if share is None else _bar(share)
    title = f"<h3>{escape(heading)}<span>{escape(detail)}</span></h3>"
    beside = f"<div>{side}</div>" if side else ""
    kind = "" if side else " plain"
    return f'<section class="card span volume{kind}">{title}{bar}<div class="views">{"".join(pictures)}</div>{beside}</section>'


def _figures(images: tuple[np.ndarray, ...], heading: str, words: str) -> list[str]:
    found = []
    for axis, levels in zip(AXES, common_levels(images), strict=True):
        text, picture = words.format(axis), at_most(levels)
        size = f'width="{picture.shape[1]}" height="{picture.shape[0]}"'
        label = escape(f"{heading}: {text}")
        found.append(f'<figure><img src="{png_data_uri(picture)}" alt="{label}" {size}><figcaption>{text}</figcaption></figure>')
    return found


def _bar(share: float) -> str:
    return (
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="4"/>'
        f'<rect class="fill" width="{100 * share:.1f}" height="4"/></svg>'
    )


def sphere_figure(counts: np.ndarray | None, label: str) -> str:
    """Directions of view as a map of the sphere with its scale; "" without particles."""
    if counts is None or counts.sum() <= 0:
        return ""
    even = float(counts.mean())
    picture, bar = sphere_picture(counts), colour_bar()
    size = f'width="{picture.shape[1]}" height="{picture.shape[0]}"'
    unseen = 100.0 * float((counts < 0.1 * even).mean())
    return (
        f'<figure class="sphere"><img src="{png_data_uri(picture)}" alt="{escape(label)}" {size}>'
        f'<div class="scale"><span>0</span><img src="{png_data_uri(bar)}" alt="scale" width="{bar.shape[1]}" height="1">'
        f"<span>{counts.max() / even:.1f} × mean</span></div>"
        f"<figcaption>directions of view; {unseen:.0f} % of the sphere below a tenth of the mean</figcaption></figure>"
    )


def _fsc_chart(run: Run3D, curves: Mapping[str, np.ndarray], title: str, wide: bool = False) -> str:
    """FSC curves over the spatial frequency, with lines at 0.5 and 0.143; "" without curves."""
    x = [float(f) for f in run.frequencies]
    series = [Series(name, _padded(values, len(x)), f"s{i % N_COLOURS}") for i, (name, values) in enumerate(curves.items())]
    size = (820, 250) if wide else (400, 230)
    return line_chart(
        title, x, series, x_label="resolution (Å)", y_label="FSC", from_zero=True, reciprocal=True, levels=(0.143, 0.5), size=size
    )


def fsc_card(run: Run3D, curves: Mapping[str, np.ndarray], title: str, wide: bool = False) -> str:
    """FSC curves in a box of their own; "" without curves."""
    return card(title, _fsc_chart(run, curves, title, wide), wide=wide)


def _padded(values: Iterable[float], length: int) -> list[float | None]:
    known: list[float | None] = [float(v) if math.isfinite(v) else None for v in values][:length]
    return known + [None] * (length - len(known))


def half_fsc_chart(run: Run3D, refinement: Refine3DResults) -> str:
    """FSC between the halves with its resolution in words; "" where the files hold none."""
    fsc = refinement.fsc
    if not np.isfinite(fsc).any() or not (fsc > 0).any():
        return ""
    resolution = angstrom(resolution_at(fsc, 0.143, refinement.pixel_size, refinement.box))
    return _fsc_chart(run, {"FSC": fsc}, "FSC between the halves") + _caption(f"FSC between the halves; 0.143 at {resolution}")


def fsc_course_card(run: Run3D, refinement: Refine3DResults) -> str:
    """FSC between the halves over the iterations; "" before there are two."""
    known = {f"iteration {n}": curve for n, curve in run.fsc_by_iteration.items() if np.isfinite(curve).any()}
    if refinement.converged:
        known |= {"final": refinement.fsc}
    return fsc_card(run, known, "FSC between the halves over the iterations", wide=True) if len(known) > 1 else ""


def ssnr_chart(run: Run3D, classes: Sequence[int]) -> str:
    """Signal-to-noise ratio per shell of the maps of some classes, as the logarithm; one colour per class."""
    x = [float(f) for f in run.frequencies]
    series = []
    for i, k in enumerate(classes[:N_COLOURS]):
        values = run.results.spectra[k]["ssnr"].to_numpy()[: len(x)]
        logs = [math.log10(min(max(float(v), 1 / SSNR_TOP), SSNR_TOP)) if math.isfinite(v) else None for v in values]
        series.append(Series(f"class {k + 1}", logs + [None] * (len(x) - len(logs)), f"s{i}"))
    return line_chart(
        "Signal-to-noise ratio of the map", x, series, x_label="resolution (Å)", y_label="log10 SSNR", reciprocal=True, levels=(0.0,)
    )


def class_side(run: Run3D, k: int) -> str:
    """What stands beside the views of a class: its directions and its signal-to-noise ratio."""
    chart = ssnr_chart(run, [k])
    text = _caption("signal-to-noise ratio of the map; 0: signal and noise are equal") if chart else ""
    return sphere_figure(run.directions[k], f"Directions of class {k + 1}") + chart + text


def _caption(text: str) -> str:
    return f'<p class="key caption">{escape(text)}</p>'


def verdict_section(run: Run3D, verdict: Verdict) -> str:
    """The verdict on an initial model: in words, its figures, the restarts and their agreement, and the evidence."""
    figures = [
        figure("Reliable", "yes" if verdict.reliable else "no", "by independent halves and restarts" if verdict.restarts else ""),
        figure("Symmetry", verdict.symmetry, "" if verdict.symmetry_score is None else f"score {verdict.symmetry_score:.3g}"),
    ]
    if verdict.selected_class is not None:
        figures.append(figure("Class chosen", f"#{verdict.selected_class}", f"of {run.n_classes}"))
    parts = []
    curves = {"independent halves": verdict.half_fsc, "another start": verdict.agreement_fsc}
    drawn = {name: np.asarray(curve, dtype=np.float64) for name, curve in curves.items() if curve}
    if drawn:
        parts.append(fsc_card(run, drawn, "FSC of the map with"))
    header = ("Seed", "ln L", "Resolution (Å)", "Agrees to (Å)")
    lines = [(str(r.seed), _plain(r.log_likelihood), _length(r.resolution), _length(r.agreement_resolution)) for r in verdict.restarts]
    parts.append(card("Restarts", table(header, lines)) if lines else "")
    evidence = [(str(name), as_text(value)) for name, value in verdict.evidence.items()]
    parts.append(card("Evidence", table(("Figure", "Value"), evidence, text_columns=(0,))) if evidence else "")
    shown = f'<dl class="figures">{"".join(figures)}</dl>'
    return note(verdict.text, warning=not verdict.reliable) + shown + f'<p></p><div class="charts">{"".join(parts)}</div>'


def _plain(value: float | None) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.6g}"


def _length(value: float | None) -> str:
    return "–" if value is None else number(value, 1)
