"""Report of a 3D run: one HTML file with the maps, their directions and curves, and how the run went."""

import math
from pathlib import Path

from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.files.model3d_star import Refine3DResults
from relion4plugin.web.charts import Mark
from relion4plugin.web.curves import LIKELIHOOD, Curve
from relion4plugin.web.page import card, document, escape, figure, folded, note
from relion4plugin.web.report3d_parts import (
    class_side,
    fsc_course_card,
    half_fsc_chart,
    sphere_figure,
    ssnr_chart,
    verdict_section,
    volume_card,
)
from relion4plugin.web.report3d_run import Kind, Run3D, read_3d_run
from relion4plugin.web.sections import class_table, course_section, inputs_section
from relion4plugin.web.wording import angstrom, duration

CLASS_CHANGES = Curve("Changes of class", "share of particles", (("changed_classes", "class"),))
CURVES = (
    Curve("Resolution", "Å", (("resolution", "resolution"),)),
    Curve("Image size used", "px", (("current_size", "current size"),), integers=True),
    Curve("Angles", "degrees", (("angular_step", "step"), ("accuracy_rotation", "accuracy"))),
    Curve("Offsets", "Å", (("offset_step", "step"), ("accuracy_translation", "accuracy"), ("offset_range", "range"))),
    Curve("Confidence of the poses", "mean largest probability", (("ave_pmax", "Pmax"),)),
    Curve("Step size", "", (("stepsize", "step size"),), must_vary=True),
    Curve("Regularisation T", "", (("tau2_fudge", "T"),), must_vary=True),
    Curve("Particles per iteration", "", (("subset_size", "particles"),), integers=True, must_vary=True),
    Curve(LIKELIHOOD, "per particle", (("log_likelihood", "log-likelihood"),), from_zero=False),
    Curve("Spread of the offsets", "Å", (("sigma_offset", "sigma"),)),
    Curve("Changes of orientation", "degrees", (("changed_orientations", "orientation"),)),
    Curve("Changes of offset", "Å", (("changed_offsets", "offset"),)),
    CLASS_CHANGES,
    Curve("Time per iteration", "seconds", (("seconds", "wall clock"), ("cpu_seconds", "CPU"))),
)
KEY = (
    "Directions of view, with all that the symmetry makes equivalent, in an equal-area map of the sphere: "
    "rot from −180° at the left to 180°, tilt from 0° at the top to 180°."
)
RESOLUTIONS = "While the halves are refined, the resolution is that at FSC 0.5; at the end, from both halves, that at FSC 0.143. "
FOOTER = (
    "Slices pass through the origin, voxel N/2; projections are means along the axis. The three slices of a map share one grey scale, "
    "and so do its projections. Rows and columns are (y, x) across z, (z, x) across y and (z, y) across x. "
    "Share: of the posterior weight. Made by relion4plugin."
)


def write_report(run_dir: Path | str, out_path: Path | str | None = None) -> Path:
    """Write the report of a run directory: of its final files, or else of the newest finished iteration.

    Parameters
    ----------
    run_dir : Path
        Directory with ``run_itNNN_model.star`` and its companions, of this program or of RELION.
    out_path : Path, optional
        The HTML file; ``report.html`` in the run directory by default. It is replaced atomically.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UserError
        If the directory holds no 3D run, a companion file is missing, or the report cannot be written.
    """
    run = read_3d_run(Path(run_dir))
    target = Path(out_path) if out_path is not None else Path(run_dir) / "report.html"
    atomic_write_text(target, report_html(run))
    return target


def report_html(run: Run3D) -> str:
    """Return the whole page of one run as HTML text."""
    parts = [
        f"<header><h1>{escape(run.kind.value)}</h1><p>{escape(str(run.directory))}</p></header>",
        _remarks(run),
        _summary(run),
        *(["<h2>Verdict</h2>", verdict_section(run, run.verdict)] if run.verdict else []),
        *_maps(run),
        "<h2>How the run went</h2>",
        course_section(run, [curve for curve in CURVES if run.n_classes > 1 or curve is not CLASS_CHANGES], _marks(run)),
        "<h2>Input and settings</h2>",
        inputs_section(run),
        f"<footer>{RESOLUTIONS if run.kind is Kind.REFINEMENT else ''}{FOOTER}</footer>",
    ]
    return document(f"{run.kind.value}: {run.directory.name}", "\n".join(part for part in parts if part))


def _remarks(run: Run3D) -> str:
    if run.finished:
        return ""
    of = "" if run.kind is Kind.REFINEMENT else f" of {run.n_iterations}"
    text = f"The run is in progress or was stopped: iteration {run.iteration}{of} is shown."
    if run.algorithm == "VDAM":
        text += " Particle counts and directions are those of the particles visited so far; the last iteration visits all of them."
    return note(text, warning=True)


def _summary(run: Run3D) -> str:
    filled = int((run.counts > 0).sum())
    total = f"{run.iteration}" if run.kind is Kind.REFINEMENT else f"{run.iteration} of {run.n_iterations}"
    state = ("converged" if run.finished else "not converged") if run.kind is Kind.REFINEMENT else run.algorithm
    source = "FSC 0.143 between halves" if run.finished and run.refinement else ""
    figures = [
        figure("Particles", f"{run.n_particles:,}", f"{run.n_micrographs:,} micrographs" if run.n_micrographs else ""),
        figure("Resolution", angstrom(run.results.current_resolution), source),
        figure("Iterations", total, state),
        figure("Symmetry", run.symmetry, f"T = {run.tau2_fudge:g}"),
        figure("Box", f"{run.results.box} px", f"{run.results.pixel_size:g} Å/px"),
    ]
    if run.n_classes > 1:
        figures.insert(1, figure("Classes", f"{filled} of {run.n_classes}", "populated"))
    step = run.angular_step
    accuracy = [a for a in run.accuracy_rotations if math.isfinite(a) and a < 999]
    if step is not None:
        figures.append(figure("Angular step", f"{step:.2g}°", f"accuracy {min(accuracy):.2g}°" if accuracy else ""))
    wall, cpu = run.total("seconds"), run.total("cpu_seconds")
    if wall is not None:
        figures.append(figure("Time", duration(wall), "wall clock" + (f", {duration(cpu)} CPU" if cpu is not None else "")))
    return f'<dl class="figures">{"".join(figures)}</dl>'


def _maps(run: Run3D) -> list[str]:
    """Headings and cards of all maps, most important first."""
    if run.refinement is not None:
        return _refinement_maps(run, run.refinement)
    parts = []
    if run.initial_map is not None:
        words = run.verdict.symmetry if run.verdict else ""
        parts += ["<h2>Initial model</h2>", volume_card(run.initial_map, run.initial_map.name, f"symmetry {words}" if words else "")]
    heading = "Classes, most populated first" if run.n_classes > 1 else "Map"
    parts.append(f'<h2>{heading}</h2><p class="key">{KEY}</p>')
    largest = max(float(run.distribution.max()), 1e-12)
    for k in run.order:
        count, share = int(run.counts[k]), float(run.distribution[k])
        detail = f"{count:,} particles · {100 * share:.1f} % · {angstrom(float(run.class_resolution[k]))}"
        bar = share / largest if run.n_classes > 1 else None
        parts.append(volume_card(run.results.maps[k], f"Class {k + 1}", detail, class_side(run, k), bar))
    if run.n_classes > 1:
        parts.append(f'<div class="charts">{card("Signal-to-noise ratio of all classes", ssnr_chart(run, run.order), wide=True)}</div>')
        parts.append(folded("Class table", class_table(run)))
    return parts


def _refinement_maps(run: Run3D, refinement: Refine3DResults) -> list[str]:
    side = sphere_figure(run.directions[0], "Directions of all particles") + half_fsc_chart(run, refinement)
    parts = [f'<h2>Maps</h2><p class="key">{KEY}</p>']
    if refinement.converged:
        detail = f"both halves · {angstrom(run.results.current_resolution)}"
        parts.append(volume_card(refinement.maps[0], "Final map", detail, side))
        side = ""
    kind = "unfiltered" if refinement.converged else "regularised"
    for half, path in enumerate(refinement.half_maps, start=1):
        parts.append(volume_card(path, f"Half {half}", kind, side if half == 1 else ""))
    return [*parts, f'<div class="charts">{fsc_course_card(run, refinement)}</div>']


def _marks(run: Run3D) -> list[Mark]:
    """Iterations at which something changed for good: local searches began, the run converged."""
    marks = []
    for key, text in (("local", "local angular searches begin"), ("converged", "converged")):
        first = next((r for r in run.records if r.get(key)), None)
        if first is not None:
            marks.append(Mark(float(first["iteration"]), f"iteration {first['iteration']}: {text}"))
    return marks
