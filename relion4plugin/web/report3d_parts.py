"""Parts of the report of a 3D run: maps with their views, directions, FSC curves, and the verdict on an initial model."""

import math
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path

import numpy as np

from relion4plugin.files.initial_model import Verdict
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

SSNR_TOP = 1e4  # larger ratios say no more


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
    return f'<section class="card span volume">{title}{bar}<div class="views">{"".join(pictures)}</div><div>{side}</div></section>'


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
        f"<span>{counts.max() / even:.1f} × even</span></div>"
        f"<figcaption>Directions of view, all equivalent ones: rot from −180° at the left to 180°, tilt from 0° at the top to 180°. "
        f"{unseen:.0f} % of the sphere is seen less than a tenth of the mean.</figcaption></figure>"
    )


def fsc_card(run: Run3D, curves: Mapping[str, np.ndarray], title: str, wide: bool = False) -> str:
    """FSC curves over the spatial frequency, with lines at 0.5 and 0.143; "" without curves."""
    x = [float(f) for f in run.frequencies]
    series = [Series(name, _padded(values, len(x)), f"s{i % N_COLOURS}") for i, (name, values) in enumerate(curves.items())]
    size = (820, 250) if wide else (400, 230)
    chart = line_chart(
        title, x, series, x_label="resolution (Å)", y_label="FSC", from_zero=True, reciprocal=True, levels=(0.143, 0.5), size=size
    )
    return card(title, chart, wide=wide)


def _padded(values: Iterable[float], length: int) -> list[float | None]:
    known: list[float | None] = [float(v) if math.isfinite(v) else None for v in values][:length]
    return known + [None] * (length - len(known))


def refinement_cards(run: Run3D) -> str:
    """FSC between the halves: the last one with its resolution, and how it developed."""
    refinement = run.refinement
    if refinement is None:
        return ""
    fsc, box, pixel = refinement.fsc, run.results.box, run.results.pixel_size
    cards = []
    if np.isfinite(fsc).any() and (fsc > 0).any():
        resolution = angstrom(resolution_at(fsc, 0.143, pixel, box))
        cards.append(fsc_card(run, {"FSC": fsc}, f"FSC between the halves, 0.143 at {resolution}"))
    known = {f"iteration {n}": curve for n, curve in run.fsc_by_iteration.items() if np.isfinite(curve).any()}
    if refinement.converged:
        known |= {"final": fsc}
    if len(known) > 1:
        cards.append(fsc_card(run, known, "FSC over the iterations"))
    return f'<div class="charts">{"".join(cards)}</div>' if cards else ""


def ssnr_card(run: Run3D) -> str:
    """Signal-to-noise ratio of each class's map per shell, as the logarithm; one class per colour, the largest first."""
    x = [float(f) for f in run.frequencies]
    series = []
    for i, k in enumerate(run.order[:N_COLOURS]):
        values = run.results.spectra[k]["ssnr"].to_numpy()[: len(x)]
        logs = [math.log10(min(max(float(v), 1e-2), SSNR_TOP)) if math.isfinite(v) else None for v in values]
        series.append(Series(f"class {k + 1}", logs + [None] * (len(x) - len(logs)), f"s{i}"))
    chart = line_chart(
        "Signal-to-noise ratio of the maps", x, series, x_label="resolution (Å)", y_label="log10 SSNR", reciprocal=True, levels=(0.0,)
    )
    return card("Signal-to-noise ratio of the maps (0: equal to the noise)", chart)


def verdict_section(run: Run3D, verdict: Verdict) -> str:
    """The verdict on an initial model: in words, its figures, the restarts and their agreement, and the evidence."""
    figures = [
        figure("Reliable", "yes" if verdict.reliable else "no", "by the agreement of restarts" if verdict.restarts else ""),
        figure("Symmetry", verdict.symmetry, "" if verdict.symmetry_score is None else f"score {verdict.symmetry_score:.3g}"),
    ]
    if verdict.selected_class is not None:
        figures.append(figure("Class chosen", f"#{verdict.selected_class}", f"of {run.n_classes}"))
    parts = []
    if verdict.agreement_fsc:
        curve = np.asarray(verdict.agreement_fsc, dtype=np.float64)
        parts.append(fsc_card(run, {"FSC": curve}, "FSC between restarts"))
    header = ("Seed", "Log-likelihood", "Resolution (Å)", "Agrees with the chosen map to (Å)")
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
