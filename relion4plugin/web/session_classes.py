"""2D classes in the report of a session, with the scores of the class ranker and what was selected."""

from html import escape

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.file_cache import FileCache
from relion4plugin.files.mrc import StackReader
from relion4plugin.web.images import grey_levels, png_data_uri
from relion4plugin.web.monitor.class_strip import ClassEntry, ClassStrip, newest_strips
from relion4plugin.web.page import figure, note
from relion4plugin.web.session_data import Session
from relion4plugin.web.volume_views import at_most
from relion4plugin.web.wording import angstrom

_SHOWN, _EDGE = 100, 128  # classes, px

STYLE = ".tile.chosen{border:3px solid var(--s2)}.tile.left{opacity:.62}"


def classes_section(session: Session) -> str:
    """Return the newest classes that have scores, or else the newest; "" before there are any."""
    strips = newest_strips(session.root, session.status.pipeline, FileCache(), _SHOWN)
    if not strips:
        return ""
    strip = strips[-1]
    try:
        tiles = _tiles(strip)
    except UserError as error:
        return f"<h2>2D classes</h2>{note(str(error), warning=True)}"
    shown = f"{len(strip.entries)} of {strip.n_classes} classes" if strip.n_classes > len(strip.entries) else f"{strip.n_classes} classes"
    how = f"scores of {strip.ranked_by.rstrip('/')}, best first; selected ones have a green frame" if strip.ranked_by else "largest first"
    key = f"{strip.job.rstrip('/')}, iteration {strip.iteration}: {shown}, {how}. Below each: score, share of particles, resolution."
    newer = strips[0].job != strip.job
    hint = note(f"{strips[0].job.rstrip('/')} is newer, but its classes have no scores yet.") if newer else ""
    return f'<h2>2D classes</h2><p class="key">{escape(key)}</p>{hint}{_figures(strip)}<p></p><ul class="gallery">{tiles}</ul>'


def _figures(strip: ClassStrip) -> str:
    chosen = [one for one in strip.entries if one.is_selected]
    if not strip.ranked_by:
        return ""
    scores = [one.score for one in strip.entries if one.score is not None]
    share = 100 * sum(one.share for one in chosen) / max(sum(one.share for one in strip.entries), 1e-9)
    boxes = [
        figure("Selected classes", f"{len(chosen)} of {strip.n_classes}"),
        figure("Their particles", f"{share:.0f} %", "share of the posterior weight"),
        figure("Best score", f"{max(scores, default=0.0):.2f}"),
        figure("Best resolution", angstrom(min((one.resolution for one in chosen), default=float("inf"))), "of a selected class"),
    ]
    return f'<dl class="figures">{"".join(boxes)}</dl>'


def _tiles(strip: ClassStrip) -> str:
    reader = StackReader([strip.stack])
    try:
        images = reader.read(np.zeros(len(strip.entries), np.int64), np.array([one.number - 1 for one in strip.entries]))
    finally:
        reader.close()
    return "".join(_tile(one, image) for one, image in zip(strip.entries, images, strict=True))


def _tile(one: ClassEntry, image: np.ndarray) -> str:
    kind = "" if one.is_selected is None else " chosen" if one.is_selected else " left"
    score = f"{one.score:.2f}" if one.score is not None and one.score > -1 else "–"
    label = f"Class {one.number}, score {score}{', selected' if one.is_selected else ''}"
    picture = png_data_uri(at_most(grey_levels(image), _EDGE))
    return (
        f'<li class="tile{kind}"><img src="{picture}" alt="{escape(label)}"><div class="caption">'
        f'<div class="row"><b>{score}</b><span>#{one.number}</span></div>'
        f'<div class="row"><span>{100 * one.share:.1f} %</span><span>{angstrom(one.resolution)}</span></div></div></li>'
    )
