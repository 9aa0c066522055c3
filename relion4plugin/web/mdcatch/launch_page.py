"""The third page: a project that was started, its logs, its record, and where to watch it."""

from html import escape

from relion4plugin.errors import UserError
from relion4plugin.web.mdcatch.drafts import Draft
from relion4plugin.web.mdcatch.frame import full_page
from relion4plugin.web.mdcatch.launching import Started
from relion4plugin.web.monitor.logs import read_chunk
from relion4plugin.web.page import card, folded, note


def launch_page(draft: Draft, started: Started, monitor: str) -> str:
    """Return the page; `monitor` is the address of the project's monitor, empty where it has none."""
    plan, project = started.plan, started.launched.project
    watch = (
        f'<p><a class="main" href="{escape(monitor)}" target="_blank" rel="noopener">Open the monitor</a></p>'
        f'<p class="key">Or: <code>relion4plugin monitor {escape(str(project))}</code></p>'
        if monitor
        else note(f"Watch it in Scipion: open project {project.name} in {project}.")
    )
    runners = "".join(f"<li>scheme <b>{escape(one.scheme)}</b> runs as process {one.pid}</li>" for one in started.launched.runners)
    body = (
        card("Started", f'<p class="path">{escape(str(project))}</p><ul class="files">{runners}</ul>{watch}')
        + card("Logs", "".join(_log(draft, name, started) for name in started.logs))
        + folded(f"Record of the acquisition: {started.launched.record.name}", f'<pre class="log plain">{escape(_record(started))}</pre>')
        + '<div class="bar-below"><a href="/">Another session</a></div>'
    )
    links = {0: "/", 1: f"/check/{draft.id}"}
    below = f"{len(plan.facts.movies)} movies so far; new ones are taken too"
    return full_page(f"{plan.facts.name} is being processed", body, 2, links, below)


def _log(draft: Draft, name: str, started: Started) -> str:
    chunk = read_chunk(started.logs[name])
    address = escape(f"/tail/{draft.id}/{name}")
    return (
        f'<div class="logbox"><h3>{escape(name)} <small>{escape(str(started.logs[name]))}</small></h3>'
        f'<pre class="log" data-log="{address}" data-end="{chunk.end}" tabindex="0">{escape(chunk.text)}</pre></div>'
    )


def _record(started: Started) -> str:
    try:
        return read_chunk(started.launched.record).text
    except UserError as error:
        return str(error)
