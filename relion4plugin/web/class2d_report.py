"""Report of a 2D classification: one HTML file with the class gallery, its figures and how the run went."""

import math
from pathlib import Path

from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.web.class2d_curves import CURVES
from relion4plugin.web.class2d_run import Class2DRun, read_run
from relion4plugin.web.images import grey_levels, png_data_uri
from relion4plugin.web.page import document, escape, figure, folded, note
from relion4plugin.web.sections import class_table, course_section, inputs_section
from relion4plugin.web.wording import angstrom, duration

GALLERY_KEY = "Below each average: class number and particles; distribution and estimated resolution. The bar is the distribution."


def write_report(run_dir: Path | str, out_path: Path | str | None = None) -> Path:
    """Write the report of the newest iteration found in a run directory.

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
        If the directory holds no classification, a companion file is missing, or the report cannot be written.
    """
    run = read_run(Path(run_dir))
    target = Path(out_path) if out_path is not None else Path(run_dir) / "report.html"
    atomic_write_text(target, report_html(run))
    return target


def report_html(run: Class2DRun) -> str:
    """Return the whole page of one run as HTML text."""
    title = f"2D classification: {run.directory.name}"
    parts = [
        f"<header><h1>2D classification</h1><p>{escape(str(run.directory))}</p></header>",
        _remarks(run),
        _summary(run),
        f"<h2>Classes, most populated first</h2><p class=\"key\">{GALLERY_KEY}</p>{_gallery(run)}",
        folded("Class table", class_table(run)),
        "<h2>How the run went</h2>",
        course_section(run, CURVES),
        "<h2>Input and settings</h2>",
        inputs_section(run),
        "<footer>Pictures are scaled per class between the 0.5 and 99.5 percentiles of its grey values. "
        "Particles: number assigned to the class. Distribution: share of the posterior weight, averaged over mini-batches in VDAM, "
        "hence not exactly the share of particles. Made by relion4plugin.</footer>",
    ]
    return document(title, "\n".join(parts))


def _remarks(run: Class2DRun) -> str:
    if run.finished:
        return ""
    text = f"The run is in progress or was stopped: iteration {run.iteration} of {run.n_iterations} is shown."
    if run.algorithm == "VDAM":
        text += " Particle counts are those of the particles visited so far; the last iteration assigns all of them."
    return note(text, warning=True)


def _summary(run: Class2DRun) -> str:
    filled = int((run.counts > 0).sum())
    share = run.distribution[run.distribution > 0]
    share = share / share.sum() if share.sum() > 0 else share
    effective = math.exp(-float((share * [math.log(p) for p in share]).sum())) if len(share) else 0.0
    best = [r for r in run.class_resolution if math.isfinite(r)]
    figures = [
        figure("Particles", f"{run.n_particles:,}", f"{run.n_micrographs:,} micrographs" if run.n_micrographs else ""),
        figure("Classes", f"{filled} of {run.n_classes}", f"populated; {effective:.1f} effective"),
        figure("Iterations", f"{run.iteration} of {run.n_iterations}", "mini-batches" if run.algorithm == "VDAM" else ""),
        figure("Algorithm", run.algorithm, f"T = {run.tau2_fudge:g}"),
        figure("Resolution", angstrom(run.resolution), f"best class {angstrom(min(best))}" if best else ""),
        figure("Box", f"{run.box_size} px", f"{run.pixel_size:g} Å/px"),
    ]
    wall, cpu = run.total("seconds"), run.total("cpu_seconds")
    if wall is not None:
        figures.append(figure("Time", duration(wall), "wall clock"))
    if cpu is not None:
        figures.append(figure("CPU time", duration(cpu), ""))
    return f'<dl class="figures">{"".join(figures)}</dl>'


def _gallery(run: Class2DRun) -> str:
    largest = max(float(run.distribution.max()), 1e-12)
    return f'<ul class="gallery">{"".join(_tile(run, k, largest) for k in run.order)}</ul>'


def _tile(run: Class2DRun, k: int, largest: float) -> str:
    count, share = int(run.counts[k]), float(run.distribution[k])
    picture = png_data_uri(grey_levels(run.images[k]))
    label = f"Average of class {k + 1}, {count} particles"
    width = 100.0 * share / largest
    return (
        f'<li class="tile{"" if count else " empty"}"><img src="{picture}" alt="{escape(label)}" title="{escape(label)}" '
        f'width="{run.box_size}" height="{run.box_size}">'
        '<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="4"/>'
        f'<rect class="fill" width="{width:.1f}" height="4"/></svg>'
        f'<div class="caption"><div class="row"><b>#{k + 1}</b><b>{count:,}</b></div>'
        f'<div class="row"><span>{100 * share:.1f} %</span><span>{angstrom(float(run.class_resolution[k]))}</span></div></div></li>'
    )
