"""CTFs in the report of a session: their figures, their course, and diagnostic pictures from good to bad."""

from html import escape
from math import nan

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.mrc import read_mrc
from relion4plugin.web.distributions import Group, histogram, points
from relion4plugin.web.images import grey_levels, png_data_uri
from relion4plugin.web.page import card, figure
from relion4plugin.web.session_data import Session, numbers, table_of
from relion4plugin.web.session_motion import spread_rows
from relion4plugin.web.volume_views import at_most

_SHOWN, _EDGE = 4, 320  # diagnostic pictures, px
_RESOLUTION = "rlnCtfMaxResolution"
# label, title, unit, factor
_HISTOGRAMS = (
    ("rlnDefocusU", "Defocus", "µm", 1e-4),
    ("rlnCtfAstigmatism", "Astigmatism", "nm", 0.1),
    (_RESOLUTION, "Resolution limit of the fit", "Å", 1.0),
    ("rlnCtfFigureOfMerit", "Figure of merit", "correlation", 1.0),
    ("rlnPhaseShift", "Phase shift", "degrees", 1.0),
    ("rlnCtfIceRingDensity", "Ice rings", "power against that beside them", 1.0),
)


def ctf_section(session: Session) -> str:
    """Return figures, histograms and pictures; "" before there are CTFs."""
    if session.ctf is None:
        return ""
    table, _ = table_of(session.ctf.path, "micrographs")
    limit, cards, boxes = _limit(session), [], []
    for i, (label, title, unit, factor) in enumerate(_HISTOGRAMS):
        values = _values(table, label)
        if values is not None:
            cards.append(card(title, histogram(title, [Group("", factor * values, f"s{i}")], x_label=unit)))
            if i < 4:
                boxes.append(figure(title, f"{np.nanmedian(factor * values):.3g} {unit if len(unit) < 3 else ''}", "median"))
    resolution = numbers(table, _RESOLUTION)
    if resolution is not None:
        order = np.arange(1, len(table) + 1)
        levels = (limit,) if np.isfinite(limit) else ()
        drawn = points("Resolution limit", order, [Group("", resolution, "s2")], x_label="micrograph", y_label="Å", levels=levels)
        cards.insert(0, card("Resolution limit over the micrographs" + (", and that of the selection" if levels else ""), drawn))
    return (
        f'<h2>CTF</h2><p class="key">{session.ctf.name}.</p><dl class="figures">{"".join(boxes)}</dl>'
        f'<p></p><div class="charts">{"".join(cards)}</div>{_pictures(session, table, resolution)}'
    )


def _values(table: pd.DataFrame, label: str) -> np.ndarray | None:
    """Return a column; of the defocus the mean of both."""
    values, other = numbers(table, label), numbers(table, "rlnDefocusV")
    return (values + other) / 2 if label == "rlnDefocusU" and values is not None and other is not None else values


def _limit(session: Session) -> float:
    """Return the resolution up to which micrographs were selected in A; NaN where they were not selected by it."""
    stage = session.micrographs
    if stage is None or stage.option("select_label") != _RESOLUTION:
        return nan
    try:
        return float(stage.option("select_maxval", "nan"))
    except ValueError:
        return nan


def _pictures(session: Session, table: pd.DataFrame, resolution: np.ndarray | None) -> str:
    if resolution is None or "rlnCtfImage" not in table:
        return ""
    tiles = []
    for row in spread_rows(resolution, _SHOWN):
        name = str(table["rlnCtfImage"].iloc[row]).removesuffix(":mrc")
        words = f"{name.rsplit('/', 1)[-1]}: {resolution[row]:.1f} Å"
        try:
            picture = png_data_uri(at_most(grey_levels(read_mrc(session.path(name))[0][0]), _EDGE))
        except UserError as error:
            tiles.append(f'<figure class="sum"><figcaption>{escape(str(error))}</figcaption></figure>')
            continue
        tiles.append(f'<figure class="sum"><img src="{picture}" alt="{escape(words)}"><figcaption>{escape(words)}</figcaption></figure>')
    return f'<div class="sums">{"".join(tiles)}</div><p class="key below">Left: power spectrum; right: the fitted CTF squared.</p>'
