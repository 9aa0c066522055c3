"""The pages as parts, each ready HTML under a name: only parts that have changed are sent again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.schemes.model import CONTINUE, NEW, Scheme
from relion4plugin.schemes.status import FOREIGN, RUNNING, STALE, ProjectReader, ProjectStatus, SchemeStatus
from relion4plugin.web.monitor.actions import template_options
from relion4plugin.web.monitor.class_strip import newest_strips, strip_html, strip_of
from relion4plugin.web.monitor.course import charts_html, figures_html
from relion4plugin.web.monitor.logs import job_directory
from relion4plugin.web.monitor.tables import badge, clock, files_html, history_html, job_link, jobs_html, setting_form, variables_html
from relion4plugin.web.page import note, table
from relion4plugin.web.scheme_svg import svg_of_scheme, unused_nodes

Parts = dict[str, str]


@dataclass(frozen=True)
class Views:
    """Makes the parts of pages from the state of a project; `can_edit` is False for a page that only shows."""

    reader: ProjectReader
    can_edit: bool

    def overview(self, status: ProjectStatus) -> Parts:
        """Return the parts of the first page."""
        root, pipeline = Path(status.root), status.pipeline
        strips = "".join(strip_html(one) for one in newest_strips(root, pipeline, self.reader.cache))
        return {
            "state": (note(status.error, warning=True) if status.error else "") + _scheme_cards(status),
            "figures": figures_html(status.quantities),
            "charts": _section("Course", charts_html(status.quantities, status.schemes)),
            "classes": _section("Class averages", strips),
            "jobs": _section("Jobs", jobs_html(status, _minute())),
        }

    def jobs(self, status: ProjectStatus) -> Parts:
        """Return the parts of the page of all jobs."""
        return {"jobs": jobs_html(status, _minute(), None)}

    def scheme(self, status: ProjectStatus, name: str) -> Parts:
        """Return the parts of the page of a scheme.

        Raises
        ------
        UserError
            If there is no such scheme.
        """
        one = status.scheme(name)
        if one.scheme is None:
            return {"state": note(one.error, warning=True)}
        states = {node.name: node for node in one.nodes}
        drawing = svg_of_scheme(one.scheme, states, standalone=False, link="/job/")
        unused = unused_nodes(one.scheme)
        aside = f'<p class="key">Not in the graph: {escape(", ".join(unused))}</p>' if unused else ""
        can_edit = self.can_edit and one.state != FOREIGN
        current = next((node.job for node in one.nodes if node.name == one.current_node), "")
        log = f"/log/job/{current}" if current else f"/log/scheme/{name}/"
        return {
            "state": _scheme_head(one, self.can_edit),
            "graph": drawing + aside,
            "log": _log_boxes(log, current.rstrip("/") or f"scheme {name}", ("run.out", "run.err")),
            "history": _section("History", history_html(one.history.recent)),
            "nodes": _section("Jobs and their options", _nodes_table(one, can_edit)),
            "variables": _section("Variables", variables_html(one, can_edit)),
        }

    def template(self, status: ProjectStatus, name: str, job: str) -> Parts:
        """Return the parts of the page of a job's template.

        Raises
        ------
        UserError
            If there is no such scheme or job.
        """
        one = status.scheme(name)
        if one.scheme is None:
            raise UserError(one.error)
        can_edit = self.can_edit and one.state != FOREIGN
        options = template_options(self.reader.project, one.scheme, job)
        rows = "".join(
            f"<tr><td>{escape(key)}</td><td>{setting_form(name, {'what': 'option', 'job': job, 'name': key}, value, can_edit)}</td></tr>"
            for key, value in sorted(options.items())
        )
        return {
            "state": _scheme_head(one, False),
            "options": f'<table class="left edit"><thead><tr><th>Option</th><th>Value</th></tr></thead><tbody>{rows}</tbody></table>',
        }

    def job(self, status: ProjectStatus, name: str) -> Parts:
        """Return the parts of the page of a job.

        Raises
        ------
        UserError
            If there is no such job.
        """
        directory, job = job_directory(status, name), status.job(name)
        strip = strip_of(Path(status.root), job.name, status.pipeline, self.reader.cache)
        try:
            parameters = self.reader.cache.get(directory / "job.star", read_job_star)
            rows = sorted(parameters.options.items()) if parameters is not None else []
            options = table(("Option", "Value"), rows, text_columns=(0, 1)) if rows else '<p class="key">No job.star yet.</p>'
        except UserError as error:
            options = note(str(error), warning=True)
        scheme = job.node.partition("/")[0]
        made_by = f' by <a href="/scheme/{escape(scheme)}">{escape(job.node)}</a>' if scheme else ""
        return {
            "state": f'<p class="line">{badge(job.status)} {escape(job.type_label)}{made_by}, '
            f"started {clock(job.started)}, ended {clock(job.ended)}</p>",
            "classes": strip_html(strip) if strip is not None else "",
            "log": _log_boxes(f"/log/job/{job.name}", "", ("run.out", "run.err", "note.txt")),
            "files": _section("Files", files_html(job.name, status.pipeline)),
            "options": _section("Options", options),
        }


def _minute() -> float:
    """Return the time in whole minutes: running times should not change every part every second."""
    return time.time() // 60 * 60


def _section(title: str, content: str) -> str:
    return f"<h2>{escape(title)}</h2>{content}" if content else ""


def _scheme_cards(status: ProjectStatus) -> str:
    cards = "".join(
        f'<a class="card scheme" href="/scheme/{escape(one.name)}"><h3>{escape(one.name)} {badge(one.state)}</h3>'
        f"<p>{escape(_beside_badge(one))}</p></a>"
        for one in status.schemes
    )
    return f'<div class="schemes">{cards}</div>' if cards else note("This project has no schemes.")


def _beside_badge(one: SchemeStatus) -> str:
    """Return the summary without the state, which the badge shows."""
    return one.summary.removeprefix(f"{one.state}, ")


def _scheme_head(one: SchemeStatus, can_edit: bool) -> str:
    owner = f'<p class="key">{escape(one.owner)}</p>' if one.owner and one.is_locked else ""
    buttons = ""
    if can_edit:
        offers = [("abort", "Abort", one.is_locked), ("restart", "Restart", not one.is_locked), ("reset", "Reset", one.state != FOREIGN)]
        if one.state in (STALE, FOREIGN):
            offers.append(("unlock", "Remove lock", True))
        buttons = "".join(
            f'<button class="act" data-scheme="{escape(one.name)}" data-what="{what}"{"" if enabled else " disabled"}>{text}</button>'
            for what, text, enabled in offers
        )
        buttons = f'<div class="tools">{buttons}</div>'
    hint = note("Another program, such as RELION's, runs this scheme: it can be aborted, but not changed.") if one.state == FOREIGN else ""
    later = '<p class="key">It runs: changes are made before its next node.</p>' if one.state == RUNNING and can_edit else ""
    return f'<p class="line">{badge(one.state)} {escape(_beside_badge(one))}</p>{owner}{hint}{buttons}{later}'


def _nodes_table(one: SchemeStatus, can_edit: bool) -> str:
    """Return the nodes of a scheme, jobs first, with mode, directory, and a button to go on there."""
    scheme = one.scheme or Scheme(one.name)
    rows = []
    for node in sorted(one.nodes, key=lambda node: node.name not in scheme.jobs):
        job = scheme.jobs.get(node.name)
        if job is not None and not job.mode:
            continue  # a row that never runs
        mode, link = "", escape(node.name)
        if job is not None:
            link = f'<a href="/scheme/{escape(one.name)}/template/{escape(node.name)}">{escape(node.name)}</a>'
            other = NEW if job.mode == CONTINUE else CONTINUE
            mode = escape(job.mode) + (_node_button(one.name, "mode", node.name, other, f"make {other}") if can_edit else "")
        start = _node_button(one.name, "node", node.name, "", "go on here") if can_edit and node.name != one.current_node else ""
        place = job_link(node.job) if node.job else ""
        rows.append(f"<tr><td>{link}</td><td>{badge(node.state)}</td><td>{place}</td><td>{mode}</td><td>{start}</td></tr>")
    head = "<tr><th>Node</th><th>State</th><th>Directory</th><th>Mode</th><th></th></tr>"
    return f'<div class="scroll"><table class="left edit"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _node_button(scheme: str, what: str, name: str, value: str, text: str) -> str:
    fields = (("scheme", scheme), ("what", what), ("name", name), ("value", value))
    data = "".join(f' data-{key}="{escape(one)}"' for key, one in fields)
    return f' <button class="act small"{data}>{escape(text)}</button>'


def _log_boxes(address: str, owner: str, names: Sequence[str]) -> str:
    """Return empty boxes that the script fills and keeps filled; they are part of the page as long as the address stays."""
    boxes = "".join(
        f'<div class="logbox"><h3>{escape(f"{owner} {name}".strip())}</h3>'
        f'<pre class="log" data-log="{escape(address + name)}" tabindex="0"></pre></div>'
        for name in names
    )
    return f'<div class="logs">{boxes}</div>'
