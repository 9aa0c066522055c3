"""Motion in the report of a session: how far specimens moved, and the ways of a few of them over their sums."""

from html import escape

import numpy as np
import pandas as pd

from relion4plugin.errors import UserError
from relion4plugin.files.motion_star import MotionRecord, read_motion
from relion4plugin.preprocessing.motion.model import LocalMotion
from relion4plugin.web.distributions import Group, histogram, points
from relion4plugin.web.images import jpeg_data_uri
from relion4plugin.web.page import card, figure
from relion4plugin.web.session_data import Session, numbers, pixel_size, table_of
from relion4plugin.web.session_pictures import micrograph_picture

_PARTS = (("Total", "s0"), ("Early", "s2"), ("Late", "s4"))
_SHOWN = 4  # movies with their ways
_WIDTH = 420  # of their pictures, px
_PLACES = 5  # ways along each side
_LONGEST = 0.7  # of the distance of two ways, drawn length of the longest

STYLE = (
    ".sums{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(250px,100%),1fr));gap:12px;margin-top:12px}"
    ".sum{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden}"
    ".sum svg,.sum img{display:block;width:100%;height:auto}.sum figcaption{padding:.35rem .6rem .5rem;overflow-wrap:anywhere}"
    ".sum image{opacity:.85}.way{fill:none;stroke:#ffd84d;stroke-width:2.6;stroke-linejoin:round;stroke-linecap:round}.start{fill:#ff6b6b}"
)


def motion_section(session: Session) -> str:
    """Return figures, histograms and ways; "" before there is a motion correction."""
    if session.motion is None:
        return ""
    table, blocks = table_of(session.motion.path, "micrographs")
    known = {part: numbers(table, f"rlnAccumMotion{part}") for part, _ in _PARTS}
    found = {part: values for part, values in known.items() if values is not None}
    cards, boxes = [], []
    for part, colour in _PARTS:
        if part in found:
            boxes.append(figure(f"{part} motion", f"{np.nanmedian(found[part]):.1f} px", "median over the movies"))
            cards.append(card(f"{part} motion", histogram(f"{part} motion", [Group("", found[part], colour)], x_label="px of the movie")))
    if "Total" in found:
        order = np.arange(1, len(table) + 1)
        groups = [Group(part.lower(), found[part], colour) for part, colour in _PARTS if part in found]
        drawn = points("Motion over the movies", order, groups, x_label="movie", y_label="px of the movie", size=(820, 200))
        cards.append(card("Over the movies", drawn, wide=True))
    key = "Length of the way of whole frames; early: up to an exposure of 4 e/Å². In the pictures the way of the specimen at some places, "
    return (
        f'<h2>Motion</h2><p class="key">{session.motion.name}. {key}from the red dot on.</p><dl class="figures">{"".join(boxes)}</dl>'
        f'<p></p><div class="charts">{"".join(cards)}</div>{_sums(session, table, found.get("Total"), pixel_size(blocks))}'
    )


def _sums(session: Session, table: pd.DataFrame, total: np.ndarray | None, size: float) -> str:
    """Return sums of movies of little to much motion, with ways where they are known."""
    chosen = spread_rows(total if total is not None else np.arange(len(table), dtype=np.float64), _SHOWN)
    tiles = []
    for row in chosen:
        name = str(table["rlnMicrographName"].iloc[row])
        try:
            picture = micrograph_picture(session.path(name), size, _WIDTH)
            record = read_motion(session.path(str(table["rlnMicrographMetadata"].iloc[row]))) if "rlnMicrographMetadata" in table else None
        except UserError as error:
            tiles.append(f'<figure class="sum"><figcaption>{escape(str(error))}</figcaption></figure>')
            continue
        ways, zoom = ("", 0.0) if record is None else _ways(record, picture.shape)
        height, width = picture.shape[:2]
        image = f'<image href="{jpeg_data_uri(picture)}" width="{width}" height="{height}"/>'
        words = name.rsplit("/", 1)[-1] + (f": total motion {total[row]:.1f} px" if total is not None else "")
        words += f"; ways drawn {zoom:.0f} times as long" if zoom else ""
        drawn = f'<svg role="img" aria-label="{escape(words)}" viewBox="0 0 {width} {height}">{image}{ways}</svg>'
        tiles.append(f'<figure class="sum">{drawn}<figcaption>{escape(words)}</figcaption></figure>')
    return f'<div class="sums">{"".join(tiles)}</div>' if tiles else ""


def spread_rows(values: np.ndarray, n: int) -> list[int]:
    """Return up to `n` rows whose values lie at even steps from the smallest to the largest; rows without a value are left out."""
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    places = np.unique(np.linspace(0, len(order) - 1, min(n, len(order))).round().astype(int)) if len(order) else []
    return [int(order[i]) for i in places]


def _ways(record: MotionRecord, shape: tuple[int, ...]) -> tuple[str, float]:
    """Return the ways of the specimen at a grid of places as SVG, and how many times too long they are."""
    used = np.flatnonzero(np.isfinite(record.shifts[:, 0]))
    if len(used) < 2:
        return "", 0.0
    ny, nx = shape[:2]
    middles = (np.arange(_PLACES) + 0.5) / _PLACES - 0.5
    v, u = (grid.ravel() for grid in np.meshgrid(middles, middles, indexing="ij"))
    moved = -np.broadcast_to(record.shifts[used], (len(u), len(used), 2))  # shifts undo the motion
    if record.coefficients is not None:
        times = np.arange(len(used), dtype=np.float64)
        moved = moved - LocalMotion.from_list(record.coefficients).shifts(u[:, None], v[:, None], times)
    moved = (moved - moved[:, :1]) * nx / record.shape[1]
    zoom = _LONGEST * min(nx, ny) / _PLACES / max(float(np.abs(moved).max()), 1e-6)
    parts = []
    for x, y, way in zip((u + 0.5) * nx, (v + 0.5) * ny, moved * zoom, strict=True):
        line = "".join(f"{'L' if i else 'M'}{x + dx:.1f} {y + dy:.1f}" for i, (dx, dy) in enumerate(way))
        parts.append(f'<path class="way" d="{line}"/><circle class="start" cx="{x:.1f}" cy="{y:.1f}" r="3.4"/>')
    return "".join(parts), zoom
