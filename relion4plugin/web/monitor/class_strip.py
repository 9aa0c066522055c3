"""The newest class averages of a project: which they are, with scores where they have some, and one picture of all."""

import io
import re
import zlib
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from relion4plugin.errors import UserError
from relion4plugin.files.file_cache import FileCache, stamp_of
from relion4plugin.files.mrc import StackReader
from relion4plugin.files.star_text import TextTable, read_tables
from relion4plugin.schemes.pipeline import Pipeline
from relion4plugin.web.images import grey_levels
from relion4plugin.web.wording import angstrom

SHOWN, EDGE = 24, 96  # pictures, px
_STACK = re.compile(r"run_it(\d{3,})_classes\.mrcs")


@dataclass(frozen=True)
class ClassEntry:
    """A class: its number from 1, share of particles, resolution in A, score and whether it was selected (None where not known)."""

    number: int
    share: float
    resolution: float
    score: float | None = None
    is_selected: bool | None = None


@dataclass(frozen=True)
class ClassStrip:
    """The best classes of one iteration; `version` changes with the picture."""

    job: str
    iteration: int
    stack: Path
    entries: tuple[ClassEntry, ...]
    n_classes: int
    ranked_by: str
    version: str


def newest_strips(root: Path, pipeline: Pipeline, cache: FileCache, shown: int = SHOWN) -> list[ClassStrip]:
    """Return the newest class averages, and the newest that have scores where these are others; of each up to `shown` classes."""
    strips: list[ClassStrip] = []
    for job in reversed(list(pipeline.processes.values())):
        if job.type_label.startswith("relion.class2d"):
            strip = strip_of(root, job.name, pipeline, cache, shown)
            if strip is not None and (not strips or strip.ranked_by):
                strips.append(strip)
            if strips and strips[-1].ranked_by:
                break
    return strips


def strip_of(root: Path, job: str, pipeline: Pipeline, cache: FileCache, shown: int = SHOWN) -> ClassStrip | None:
    """Return the class averages of the newest iteration of a 2D classification; None while there are none that can be read."""
    stack = cache.get(root / job, _newest_stack)
    stamp = stamp_of(stack) if stack is not None else None
    if stack is None or stamp is None:
        return None
    model = stack.with_name(stack.name.replace("_classes.mrcs", "_model.star"))
    try:
        table = cache.get(model, _classes)
        if table is None:
            return None
        ranked_by, scores, selected = _scores(root, job, pipeline, cache)
    except UserError:  # being written
        return None
    texts = list(table.columns("rlnClassDistribution", "rlnEstimatedResolution"))
    fits = len(scores) == len(texts)
    entries = [
        ClassEntry(
            k + 1,
            _number(share),
            _number(resolution),
            scores[k] if fits else None,
            selected[k] if fits and len(selected) == len(texts) else None,
        )
        for k, (share, resolution) in enumerate(texts)
    ]
    entries.sort(key=lambda one: (-(one.score if one.score is not None else one.share), one.number))
    version = f"{stamp[0]:x}-{zlib.crc32(repr(entries).encode()):x}"
    iteration = int(_STACK.fullmatch(stack.name)[1])  # type: ignore[index]
    return ClassStrip(job, iteration, stack, tuple(entries[:shown]), len(entries), ranked_by if fits else "", version)


def _newest_stack(directory: Path) -> Path | None:
    stacks = [(int(match[1]), path) for path in directory.iterdir() if (match := _STACK.fullmatch(path.name))]
    return max(stacks)[1] if stacks else None


def _classes(path: Path) -> TextTable | None:
    return read_tables(path).get("model_classes")


def _selected(path: Path) -> TextTable | None:
    return next(iter(read_tables(path).values()), None)


def _scores(root: Path, job: str, pipeline: Pipeline, cache: FileCache) -> tuple[str, list[float], list[bool]]:
    """Return the job that ranked the classes of another, their scores and whether each was selected; empty where none did."""
    users = dict.fromkeys(process for node, process in pipeline.inputs if node.startswith(job))
    for process in reversed(list(users)):
        if not pipeline.processes[process].type_label.startswith("relion.select"):
            continue
        ranked = cache.get(root / process / "rank_model.star", _classes)
        if ranked is None:
            continue
        chosen = cache.get(root / process / "backup_selection.star", _selected)
        selected = [text not in ("0", "") for (text,) in chosen.columns("rlnSelected")] if chosen is not None else []
        return process, [_number(text) for (text,) in ranked.columns("rlnClassScore")], selected
    return "", [], []


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def strip_png(strip: ClassStrip) -> bytes:
    """Return one PNG with the pictures of all entries side by side, each `EDGE` px wide with grey levels of its own.

    Raises
    ------
    UserError
        If the stack cannot be read.
    """
    from PIL import Image

    canvas = Image.new("L", (EDGE * len(strip.entries), EDGE), 128)
    reader = StackReader([strip.stack])
    try:
        images = reader.read(np.zeros(len(strip.entries), np.int64), np.array([one.number - 1 for one in strip.entries]))
    finally:
        reader.close()
    for i, image in enumerate(images):
        tile = Image.fromarray(grey_levels(image)).resize((EDGE, EDGE), Image.Resampling.BICUBIC)
        canvas.paste(tile, (i * EDGE, 0))
    buffer = io.BytesIO()
    canvas.save(buffer, format="PNG")
    return buffer.getvalue()


def strip_html(strip: ClassStrip) -> str:
    """Return the gallery; all tiles show parts of one picture, which the server gives by job and version."""
    address = escape(f"/classes/{strip.job.rstrip('/')}.png?v={strip.version}")
    how = f"scores of {strip.ranked_by.rstrip('/')}" if strip.ranked_by else "the most populated first, not scored yet"
    more = f"{len(strip.entries)} of {strip.n_classes} classes, " if strip.n_classes > len(strip.entries) else ""
    link = f'<a href="/job/{escape(strip.job.rstrip("/"))}">{escape(strip.job.rstrip("/"))}</a>'
    head = f'<p class="key">{link}, iteration {strip.iteration}: {escape(more + how)}</p>'
    tiles = "".join(_tile(i, one, len(strip.entries), address) for i, one in enumerate(strip.entries))
    return f'{head}<ul class="gallery strip">{tiles}</ul>'


def _tile(i: int, one: ClassEntry, n: int, address: str) -> str:
    kind = "" if one.is_selected is None else " chosen" if one.is_selected else " left"
    picture = (
        f'<svg viewBox="{i * EDGE} 0 {EDGE} {EDGE}" role="img" aria-label="class {one.number}">'
        f'<image href="{address}" width="{n * EDGE}" height="{EDGE}"/></svg>'
    )
    score = f"{one.score:.2f}" if one.score is not None and one.score > -1 else "–"
    return (
        f'<li class="tile{kind}">{picture}<div class="caption"><div class="row"><b>{score}</b><span>#{one.number}</span></div>'
        f'<div class="row"><span>{100 * one.share:.1f} %</span><span>{angstrom(one.resolution)}</span></div></div></li>'
    )
