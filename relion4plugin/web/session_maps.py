"""Maps in the report of a session: initial model with its verdict, 3D classes, the refined map, post-processing."""

from collections.abc import Callable
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.model3d_star import is_3d_run
from relion4plugin.web.page import figure, note
from relion4plugin.web.postprocess_report import result_section
from relion4plugin.web.report3d import KEY
from relion4plugin.web.report3d_parts import class_side, half_fsc_chart, sphere_figure, verdict_section, volume_card
from relion4plugin.web.report3d_run import Run3D, read_3d_run
from relion4plugin.web.session_data import Session
from relion4plugin.web.wording import angstrom, duration


def maps_section(session: Session) -> str:
    """Return all maps that there are, in the order of the work."""
    parts = [
        _run(session, "Initial model", _initial_model, "relion.initialmodel"),
        _run(session, "3D classes", _classes, "relion.class3d"),
        _run(session, "Refined map", _refinement, "relion.refine3d"),
        _postprocessed(session),
    ]
    return "".join(parts)


def _run(session: Session, title: str, show: Callable[[Run3D], str], label: str) -> str:
    stage = session.directory(is_3d_run, label)
    if stage is None:
        return ""
    head = f'<h2>{title}</h2><p class="key">{stage.name}'
    try:
        run = read_3d_run(stage.directory)
        content = show(run)
    except UserError as error:
        return f"{head}.</p>{note(str(error), warning=True)}"
    state = "" if run.finished else f", not finished: iteration {run.iteration} is shown"
    return f"{head}{state}. {KEY}</p>{content}"


def _figures(run: Run3D, source: str) -> str:
    wall = run.total("seconds")
    boxes = [
        figure("Resolution", angstrom(run.results.current_resolution), source),
        figure("Particles", f"{run.n_particles:,}"),
        figure("Symmetry", run.symmetry),
        figure("Box", f"{run.results.box} px", f"{run.results.pixel_size:g} Å/px"),
    ]
    if wall is not None:
        boxes.append(figure("Time", duration(wall), "wall clock"))
    return f'<dl class="figures">{"".join(boxes)}</dl><p></p>'


def _initial_model(run: Run3D) -> str:
    best = run.order[0]
    path: Path = run.initial_map or run.results.maps[best]
    parts = [] if run.initial_map is not None else [_figures(run, "")]
    parts.append(volume_card(path, "Initial model", path.name, sphere_figure(run.directions[best], "Directions of the particles")))
    return "".join([*parts, verdict_section(run, run.verdict) if run.verdict is not None else ""])


def _classes(run: Run3D) -> str:
    largest = max(float(run.distribution.max()), 1e-12)
    cards = []
    for k in run.order:
        share = float(run.distribution[k])
        detail = f"{int(run.counts[k]):,} particles · {100 * share:.1f} % · {angstrom(float(run.class_resolution[k]))}"
        cards.append(volume_card(run.results.maps[k], f"Class {k + 1}", detail, class_side(run, k), share / largest))
    return _figures(run, "") + "".join(cards)


def _refinement(run: Run3D) -> str:
    refinement = run.refinement
    if refinement is None:
        return note("These are not the files of an auto-refinement.", warning=True)
    side = sphere_figure(run.directions[0], "Directions of the particles") + half_fsc_chart(run, refinement)
    path = refinement.maps[0] if refinement.converged else refinement.half_maps[0]
    name = "Map of both halves" if refinement.converged else "First half"
    source = "FSC 0.143 between halves" if refinement.converged else "not converged"
    return _figures(run, source) + volume_card(path, name, path.name, side)


def _postprocessed(session: Session) -> str:
    stage = session.find("postprocess.star", "relion.postprocess")
    if stage is None:
        return ""
    head = f'<h2>Post-processing</h2><p class="key">{stage.name}.</p>'
    volume = next((path for name in ("postprocess_masked.mrc", "postprocess.mrc") if (path := stage.directory / name).is_file()), None)
    try:
        return head + result_section(stage.path, volume)
    except UserError as error:
        return head + note(str(error), warning=True)
