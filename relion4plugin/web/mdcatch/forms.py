"""Inputs of forms with their labels; all texts are escaped here."""

from collections.abc import Iterable
from html import escape


def unit_text(unit: str) -> str:
    """Return a unit as people write it.

    >>> unit_text("e/A^2"), unit_text("um")
    ('e/Å²', 'µm')
    """
    pretty = unit.replace("A^2", "Å²").replace("A2", "Å²").replace("um", "µm")
    return "Å" if pretty == "A" else pretty


def text_input(name: str, value: str, key: str, kind: str = "text", attributes: str = "") -> str:
    """Return a line of text; `key` is its id, `kind` one of the types of fields, `attributes` ready HTML."""
    mode = {"number": ' inputmode="decimal"', "integer": ' inputmode="numeric"'}.get(kind, "")
    return (
        f'<input type="text" id="{escape(key)}" name="{escape(name)}" value="{escape(value)}"{mode} autocomplete="off" '
        f'spellcheck="false"{attributes}>'
    )


def select(name: str, value: str, key: str, choices: Iterable[tuple[str, str]], attributes: str = "") -> str:
    """Return a list to choose from; a value that is not in it is shown as unknown."""
    listed = list(choices)
    if value not in [choice for choice, _ in listed]:
        listed.insert(0, (value, value or "unknown"))
    options = "".join(
        f'<option value="{escape(choice)}"{" selected" if choice == value else ""}>{escape(text)}</option>' for choice, text in listed
    )
    return f'<select id="{escape(key)}" name="{escape(name)}"{attributes}>{options}</select>'


def radios(name: str, value: str, legend: str, choices: Iterable[tuple[str, str, str]]) -> str:
    """Return buttons of which one is chosen; each has a value, a text and a remark that forbids it if it is not empty."""
    buttons = "".join(
        f'<label class="radio{" off" if remark else ""}"><input type="radio" name="{escape(name)}" value="{escape(choice)}"'
        f"{' checked' if choice == value else ''}{' disabled' if remark else ''}> {escape(text)}"
        f"{f' <small>{escape(remark)}</small>' if remark else ''}</label>"
        for choice, text, remark in choices
    )
    return f'<fieldset class="radios"><legend>{escape(legend)}</legend>{buttons}</fieldset>'


def hidden(name: str, value: str) -> str:
    """Return a value that the form sends unseen."""
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'


def button(do: str, text: str, kind: str = "", enabled: bool = True, name: str = "do", label: str = "") -> str:
    """Return a button that sends the form with ``name=do``; `label` is read to those who do not see where it stands."""
    spoken = f' aria-label="{escape(label)}"' if label else ""
    state = "" if enabled else " disabled"
    return f'<button name="{escape(name)}" value="{escape(do)}" class="{escape(kind)}"{spoken}{state}>{escape(text)}</button>'
