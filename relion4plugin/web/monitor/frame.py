"""The frame of a page: head, navigation, places for its parts; style sheet and script come from this server alone."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape

from relion4plugin.web import page, scheme_svg
from relion4plugin.web.serving.assets import static_text, tag


@lru_cache(maxsize=1)
def style_sheet() -> str:
    """Return the style sheet: that of all reports, of drawings of schemes, and the monitor's own."""
    return page.STYLE + scheme_svg.STYLE + static_text("relion4plugin.web.monitor", "monitor.css")


@lru_cache(maxsize=1)
def script() -> str:
    """Return the script."""
    return static_text("relion4plugin.web.monitor", "monitor.js")


def part_tags(parts: Mapping[str, str]) -> dict[str, str]:
    """Return a short digest for each part."""
    return {name: tag(html) for name, html in parts.items()}


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
        f'<link rel="stylesheet" href="/assets/style.css?v={tag(style_sheet())}">\n<link rel="icon" href="/assets/icon.png">\n'
        f'<script src="/assets/monitor.js?v={tag(script())}" defer></script>\n</head>\n<body class="monitor">\n<main>\n'
        f'{navigation}<header><h1>{heading}</h1><p id="told" role="status" aria-live="polite"></p></header>\n'
        f"{body}\n</main>\n</body>\n</html>\n"
    )


def _mark(here: str, target: str) -> str:
    return ' aria-current="page"' if here == target else ""


def _place(name: str, html: str, tag: str) -> str:
    return f'<section class="part" id="part-{escape(name)}" data-tag="{tag}">{html}</section>'
