"""Report of a whole session: one HTML file with every stage of a project, from movies to maps."""

from collections.abc import Callable
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.web import distributions, session_classes, session_motion
from relion4plugin.web.page import document, escape, note
from relion4plugin.web.session_classes import classes_section
from relion4plugin.web.session_ctf import ctf_section
from relion4plugin.web.session_data import Session, read_session
from relion4plugin.web.session_maps import maps_section
from relion4plugin.web.session_motion import motion_section
from relion4plugin.web.session_overview import overview_section
from relion4plugin.web.session_picks import particles_section, picks_section
from relion4plugin.web.session_truth import truth_section

NAME = "report.html"
STYLE = (
    distributions.STYLE
    + session_motion.STYLE
    + session_classes.STYLE
    + ".montage{display:block;max-width:100%;height:auto}.key.below{margin:.5rem 0 0}"
)
_SECTIONS: tuple[Callable[[Session], str], ...] = (
    overview_section,
    motion_section,
    ctf_section,
    picks_section,
    particles_section,
    classes_section,
    maps_section,
    truth_section,
)
_FOOTER = (
    "Of stages that ran several times the newest is shown. Times of files are those at which they were written. Micrographs are "
    "smoothed to 20 Å; pictures of particles and classes are scaled each by its own grey values. Made by relion4plugin."
)


def write_report(root: Path | str, out_path: Path | str | None = None, truth: Path | str | None = None) -> Path:
    """Write the report of a project.

    Parameters
    ----------
    root : Path
        Folder with default_pipeline.star.
    out_path : Path, optional
        The HTML file; ``report.html`` in the project by default. It is replaced atomically.
    truth : Path, optional
        Folder with truth.star of simulated movies; looked for in the project and above its movies if not given.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UserError
        If it is no project, or the report cannot be written.
    """
    session = read_session(Path(root), None if truth is None else Path(truth))
    target = Path(out_path) if out_path is not None else Path(root) / NAME
    atomic_write_text(target, report_html(session))
    return target


def report_html(session: Session) -> str:
    """Return the whole page; of a stage whose files are missing or damaged, what is wrong with them stands in its place."""
    root = session.root.resolve()
    head = f"<header><h1>Session {escape(root.name)}</h1><p>{escape(str(root))}</p></header>"
    return document(f"Session {root.name}", "\n".join([head, *(_guarded(one, session) for one in _SECTIONS), _footer()]), STYLE)


def _guarded(section: Callable[[Session], str], session: Session) -> str:
    try:
        return section(session)
    except UserError as error:
        return note(str(error), warning=True)


def _footer() -> str:
    return f"<footer>{escape(_FOOTER)}</footer>"
