"""The frame of a page: head, navigation, places for its parts; style sheet and script come from this server alone."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from importlib.resources import files

from relion4plugin.web import page, scheme_svg


@lru_cache(maxsize=1)
def style_sheet() -> str:
    """Return the style sheet: that of all reports, of drawings of schemes, and the monitor's own."""
    return page.STYLE + scheme_svg.STYLE + _asset("monitor.css")


@lru_cache(maxsize=1)
def script() -> str:
    """Return the script."""
    return _asset("monitor.js")


@lru_cache(maxsize=1)
def icon() -> bytes:
    """Return the picture of the package, PNG."""
    return files("relion4plugin").joinpath("icon.png").read_bytes()


def _asset(name: str) -> str:
    return files("relion4plugin.web.monitor").joinpath("static", name).read_text(encoding="utf-8")


def _tag(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def part_tags(parts: Mapping[str, str]) -> dict[str, str]:
    """Return a short digest for each part."""
    return {name: _tag(html) for name, html in parts.items()}


def full_page(
    title: str, heading: str, parts: Mapping[str, str], *, schemes: Sequence[str], here: str, csrf: str, layout: Sequence[Sequence[str]]
) -> str:
    """Return a page.

    Parameters
    ----------
    title : str
        Window title; escaped here.
    heading : str
        Ready HTML of the heading.
    parts : mapping
        Ready HTML by name.
    schemes : sequence of str
        Names for the navigation.
    here : str
        Address of the page, from which the script asks for changed parts.
    csrf : str
        What the script sends with every change.
    layout : sequence of sequences
        Names of parts, column by column; one column for all pages without columns.
    """
    links = "".join(f'<a href="/scheme/{escape(name)}"{_mark(here, f"/scheme/{name}")}>{escape(name)}</a>' for name in schemes)
    navigation = f'<nav><a href="/"{_mark(here, "/")}>Overview</a>{links}<a href="/jobs"{_mark(here, "/jobs")}>Jobs</a></nav>'
    tags = part_tags(parts)
    columns = "".join(
        f'<div class="column">{"".join(_place(name, parts[name], tags[name]) for name in names if name in parts)}</div>' for names in layout
    )
    body = f'<div class="columns">{columns}</div>' if len(layout) > 1 else columns
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="monitor" data-here="{escape(here)}" content="{escape(csrf)}">\n<title>{escape(title)}</title>\n'
        f'<link rel="stylesheet" href="/assets/style.css?v={_tag(style_sheet())}">\n<link rel="icon" href="/assets/icon.png">\n'
        f'<script src="/assets/monitor.js?v={_tag(script())}" defer></script>\n</head>\n<body class="monitor">\n<main>\n'
        f'{navigation}<header><h1>{heading}</h1><p id="told" role="status" aria-live="polite"></p></header>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _mark(here: str, target: str) -> str:
    return ' aria-current="page"' if here == target else ""


def _place(name: str, html: str, tag: str) -> str:
    return f'<section class="part" id="part-{escape(name)}" data-tag="{tag}">{html}</section>'


def plain_page(title: str, text: str, forward: str = "") -> str:
    """Return a page that says one thing; `forward` is an address that it goes on to."""
    refresh = f'<meta http-equiv="refresh" content="0;url={escape(forward)}">' if forward else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">{refresh}<title>{escape(title)}</title></head>\n'
        f"<body><h1>{escape(title)}</h1><p>{escape(text)}</p></body>\n</html>\n"
    )
