"""Frame of a self-contained page: style sheet, content policy, and small building blocks whose text is always escaped."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape

_LIGHT = ("4477aa", "66ccee", "228833", "ccbb44", "ee6677", "aa3377", "88a9cc", "44aa99", "999933", "dd9955", "882255", "6655bb")
_DARK = ("6699dd", "77d4f0", "44b060", "ddcc66", "ff8796", "cc66a0", "a6c4e6", "66ccbb", "bbbb55", "eeb070", "b8588a", "9a8ae6")


def _palette(colours: Sequence[str]) -> str:
    return "".join(f"--s{i}:#{c};" for i, c in enumerate(colours))


_SERIES = "".join(
    f".line.s{i}{{stroke:var(--s{i})}}.area.s{i}{{fill:var(--s{i})}}.swatch.s{i}{{background:var(--s{i})}}" for i in range(len(_LIGHT))
)

STYLE = (
    ":root{color-scheme:light dark;--bg:#f5f6f8;--card:#fff;--ink:#1b2430;--soft:#5c6878;--line:#dde2e8;--grid:#e9edf1;"
    f"--accent:#2f6db3;--warn:#b35c00;--rest:#c3cad3;{_palette(_LIGHT)}}}"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1a2028;--ink:#e6eaf0;--soft:#9aa6b5;--line:#2c3541;--grid:#262e38;"
    f"--accent:#7db3f0;--warn:#f0a860;--rest:#4a5563;{_palette(_DARK)}}}}}"
    """
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1240px;margin:0 auto;padding:20px 16px 48px}
header h1{font-size:1.55rem;margin:0;letter-spacing:-.01em}
header p{margin:.2rem 0 0;color:var(--soft);overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2rem 0 .7rem}
.key{margin:-.4rem 0 .7rem;color:var(--soft);font-size:.8rem}
h3{font-size:.92rem;margin:0 0 .4rem;font-weight:600}
.note{border-left:3px solid var(--accent);background:var(--card);padding:.6rem .9rem;border-radius:0 8px 8px 0}
.note{margin:1rem 0;color:var(--soft)}
.note.warn{border-color:var(--warn)}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));gap:10px;margin:1.1rem 0 0}
.figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.65rem .8rem}
.figure dt{color:var(--soft);font-size:.78rem}
.figure dd{margin:0;font-size:1.16rem;font-weight:600;font-variant-numeric:tabular-nums;white-space:nowrap}
.figure small{display:block;white-space:normal;color:var(--soft);font-size:.76rem;font-weight:400;overflow-wrap:anywhere}
.gallery{list-style:none;margin:0;padding:0;display:grid;grid-template-columns:repeat(auto-fill,minmax(128px,1fr));gap:12px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden}
.tile img{display:block;width:100%;height:auto;aspect-ratio:1;background:#808080}
.tile.empty{opacity:.5}
.bar{display:block;width:100%;height:4px}
.bar .track{fill:var(--grid)}.bar .fill{fill:var(--accent)}
.caption{padding:.4rem .55rem .5rem;font-size:.78rem;color:var(--soft);font-variant-numeric:tabular-nums}
.caption b{color:var(--ink);font-size:.86rem}
.caption .row{display:flex;justify-content:space-between;gap:.4rem}
.charts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(340px,100%),1fr));gap:12px}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.75rem .85rem}
.card.span{grid-column:1/-1}
.chart{display:block;width:100%;height:auto}
.chart text{font-size:11.5px;fill:var(--soft);font-variant-numeric:tabular-nums}
.chart.wide text{font-size:9.5px}
.chart .grid{stroke:var(--grid)}.chart .axis{stroke:var(--soft);stroke-width:.8}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.area{stroke:var(--card);stroke-width:.5}.area.rest{fill:var(--rest)}
.area:hover{filter:brightness(1.12)}
.hover{fill:transparent}.hover:hover{fill:var(--soft);fill-opacity:.18}
.mark line{stroke:var(--warn);stroke-width:1;stroke-dasharray:2 3}.mark path{fill:var(--warn)}
.level{stroke:var(--soft);stroke-width:.8;stroke-dasharray:4 4}
.volume{display:grid;grid-template-columns:minmax(0,3fr) minmax(0,2fr);gap:6px 22px;align-items:start;margin:0 0 12px}
.volume>h3,.volume>.bar{grid-column:1/-1}
.volume h3 span{color:var(--soft);font-weight:400;margin-left:.8em;font-variant-numeric:tabular-nums}
.views{display:grid;grid-template-columns:repeat(3,1fr);gap:6px;margin:.3rem 0 0}
.volume.plain{grid-template-columns:1fr}
.plain .views{grid-template-columns:repeat(6,1fr)}
.views figure,.sphere{margin:0}
.views img{display:block;width:100%;height:auto;aspect-ratio:1;border-radius:6px;background:#808080}
figcaption{color:var(--soft);font-size:.76rem;margin:.15rem 0 .2rem}
.volume p.caption{margin:.1rem 0 .6rem;padding:0;font-size:.76rem}
.sphere img{display:block;width:100%;height:auto}
.sphere .scale{display:flex;align-items:center;gap:.6em;justify-content:center;color:var(--soft);font-size:.76rem}
.sphere .scale img{width:38%;height:9px;border-radius:3px}
.legend{list-style:none;margin:.5rem 0 0;padding:0;display:flex;flex-wrap:wrap;gap:.2rem .9rem;font-size:.78rem;color:var(--soft)}
.swatch{display:inline-block;width:.72em;height:.72em;border-radius:3px;margin-right:.4em;background:var(--rest)}
details{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.6rem .85rem;margin:.7rem 0}
summary{cursor:pointer;font-weight:600}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.82rem;font-variant-numeric:tabular-nums;margin-top:.5rem}
th,td{text-align:right;padding:.25rem .6rem;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}
td.text,th.text{text-align:left;white-space:normal;overflow-wrap:anywhere}
th{color:var(--soft);font-weight:600;white-space:normal}
footer{margin-top:2.2rem;color:var(--soft);font-size:.8rem}
@media(max-width:760px){.volume{grid-template-columns:1fr}.plain .views{grid-template-columns:repeat(3,1fr)}}
@media(max-width:560px){.chart.wide text{font-size:18px}.gallery{grid-template-columns:repeat(auto-fill,minmax(104px,1fr));gap:8px}
main{padding:14px 10px 32px}.figures{grid-template-columns:repeat(2,1fr)}}
@media print{body{background:#fff}.card,.tile,.figure,details{break-inside:avoid}}
"""
    + _SERIES
)


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def document(title: str, body: str, style: str = "", script: str = "") -> str:
    """Put a body into a complete page.

    The content policy allows this module's style sheet, inline pictures, and `style` and `script` if they are given, all by
    their digests, and nothing else: no network, and text of the body can never become a script.

    Parameters
    ----------
    title : str
        Page title; escaped here.
    body : str
        Ready HTML of the ``main`` element.
    style, script : str
        One more style sheet, and a script that runs when the page is loaded: constant texts of this package.

    Returns
    -------
    str
        The whole document.

    Raises
    ------
    ValueError
        If `style` or `script` holds an end tag.
    """
    if "</" in style + script:
        raise ValueError("a style sheet or script of a page must not hold an end tag")
    styles = [text for text in (STYLE, style) if text]
    head = "".join(f"<style>{text}</style>\n" for text in styles)
    end = f"<script>{script}</script>\n" if script else ""
    allowed = f"script-src {_digest(script)}; " if script else ""
    allowed += f"style-src {' '.join(map(_digest, styles))}"
    policy = f"default-src 'none'; {allowed}; img-src data:; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n{head}</head>\n<body>\n<main>\n{body}\n</main>\n{end}</body>\n</html>\n"
    )


def figure(name: str, value: str, detail: str = "") -> str:
    """One summary figure: a name, a large value, a small remark."""
    small = f"<small>{escape(detail)}</small>" if detail else ""
    return f'<div class="figure"><dt>{escape(name)}</dt><dd>{escape(value)}{small}</dd></div>'


def note(text: str, warning: bool = False) -> str:
    """A remark set apart from the rest."""
    return f'<p class="note{" warn" if warning else ""}">{escape(text)}</p>'


def card(title: str, content: str, wide: bool = False) -> str:
    """A titled box around ready HTML; "" when there is nothing to show."""
    return f'<section class="card{" span" if wide else ""}"><h3>{escape(title)}</h3>{content}</section>' if content else ""


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: Sequence[int] = ()) -> str:
    """A table of texts; columns in `text_columns` are set left and may wrap."""
    kinds = [' class="text"' if i in text_columns else "" for i in range(len(header))]
    head = "".join(f"<th{k}>{escape(h)}</th>" for k, h in zip(kinds, header, strict=True))
    lines = ("".join(f"<td{k}>{escape(c)}</td>" for k, c in zip(kinds, row, strict=True)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def folded(title: str, content: str) -> str:
    """Ready HTML under a heading that opens it."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"
