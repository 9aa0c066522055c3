"""First part of the report of a session: how much there is, when it came, how long it took, what was left out."""

from collections.abc import Iterable
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from relion4plugin.schemes.durations import Work, job_work
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.results import Points, Quantity
from relion4plugin.web.monitor.course import course_chart
from relion4plugin.web.page import card, figure, folded, note, table
from relion4plugin.web.session_data import Session, StageFile, table_of
from relion4plugin.web.wording import angstrom, duration

_SHOWN = 12  # items that a job has set aside, each with its reason
_OPEN = 4  # so many are shown without a click
_BEFORE = {"corrected": "movies", "micrographs": "corrected", "selected_micrographs": "micrographs", "selected_particles": "particles"}
_PER_ITEM = {"MotionCorr": "micrograph", "CtfFind": "micrograph", "AutoPick": "micrograph", "Extract": "particle"}
_NAMED = ("movies", "corrected", "micrographs", "selected_micrographs", "particles", "selected_particles")


def overview_section(session: Session) -> str:
    """Return figures, course over time, times of the stages and what was set aside."""
    charts = _charts(session)
    course = f'<h2>Course</h2><div class="charts">{charts}</div>' if charts else ""
    return f"{_state(session)}{_figures(session)}{course}<h2>Time</h2>{_times(session)}{_set_aside(session)}"


def _state(session: Session) -> str:
    """Return how the schemes stand, and which jobs failed."""
    failed = [job.name.rstrip("/") for job in session.status.jobs if job.status == "Failed"]
    running = [job.name.rstrip("/") for job in session.status.jobs if job.status == "Running"]
    parts = [note(f"{scheme.name}: {scheme.summary}") for scheme in session.status.schemes if scheme.is_locked or scheme.error]
    if running:
        parts.append(note(f"The session goes on; running now: {', '.join(running)}. What is finished by now is shown."))
    if failed:
        parts.append(note(f"Failed: {', '.join(failed)}; the end of run.err in these folders says why.", warning=True))
    return "".join(parts)


def _figures(session: Session) -> str:
    known = {one.key: one for one in session.status.quantities if one.value is not None}
    picks = int(session.pick_summary["count"].sum())
    boxes = []
    for key in _NAMED:
        if key == "particles" and picks:
            boxes.append(figure("Picks", f"{picks:,}", f"{picks / max(1, len(session.pick_summary)):.1f} per micrograph"))
        if key in known:
            boxes.append(figure(known[key].title, f"{int(known[key].value or 0):,}", _share(key, known)))
    for key in ("class_resolution", "resolution"):
        if key in known:
            boxes.append(figure(known[key].title, angstrom(float(known[key].value or 0.0)), known[key].source.rstrip("/")))
    return f'<dl class="figures">{"".join(boxes)}</dl>'


def _share(key: str, known: dict[str, Quantity]) -> str:
    """Return how many of the items of the stage before are left."""
    source = known.get(_BEFORE.get(key, ""))
    return f"{100 * float(known[key].value or 0) / source.value:.0f} % of the stage before" if source is not None and source.value else ""


def _charts(session: Session) -> str:
    """Return when the files of each stage were finished."""
    files = [
        ("Movies", _finished(session, session.movies, "movies", "rlnMicrographMovieName")),
        ("Corrected micrographs", _finished(session, session.motion, "micrographs", "rlnMicrographName")),
        ("Micrographs with CTF", _finished(session, session.ctf, "micrographs", "rlnCtfImage")),
    ]
    cards = [course_chart("Movies and micrographs", "count", [(name, points) for name, points in files if points], True)]
    selected = next((one.points for one in session.status.quantities if one.key == "selected_particles"), ())
    counts = [("Picks", _picked(session)), ("Particles", _extracted(session)), ("Selected particles", selected)]
    cards.append(course_chart("Picks and particles", "count", [(name, points) for name, points in counts if points], True))
    lengths = [(one.title, one.points) for one in session.status.quantities if one.is_resolution and one.points]
    cards.append(course_chart("Resolution", "Å", lengths, False))
    return "".join(cards)


def _finished(session: Session, stage: StageFile | None, table_name: str, label: str) -> Points:
    """Return the number of finished files over time."""
    if stage is None:
        return ()
    table, _ = table_of(stage.path, table_name)
    names = table[label].astype(str).str.removesuffix(":mrc") if label in table else ()
    return _growth((session.path(name), 1.0) for name in names)


def _picked(session: Session) -> Points:
    if session.picks is None:
        return ()
    counts = dict(zip(session.pick_summary["name"], session.pick_summary["count"], strict=True))
    table, _ = table_of(session.picks.path, "coordinate_files")
    pairs = zip(table["rlnMicrographName"].astype(str), table["rlnMicrographCoordinates"].astype(str), strict=True)
    return _growth((session.path(file), float(counts.get(name, 0))) for name, file in pairs)


def _extracted(session: Session) -> Points:
    particles: pd.DataFrame = session.particles
    if "rlnImageName" not in particles:
        return ()
    stacks = particles["rlnImageName"].astype(str).str.rpartition("@")[2].value_counts()
    return _growth((session.path(str(name)), float(count)) for name, count in stacks.items())


def _growth(files: Iterable[tuple[Path, float]]) -> Points:
    """Return the sum of weights of the files that were there at each time; files that have gone do not count."""
    times, weights = [], []
    for path, weight in files:
        try:
            times.append(path.stat().st_mtime)
        except OSError:
            continue
        weights.append(weight)
    order = np.argsort(times, kind="stable")
    totals = np.cumsum(np.asarray(weights)[order]) if times else np.zeros(0)
    return tuple((times[i], float(total)) for i, total in zip(order, totals, strict=True))


def _times(session: Session) -> str:
    """Return executions and times of all jobs of each type, as a table."""
    jobs = {job.name: job for job in session.status.jobs}
    work = job_work(Project(session.root), jobs)
    counts = {one.source.split("/")[0]: one.value for one in session.status.quantities if one.value}
    stages: dict[str, list[str]] = {}
    for name, job in jobs.items():
        if name in work:
            stages.setdefault(job.type_label, []).append(name)
    rows = []
    for label, names in stages.items():
        done = sum((work[name] for name in names), Work())
        folder = names[0].split("/")[0]
        n = float(len(session.pick_summary)) if folder == "AutoPick" else counts.get(folder) if folder in _PER_ITEM else None
        each = _short(done.seconds / n) + f" a {_PER_ITEM[folder]}" if n else ""
        rows.append((label, f"{len(names)}", f"{done.executions}", duration(done.seconds), each))
    total = sum(work.values(), Work())
    span = f", {duration(total.end - total.begin)} from the first start to the last end" if total.executions else ""
    words = f"Jobs worked for {duration(total.seconds)} in all{span}; jobs of different schemes run side by side."
    return f'<p class="key">{escape(words)}</p>' + table(("Stage", "Jobs", "Executions", "Time", "Each"), rows)


def _short(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 0.1 else duration(seconds)


def _set_aside(session: Session) -> str:
    """Return what jobs could not use, with reasons; of very many items the first."""
    parts = []
    for one in session.set_aside:
        rest = f" (the first {_SHOWN}; all are listed in {one.job}/set_aside.star)" if len(one.items) > _SHOWN else ""
        title = f"{one.job}: {len(one.items)} set aside{rest}"
        content = table(("Item", "Why"), one.items[:_SHOWN], text_columns=(0, 1))
        parts.append(card(title, content, wide=True) if len(one.items) <= _OPEN else folded(title, content))
    lost = _left_out(session)
    return f'<h2>Left out</h2><div class="charts">{lost}{"".join(parts)}</div>' if lost or parts else ""


def _left_out(session: Session) -> str:
    """Return how many items each stage lost, and why."""
    known = {one.key: int(one.value) for one in session.status.quantities if one.value is not None}
    picks, aside = int(session.pick_summary["count"].sum()), sum(len(one.items) for one in session.set_aside)
    limit = session.micrographs.option("select_label") if session.micrographs is not None else ""
    reason = "by their values" + (f" ({limit})" if limit else "")
    rows = [("Files and micrographs that could not be used", aside, "reasons below")]
    if {"micrographs", "selected_micrographs"} <= set(known):
        rows.append(("Micrographs not selected", known["micrographs"] - known["selected_micrographs"], reason))
    if picks and "particles" in known:
        rows.append(("Picks not extracted", picks - known["particles"], "at the border, below the least figure of merit, or not yet"))
    if {"particles", "selected_particles"} <= set(known):
        rows.append(("Particles not selected", known["particles"] - known["selected_particles"], "classes not selected, or not yet"))
    shown = [(name, f"{count:,}", why) for name, count, why in rows if count > 0]
    return card("How many and why", table(("", "Number", "Why"), shown, text_columns=(0, 2)), wide=True) if shown else ""
