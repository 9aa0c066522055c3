"""Picks and particles in the report of a session: how many, how good, and what they look like."""

from html import escape

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.star import read_star
from relion4plugin.preprocessing.picking.picks import read_picks
from relion4plugin.web.distributions import Group, histogram, points
from relion4plugin.web.images import jpeg_data_uri, png_data_uri
from relion4plugin.web.page import card, figure, note
from relion4plugin.web.session_data import Session, numbers, pixel_size, table_of
from relion4plugin.web.session_motion import spread_rows
from relion4plugin.web.session_pictures import micrograph_picture, particle_montage

_SHOWN, _WIDTH = 3, 640  # micrographs with circles, px
_MONTAGE = 64  # particles
_MERIT = "rlnAutopickFigureOfMerit"
_DIAMETERS = ("log_diam_max", "topaz_particle_diameter")


def picks_section(session: Session) -> str:
    """Return counts, figures of merit and micrographs with circles; "" before there are picks."""
    if session.picks is None:
        return ""
    table, _ = table_of(session.picks.path, "coordinate_files")
    summary, cards, boxes = session.pick_summary, [], []
    counts = summary["count"].to_numpy(dtype=np.float64)
    if len(counts):
        boxes.append(figure("Picks", f"{int(counts.sum()):,}", f"in {len(counts):,} micrographs"))
        boxes.append(figure("Per micrograph", f"{np.median(counts):.0f}", f"median; {int((counts == 0).sum())} without any"))
        cards.append(card("Picks of a micrograph", histogram("Picks of a micrograph", [Group("", counts)], x_label="picks", integers=True)))
        order = np.arange(1, len(counts) + 1)
        drawn = points("Picks over the micrographs", order, [Group("", counts)], x_label="micrograph", y_label="picks")
        cards.append(card("Over the micrographs", drawn))
    merit = numbers(session.particles, _MERIT)
    if merit is not None and len(merit):
        drawn = histogram("Figures of merit", [Group("", merit, "s2")], x_label="figure of merit", y_label="particles")
        cards.append(card("Figures of merit of extracted picks", drawn))
    by_name = dict(zip(summary["name"], counts, strict=True))
    known = np.array([by_name.get(name, np.nan) for name in table["rlnMicrographName"]])
    files = list(zip(table["rlnMicrographName"].astype(str), table["rlnMicrographCoordinates"].astype(str), strict=True))
    shown = [files[row] for row in spread_rows(known if np.isfinite(known).any() else np.arange(len(files)) * 1.0, _SHOWN)]
    return (
        f'<h2>Picks</h2><p class="key">{session.picks.name}.</p><dl class="figures">{"".join(boxes)}</dl>'
        f'<p></p><div class="charts">{"".join(cards)}</div>{_overlays(session, shown)}'
    )


def _overlays(session: Session, shown: list[tuple[str, str]]) -> str:
    """Return micrographs of few to many picks with their picks as circles."""
    size = _micrograph_pixel(session)
    diameter = pick_diameter(session, size)
    tiles = []
    for name, file in shown:
        try:
            picks = read_picks(session.path(file))
            picture = jpeg_data_uri(micrograph_picture(session.path(name), size, _WIDTH, picks, diameter))
        except UserError as error:
            tiles.append(f'<figure class="sum"><figcaption>{escape(str(error))}</figcaption></figure>')
            continue
        words = f"{name.rsplit('/', 1)[-1]}: {len(picks)} picks"
        tiles.append(f'<figure class="sum"><img src="{picture}" alt="{escape(words)}"><figcaption>{escape(words)}</figcaption></figure>')
    return f'<div class="sums">{"".join(tiles)}</div>' if tiles else ""


def pick_diameter(session: Session, size: float) -> float:
    """Return the diameter that was picked in A; 20 px of `size` A where the picking was not told."""
    options = [session.picks.option(name) for name in _DIAMETERS] if session.picks is not None else []
    return next((float(text) for text in options if _is_above_zero(text)), 20 * size)


def _is_above_zero(text: str) -> bool:
    try:
        return float(text) > 0
    except ValueError:
        return False


def _micrograph_pixel(session: Session) -> float:
    """Return the pixel size of the micrographs in A; 1 where no file tells."""
    stage = session.micrographs or session.ctf or session.motion
    return pixel_size(read_star(stage.path)) if stage is not None else 1.0


def particles_section(session: Session) -> str:
    """Return counts and a montage of particles; "" before there are particles."""
    if session.extracted is None:
        return ""
    table = session.particles
    boxes = [figure("Particles", f"{len(table):,}")]
    if "rlnMicrographName" in table:
        counts = table["rlnMicrographName"].value_counts()
        boxes[0] = figure("Particles", f"{len(table):,}", f"from {len(counts):,} micrographs")
        boxes.append(figure("Per micrograph", f"{counts.median():.0f}", "median"))
    boxes += _box(session)
    head = f'<h2>Particles</h2><p class="key">{session.extracted.name}.</p><dl class="figures">{"".join(boxes)}</dl>'
    if not len(table) or "rlnImageName" not in table:
        return head
    rows = np.unique(np.linspace(0, len(table) - 1, min(_MONTAGE, len(table))).round().astype(int))
    try:
        montage = particle_montage(session.root, [str(name) for name in table["rlnImageName"].iloc[rows]])
    except UserError as error:
        return head + note(str(error), warning=True)
    words = f"{len(rows)} of the particles, evenly over the session"
    picture = f'<img class="montage" src="{png_data_uri(montage)}" alt="{escape(words)}" width="{montage.shape[1]}">'
    return f'{head}<p></p><div class="charts">{card(words.capitalize(), picture, wide=True)}</div>'


def _box(session: Session) -> list[str]:
    """Return box and pixel size of the first optics group of the particles."""
    optics = session.extracted_tables.get("optics")
    labels = ("rlnImageSize", "rlnImagePixelSize")
    if optics is None or not set(labels) <= set(optics):
        return []
    first = {label: float(np.atleast_1d(optics[label])[0]) for label in labels}
    return [figure("Box", f"{first[labels[0]]:.0f} px", f"{first[labels[1]]:.4g} Å/px")]
