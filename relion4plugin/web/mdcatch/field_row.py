"""One value as a row: label, input, unit, source, a button that takes a correction back, and what there is to say about it."""

from collections.abc import Sequence
from html import escape
from pathlib import PurePath

from relion4plugin.acquisition.record import Finding
from relion4plugin.web.mdcatch.corrections import BEFORE, NOW
from relion4plugin.web.mdcatch.entries import Entry
from relion4plugin.web.mdcatch.forms import button, hidden, select, text_input, unit_text

_LONGEST_PLACE = 60


def field_row(entry: Entry, findings: Sequence[Finding]) -> str:
    """Return the row; `findings` are those about this value."""
    item = entry.input
    key = f"i-{item.name}"
    under = _under(entry, findings)
    attributes = f' aria-describedby="d-{escape(item.name)}"' if under else ""
    attributes += ' aria-invalid="true"' if entry.problem else ""
    unit = f'<span class="unit">{escape(unit_text(item.unit))}</span>' if item.unit else ""
    reset = button(item.name, "Reset", "small", name="reset", label=f"Reset {item.label}") if entry.is_edited else ""
    level = next((level for level in ("error", "warning") if any(finding.level == level for finding in findings)), "")
    classes = " ".join(filter(None, ("field", "edited" if entry.is_edited else "", level, "long" if _is_long(entry) else "")))
    return (
        f'<div class="{classes}" id="f-{escape(item.name)}"><label for="{escape(key)}"{_hint(item.help)}>{escape(item.label)}</label>'
        f'<span class="value">{_input(entry, key, attributes)}{unit}</span>{_source(entry)}{reset}'
        f"{hidden(BEFORE + item.name, entry.text)}"
        + (f'<div class="under" id="d-{escape(item.name)}">{under}</div>' if under else "")
        + "</div>"
    )


def _is_long(entry: Entry) -> bool:
    return entry.input.is_file or len(entry.text) > 24


def _hint(text: str) -> str:
    return f' title="{escape(text)}"' if text else ""


def _input(entry: Entry, key: str, attributes: str) -> str:
    item = entry.input
    if not item.choices:
        return text_input(NOW + item.name, entry.text, key, item.kind, attributes)
    choices = [(choice, choice) for choice in item.choices]
    return select(NOW + item.name, entry.text, key, choices, attributes)


def _source(entry: Entry) -> str:
    if not entry.source or (entry.confidence == "default" and not entry.text):
        return f'<span class="from none">{"not given" if entry.source else "not known"}</span>'
    place = " · ".join(PurePath(part).name if "/" in part else part for part in entry.place.split(", ") if part)
    short = place if len(place) <= _LONGEST_PLACE else place[: _LONGEST_PLACE - 1] + "…"
    sure = "you" if entry.confidence == "user" else entry.confidence
    words = entry.source if entry.source not in ("default", "you") else ""
    kind = f'<b class="conf {escape(entry.confidence)}">{escape(sure)}</b>'
    full = ": ".join(part for part in (entry.source, entry.place) if part)
    return f'<span class="from" title="{escape(full)}">{kind} {escape(words)} <small>{escape(short)}</small></span>'


def _under(entry: Entry, findings: Sequence[Finding]) -> str:
    lines = [f'<p class="problem">{escape(entry.problem)}</p>'] if entry.problem else []
    for text, source in entry.others:
        lines.append(f'<p class="other">not taken: <b>{escape(unit_text_in(text))}</b> ({escape(source)})</p>')
    lines += [f'<p class="{finding.level}">{escape(finding.text)}</p>' for finding in findings if finding.text != entry.problem]
    return "".join(lines)


def unit_text_in(text: str) -> str:
    """Return a value with a unit at its end as people write it."""
    value, blank, unit = text.partition(" ")
    return f"{value}{blank}{unit_text(unit)}" if unit in ("A", "e/A^2", "um") else text
