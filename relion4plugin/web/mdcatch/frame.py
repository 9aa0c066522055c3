"""The frame of the pages: head, the steps from session to project, style sheet and script."""

from functools import lru_cache
from html import escape

from relion4plugin.web import page
from relion4plugin.web.serving.assets import static_text, tag

STEPS = ("Find session", "Check and launch", "Project")
SCRIPT = "mdcatch.js"
_HERE, _MONITOR = "relion4plugin.web.mdcatch", "relion4plugin.web.monitor"


@lru_cache(maxsize=1)
def style_sheet() -> str:
    """Return the style sheet: that of all reports, the monitor's, and that of these pages."""
    return page.STYLE + static_text(_MONITOR, "monitor.css") + static_text(_HERE, "mdcatch.css")


@lru_cache(maxsize=1)
def script() -> str:
    """Return the script; the pages do without it."""
    return static_text(_HERE, SCRIPT)


def full_page(title: str, body: str, step: int, links: dict[int, str] | None = None, below: str = "", refresh: float = 0) -> str:
    """Return a page.

    Parameters
    ----------
    title : str
        Heading and window title; escaped here.
    body : str
        Ready HTML.
    step : int
        Which of `STEPS` it is, from 0.
    links : dict
        Addresses of other steps.
    below : str
        Line below the heading; escaped here.
    refresh : float
        Seconds after which the browser asks again; 0 for never.
    """
    again = f'<meta http-equiv="refresh" content="{refresh:g}">' if refresh else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">{again}\n<title>{escape(title)}</title>\n'
        f'<link rel="stylesheet" href="/assets/style.css?v={tag(style_sheet())}">\n<link rel="icon" href="/assets/icon.png">\n'
        f'<script src="/assets/{SCRIPT}?v={tag(script())}" defer></script>\n</head>\n<body class="monitor mdcatch">\n<main>\n'
        f'<nav aria-label="Steps">{_steps(step, links or {})}</nav>\n<header><h1>{escape(title)}</h1><p>{escape(below)}</p></header>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _steps(here: int, links: dict[int, str]) -> str:
    items = []
    for number, text in enumerate(STEPS):
        words = f"<b>{number + 1}</b> {escape(text)}"
        if number == here:
            items.append(f'<span aria-current="step">{words}</span>')
        elif number in links:
            items.append(f'<a href="{escape(links[number])}">{words}</a>')
        else:
            items.append(f"<span>{words}</span>")
    return "".join(items)


def waiting_page(title: str, words: str, step: int) -> str:
    """Return a page that asks again until the work is done."""
    body = f'<div class="card waiting" role="status"><p>{escape(words or "One moment.")}</p></div>'
    return full_page(title, body, step, refresh=1)


def message(text: str, kind: str = "error") -> str:
    """Return a message at the top of a page; "" for none."""
    return f'<p class="message {kind}" role="alert">{escape(text)}</p>' if text else ""
