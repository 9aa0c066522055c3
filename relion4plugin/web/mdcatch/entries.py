"""Each value as the page shows it: text, where it comes from, what it was chosen over."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from relion4plugin.acquisition.gain_rule import GainChoice
from relion4plugin.acquisition.merge import same
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.record import AcquisitionRecord, Value
from relion4plugin.acquisition.session_facts import SessionFacts
from relion4plugin.acquisition.settings import Settings
from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import format_value
from relion4plugin.schemes.it.options import ItOptions
from relion4plugin.schemes.it.values import sizes_of
from relion4plugin.web.mdcatch.inputs import DEFAULTS, INPUTS, MOTION, Input

_SIZES = {"mask_diameter": "mask_diameter", "box_size": "box", "small_box": "small_box"}
_DIGITS = 6


@dataclass(frozen=True)
class Entry:
    """One value on the page.

    Attributes
    ----------
    input : Input
        What it is.
    text : str
        What the input shows; empty where nothing is known.
    source, place, confidence : str
        Where it comes from in a word, the file and element, and how far it can be trusted.
    is_edited : bool
        Whether a person gave it.
    others : tuple
        Values that were not taken, each with its source.
    problem : str
        Why what the person typed cannot be used.
    """

    input: Input
    text: str
    source: str = ""
    place: str = ""
    confidence: str = ""
    is_edited: bool = False
    others: tuple[tuple[str, str], ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Known:
    """All that entries are made from; `settings` is None where the values do not suffice for options."""

    facts: SessionFacts
    preset: Preset
    record: AcquisitionRecord
    gain: GainChoice
    mtf: Value | None
    settings: Settings | None


def make_entries(known: Known, edits: Mapping[str, str], problems: Mapping[str, str]) -> dict[str, Entry]:
    """Return the entry of every input."""
    found = {}
    for name, item in INPUTS.items():
        if name in known.record.values or name in ("gain_path", "mtf_path", "movie_pattern", "eer_grouping"):
            entry = _field_entry(item, known)
        elif name in DEFAULTS:
            entry = _option_entry(item, known, name in edits)
        else:
            entry = Entry(item, "")
        if name in edits:
            source = "you" if name not in problems else "not used"
            entry = replace(entry, text=edits[name], source=source, place="", confidence="user", is_edited=True)
        found[name] = replace(entry, problem=problems.get(name, ""))
    return found


def text_of(value: Any) -> str:
    """Return a value as inputs show it: six digits, lists with commas."""
    if isinstance(value, tuple):
        return ", ".join(map(text_of, value))
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else format_value(value)


def _field_entry(item: Input, known: Known) -> Entry:
    value, others = known.record.values.get(item.name), list(_losers(item.name, known.record))
    if item.name == "movie_pattern":
        if value is None or value.source != "user":
            value = Value(known.facts.pattern, "", "file names", str(known.facts.path), "", "derived") if known.facts.pattern else None
    elif item.name in ("gain_path", "mtf_path"):
        taken = known.gain.value if item.name == "gain_path" else known.mtf
        others += [value] if value is not None and taken is not None and value.value != taken.value else []
        value = taken if item.name == "mtf_path" or taken is not None or known.record.get("gain_needed") is False else value
    elif item.name == "eer_grouping" and value is None and known.settings is not None and known.record.get("movie_format") == "eer":
        value = known.settings.sources.get("eer_grouping")
    if value is None:
        return Entry(item, "", others=_listed(others))
    place = ", ".join(part for part in (value.file, value.path) if part)
    return Entry(item, text_of(value.value), value.source, place, value.confidence, others=_listed(others))


def _losers(name: str, record: AcquisitionRecord) -> tuple[Value, ...]:
    return tuple(loser for conflict in record.conflicts if conflict.field == name for loser in conflict.losers)


def _listed(values: list[Value]) -> tuple[tuple[str, str], ...]:
    return tuple((f"{text_of(value.value)} {value.unit}".rstrip(), value.source) for value in values)


def _option_entry(item: Input, known: Known, is_edited: bool) -> Entry:
    usual, source, place, confidence = _usual(item, known)
    if not is_edited:
        return Entry(item, usual, source, place, confidence)
    given = _given(item.name, known)
    is_other = bool(usual) and not same(given, usual) and source != "default"
    return Entry(item, given, others=((f"{usual} {item.unit}".rstrip(), source),) if is_other else ())


def _given(name: str, known: Known) -> str:
    if known.settings is None or name.startswith(MOTION):
        return ""
    return text_of(getattr(known.settings.choices.options, name))


def _usual(item: Input, known: Known) -> tuple[str, str, str, str]:
    """Return what holds without a correction: text, source, place and confidence."""
    name, full = item.name, f"processing.{item.name}"
    if name.startswith(MOTION):
        return _motion(name, known)
    if full in known.preset.given and known.preset.get(full):
        return text_of(known.preset.get(full)), "preset", known.preset.place(full), "measured"
    if name in _SIZES and known.settings is not None:
        computed = _computed_size(name, known.settings.choices.options)
        return (computed, "from particle and pixel size", "", "derived") if computed else ("", "", "", "")
    default = DEFAULTS[name]
    return ("", "", "", "") if name == "particle_diameter" else (default, "default", "", "default")


def _computed_size(name: str, options: ItOptions) -> str:
    try:
        sizes = sizes_of(replace(options, **{name: type(getattr(options, name))(0)}))
    except UserError:  # told by the plan
        return ""
    return "" if sizes is None else text_of(getattr(sizes, _SIZES[name]))


def _motion(key: str, known: Known) -> tuple[str, str, str, str]:
    value = known.settings.sources.get(key) if known.settings is not None else None
    if value is None or value.source == "user":
        return DEFAULTS[key], "default", "", "default"
    place = ", ".join(part for part in (value.file, value.path) if part)
    return text_of(value.value), value.source, place, value.confidence
