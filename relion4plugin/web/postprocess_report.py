"""One HTML page about a post-processing: resolution, FSC curves, Guinier plot and slices of the map."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.mrc import read_mrc
from relion4plugin.files.star import read_star
from relion4plugin.web.charts import Mark, Series, line_chart
from relion4plugin.web.images import grey_levels, png_data_uri
from relion4plugin.web.page import card, document, figure, note

_FSC = (
    ("corrected", "rlnFourierShellCorrelationCorrected"),
    ("unmasked", "rlnFourierShellCorrelationUnmaskedMaps"),
    ("masked", "rlnFourierShellCorrelationMaskedMaps"),
    ("phases random, masked", "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps"),
)
_GUINIER = (
    ("original", "rlnLogAmplitudesOriginal"),
    ("MTF corrected", "rlnLogAmplitudesMTFCorrected"),
    ("weighted", "rlnLogAmplitudesWeighted"),
    ("sharpened", "rlnLogAmplitudesSharpened"),
)
_COLOURS = ("s0", "s2", "s4", "s3")
_NO_AMPLITUDE = -90.0


def write_report(star: Path, volume: Path | None, remarks: Sequence[str] = (), path: Path | None = None) -> Path:
    """Write the report of a post-processing.

    Parameters
    ----------
    star : Path
        postprocess.star.
    volume : Path, optional
        The processed map; its slices are left out without it.
    remarks : sequence of str
        Shown above the curves.
    path : Path, optional
        The HTML file; ``report.html`` beside the STAR file by default. It is replaced atomically.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    UserError
        If the STAR file is not that of a post-processing.
    """
    body = [
        f"<header><h1>Post-processing</h1><p>{escape(str(star.parent))}</p></header>",
        result_section(star, volume, [note(text, warning=True) for text in remarks]),
    ]
    target = path or star.with_name("report.html")
    atomic_write_text(target, document(f"Post-processing {star.parent.name}", "\n".join(body)))
    return target


def result_section(star: Path, volume: Path | None, notes: Sequence[str] = ()) -> str:
    """Return figures, curves and slices as HTML.

    Parameters
    ----------
    star : Path
        postprocess.star.
    volume : Path, optional
        The processed map; its slices are left out without it.
    notes : sequence of str
        Ready HTML between figures and curves.

    Raises
    ------
    UserError
        If the STAR file is not that of a post-processing.
    """
    blocks = read_star(star)
    general, fsc, guinier = (blocks.get(name) for name in ("general", "fsc", "guinier"))
    if not isinstance(general, dict) or not isinstance(fsc, pd.DataFrame) or "rlnFinalResolution" not in general:
        raise UserError(f"{star}: no data_general and data_fsc: expected the postprocess.star of a post-processing")
    slices = f'<h2>Central slices</h2><ul class="gallery">{_slices(volume)}</ul>' if volume is not None else ""
    parts = [
        f'<dl class="figures">{"".join(_figures(general))}</dl>',
        *notes,
        f'<h2>Curves</h2><div class="charts">{_fsc_card(fsc, general)}{_guinier_card(guinier)}</div>',
        slices,
    ]
    return "\n".join(parts)


def _figures(general: dict[str, Any]) -> list[str]:
    parts = [figure("Resolution", f"{float(general['rlnFinalResolution']):.2f} Å", "corrected FSC = 0.143")]
    parts.append(figure("B-factor", f"{float(general['rlnBfactorUsedForSharpening']):.1f} Å²", "negative: sharpened"))
    if "rlnRandomiseFrom" in general:
        parts.append(figure("Phases random from", f"{float(general['rlnRandomiseFrom']):.1f} Å"))
    if "rlnMaskName" in general:
        parts.append(figure("Mask", Path(str(general["rlnMaskName"])).name))
    return parts


def _series(table: pd.DataFrame, curves: Sequence[tuple[str, str]]) -> list[Series]:
    return [
        Series(name, [v if v > _NO_AMPLITUDE else None for v in table[label].astype(float)], colour)
        for (name, label), colour in zip(curves, _COLOURS, strict=True)
        if label in table
    ]


def _fsc_card(fsc: pd.DataFrame, general: dict[str, Any]) -> str:
    resolution = float(general["rlnFinalResolution"])
    x = [1000 * v if i else 0.0 for i, v in enumerate(fsc["rlnResolution"].astype(float))]
    marks = [Mark(1000 / resolution, f"{resolution:.2f} Å")] if 1000 / resolution <= x[-1] * 1.001 else []
    return card("Fourier shell correlation", line_chart("FSC", x, _series(fsc, _FSC), x_label="1/d (10⁻³ Å⁻¹)", y_label="FSC", marks=marks))


def _guinier_card(guinier: object) -> str:
    if not isinstance(guinier, pd.DataFrame):
        return ""
    x = [1000 * float(v) for v in guinier["rlnResolutionSquared"]]
    chart = line_chart("Guinier plot", x, _series(guinier, _GUINIER), x_label="1/d² (10⁻³ Å⁻²)", y_label="ln amplitude")
    return card("Guinier plot", chart)


def _slices(volume: Path) -> str:
    density, pixel_size = read_mrc(volume)
    middle = density.shape[0] // 2
    tiles = []
    for axis, name in enumerate(("z", "y", "x")):
        step = max(1, math.ceil(density.shape[0] / 256))
        uri = png_data_uri(grey_levels(np.take(density, middle, axis=axis)[::step, ::step]))
        caption = f"{name} = {middle} px, {density.shape[0] * pixel_size:.0f} Å wide"
        tiles.append(f'<li class="tile"><img src="{uri}" alt="slice across {name}"><div class="caption">{caption}</div></li>')
    return "".join(tiles)
