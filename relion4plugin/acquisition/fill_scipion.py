"""Scipion workflows filled: fields of a template, or parameters of an exported workflow.

A template holds fields ``~title|default|type|alias~`` and names of environment variables ``%(NAME)s``. A workflow without fields
is filled by the names of its protocols and their parameters.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.scipion_values import PARAMETERS
from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import format_value

CLASS, ID = "object.className", "object.id"
_TEXT, _SWITCH, _WHOLE, _DECIMAL = (0, 2, 6), 1, 3, 4
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_POINTER = re.compile(r"(\d+)\.\w+(\.\d+)?")
_START = re.compile(r"\[\s*\{")


@dataclass(frozen=True)
class Filled:
    """One parameter that was filled: the protocol's class and id, old and new value and the alias that gave it."""

    place: str
    old: Any
    new: Any
    alias: str


def read_workflow(path: Path) -> str:
    """Return the text of a workflow or template without its description.

    Raises
    ------
    UserError
        If the file cannot be read, or holds no list of protocols.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}; expected a Scipion workflow") from error
    start = _START.search(text)
    if start is None:
        raise UserError(f"{path} holds no list of protocols; expected a Scipion workflow in JSON")
    return text[start.start() :]


def fill_workflow(text: str, values: Mapping[str, Any], where: str) -> tuple[list[dict[str, Any]], list[Filled]]:
    """Fill a workflow.

    Parameters
    ----------
    text : str
        What `read_workflow` gave.
    values : mapping
        Alias to value (`scipion_values.workflow_values`); fields of other names keep their default.
    where : str
        Name of the file, for errors.

    Returns
    -------
    protocols : list of dict
        The protocols, numbers as numbers; pointers stay texts such as ``2.outputMovies``.
    filled : list of Filled
        What was filled, in the order of the file.

    Raises
    ------
    UserError
        If a field or value is wrong, the text is not JSON, or a pointer leads nowhere.
    """
    parts = _with_environment(text, where).split("~")
    if len(parts) % 2 == 0:
        raise UserError(f"{where} has an odd number of ~; expected fields ~title|default|type|alias~")
    old = _parsed("".join(_field_text(part, {}, where) if odd else part for part, odd in _alternating(parts)), where)
    if len(parts) == 1:
        return _set_by_name(old, values, where)
    new = _parsed("".join(_field_text(part, values, where) if odd else part for part, odd in _alternating(parts)), where)
    aliases = [part.split("|")[-1].strip() for part in parts[1::2]]
    check_pointers(new, where)
    return new, list(_differences(old, new, [alias for alias in aliases if alias in values]))


def workflow_text(protocols: list[dict[str, Any]]) -> str:
    """Return the JSON text of a workflow; ``%`` and ``~`` are escaped, so that it is a template without fields too."""
    text = json.dumps(protocols, indent=4, ensure_ascii=False, allow_nan=False)
    return text.replace("%", "\\u0025").replace("~", "\\u007e") + "\n"


def check_pointers(protocols: list[dict[str, Any]], where: str) -> None:
    """Check that every pointer leads to a protocol of the workflow.

    Raises
    ------
    UserError
        For the first that does not, or an id that is missing or given twice.
    """
    ids = [str(protocol.get(ID, "")) for protocol in protocols]
    if len(set(ids)) < len(ids) or "" in ids:
        raise UserError(f"{where}: every protocol needs an {ID} of its own; there are {', '.join(ids)}")
    for protocol in protocols:
        for name, value in protocol.items():
            for item in value if isinstance(value, list) else [value]:
                found = _POINTER.fullmatch(item) if isinstance(item, str) and name.startswith(("input", "reference", "ctf")) else None
                if found is not None and found[1] not in ids:
                    raise UserError(f"{where}: {protocol[CLASS]}.{name} points to {item}, but there is no protocol with id {found[1]}")


def _with_environment(text: str, where: str) -> str:
    try:
        return text % os.environ
    except KeyError as error:
        raise UserError(f"{where}: there is no environment variable {error.args[0]}; set it or take it out of the workflow") from error
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}: a percent sign is not doubled ({error}); write %% for %") from error


def _alternating(parts: list[str]) -> Iterator[tuple[str, bool]]:
    return ((part, number % 2 == 1) for number, part in enumerate(parts))


def _field_text(content: str, values: Mapping[str, Any], where: str) -> str:
    words = [word.strip() for word in content.split("|")]
    if len(words) not in (3, 4) or not words[2].isdecimal():
        raise UserError(f"{where}: ~{content}~ is no field; expected ~title|default|type|alias~")
    title, default, kind = words[0], words[1], int(words[2])
    value = values.get(words[3], default) if len(words) == 4 else default
    if kind in _TEXT:
        return json.dumps(value if isinstance(value, str) else format_value(value), ensure_ascii=False)[1:-1]
    return _plain(value if isinstance(value, str) else json.dumps(value), kind, f"{where}: {title}")


def _plain(text: str, kind: int, where: str) -> str:
    """Return a number or a switch as JSON."""
    lowered = text.strip().lower()
    try:
        if kind == _SWITCH and lowered in (*_TRUE, *_FALSE):
            return "true" if lowered in _TRUE else "false"
        if kind == _WHOLE and float(lowered) == int(float(lowered)):
            return str(int(float(lowered)))
        if kind == _DECIMAL:
            return json.dumps(float(lowered), allow_nan=False)
    except ValueError as error:
        raise UserError(f"{where} is '{text}' but must be a number") from error
    raise UserError(f"{where} is '{text}', which its type {kind} does not allow")


def _parsed(text: str, where: str) -> list[dict[str, Any]]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{where} is not JSON after filling: {error}") from error
    if not isinstance(content, list) or not all(isinstance(item, dict) and CLASS in item for item in content):
        raise UserError(f"{where} is no list of protocols; expected dictionaries with {CLASS}")
    return content


def _differences(old: list[dict[str, Any]], new: list[dict[str, Any]], aliases: list[str]) -> Iterator[Filled]:
    for before, after in zip(old, new, strict=True):
        for name in after:
            alias = PARAMETERS.get(after[CLASS], {}).get(name, "")
            if before.get(name) != after[name] or alias in aliases:
                yield Filled(f"{after[CLASS]} {after[ID]}: {name}", before.get(name), after[name], alias)


def _set_by_name(protocols: list[dict[str, Any]], values: Mapping[str, Any], where: str) -> tuple[list[dict[str, Any]], list[Filled]]:
    new, filled = [], []
    for protocol in protocols:
        known = {name: alias for name, alias in PARAMETERS.get(protocol[CLASS], {}).items() if alias in values}
        new.append({**protocol, **{name: values[alias] for name, alias in known.items()}})
        filled += [Filled(f"{protocol[CLASS]} {protocol[ID]}: {n}", protocol.get(n), values[a], a) for n, a in known.items()]
    check_pointers(new, where)
    return new, filled
