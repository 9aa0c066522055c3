"""Jobs, history and variables as tables of a page."""

import time
from collections.abc import Mapping, Sequence
from html import escape

from relion4plugin.schemes.history import Happening
from relion4plugin.schemes.pipeline import Pipeline
from relion4plugin.schemes.status import JobStatus, ProjectStatus, SchemeStatus, VariableStatus
from relion4plugin.web.wording import duration

NEWEST = 30


def job_link(name: str) -> str:
    """Return a link to the page of a job."""
    plain = escape(name.rstrip("/"))
    return f'<a href="/job/{plain}">{plain}</a>'


def badge(state: str) -> str:
    """Return a state with its colour."""
    return f'<span class="badge {escape(state.split(",")[0].split()[0].lower() if state else "")}">{escape(state)}</span>'


def clock(moment: float | None) -> str:
    """Return day and time of a moment; a dash for none."""
    return "–" if moment is None else time.strftime("%d %b %H:%M:%S", time.localtime(moment))


def jobs_html(status: ProjectStatus, now: float, most: int | None = NEWEST) -> str:
    """Return how many jobs are in each state, and the newest jobs, newest first."""
    counts = " · ".join(f"{n:,} {name.lower()}" for name, n in status.job_counts().items() if n) or "no jobs yet"
    shown = status.jobs[::-1] if most is None else status.jobs[: -most - 1 : -1]
    head = "".join(f"<th>{title}</th>" for title in ("Job", "State", "Type", "Scheme", "Started", "Took"))
    rows = "".join(_job_row(job, now) for job in shown)
    more = f'<p class="key"><a href="/jobs">all {len(status.jobs):,} jobs</a></p>' if len(status.jobs) > len(shown) else ""
    table = f'<div class="scroll"><table class="left"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    return f'<p class="key">{escape(counts)}</p>{table if shown else ""}{more}'


def _job_row(job: JobStatus, now: float) -> str:
    end = job.ended if job.ended is not None else now if job.status == "Running" else None
    took = duration(end - job.started) if end is not None and job.started is not None and end >= job.started else "–"
    name = job_link(job.name) + (f" <small>{escape(job.alias)}</small>" if job.alias else "")
    return (
        f"<tr><td>{name}</td><td>{badge(job.status)}</td><td>{escape(job.type_label)}</td><td>{_node_link(job.node)}</td>"
        f"<td>{clock(job.started)}</td><td>{took}</td></tr>"
    )


def _node_link(node: str) -> str:
    if not node:
        return "–"
    scheme = node.partition("/")[0]
    return f'<a href="/scheme/{escape(scheme)}">{escape(node)}</a>'


def history_html(lines: Sequence[Happening], most: int = 25) -> str:
    """Return what happened last, newest first."""
    items = "".join(
        f"<li{' class=bad' if line.is_bad else ''}><time>{clock(line.time)}</time> {_node_name(line.node)}{escape(line.text)}</li>"
        for line in lines[: -most - 1 : -1]
    )
    return f'<ol class="history">{items}</ol>' if items else '<p class="key">Nothing has been recorded yet.</p>'


def _node_name(node: str) -> str:
    return f"<b>{escape(node)}</b> " if node else ""


def variables_html(one: SchemeStatus, can_edit: bool) -> str:
    """Return the variables of a scheme, each in a form where it may be changed."""
    rows = "".join(_variable_row(one.name, variable, can_edit) for variable in one.variables)
    head = "<tr><th>Variable</th><th>Kind</th><th>Value</th><th>At reset</th></tr>"
    return f'<table class="left edit"><thead>{head}</thead><tbody>{rows}</tbody></table>' if rows else '<p class="key">No variables.</p>'


def _variable_row(scheme: str, one: VariableStatus, can_edit: bool) -> str:
    value = setting_form(scheme, {"what": "variable", "name": one.name}, one.value, can_edit)
    return f"<tr><td>{escape(one.name)}</td><td>{one.kind}</td><td>{value}</td><td>{escape(one.reset)}</td></tr>"


def setting_form(scheme: str, fields: Mapping[str, str], value: str, can_edit: bool) -> str:
    """Return a value in a form whose script sends `fields` with the new value; only the value where it may not be changed."""
    if not can_edit:
        return escape(value)
    data = "".join(f' data-{escape(key)}="{escape(text)}"' for key, text in fields.items())
    label = escape(fields["name"])
    return (
        f'<form class="setting" data-scheme="{escape(scheme)}"{data}><input name="value" value="{escape(value)}" aria-label="{label}" '
        'autocomplete="off" spellcheck="false"><button>Set</button></form>'
    )


def files_html(job: str, pipeline: Pipeline) -> str:
    """Return the files that a job used and made, with links to the jobs that made or use them."""
    made = {node: process for process, node in pipeline.outputs}
    users: dict[str, list[str]] = {}
    for node, process in pipeline.inputs:
        users.setdefault(node, []).append(process)
    rows = [("used", node, [made[node]] if node in made else []) for node in pipeline.inputs_of(job)]
    rows += [("made", node, users.get(node, [])) for node in pipeline.outputs_of(job)]
    if not rows:
        return '<p class="key">No files in the pipeline yet.</p>'
    body = "".join(
        f"<tr><td>{kind}</td><td>{escape(node)}</td><td>{escape(pipeline.nodes[node].type_label)}</td>"
        f"<td>{', '.join(job_link(name) for name in jobs)}</td></tr>"
        for kind, node, jobs in rows
    )
    head = "<tr><th></th><th>File</th><th>Kind</th><th>Made or used by</th></tr>"
    return f'<div class="scroll"><table class="left"><thead>{head}</thead><tbody>{body}</tbody></table></div>'
