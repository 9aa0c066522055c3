"""One declaration of a job's parameters, from which the command line, job.star, the forms and the reference pages are made.

A job type is a frozen dataclass whose fields are made by `parameter`. Field names and defaults are RELION's job.star
option names, so that a job.star is a parameter set.

>>> from dataclasses import dataclass
>>> @dataclass(frozen=True)
... class Toy:
...     tau_fudge: float = parameter(2.0, label="T", help="Weight of the data.", section="Optimisation", minimum=0.1)
>>> to_job_options(Toy())
{'tau_fudge': '2'}
"""

import argparse
import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from relion4plugin.errors import UserError

_KEY = "relion4plugin"
_UNSET = argparse.SUPPRESS  # an option that was not given leaves no trace in the namespace
_TYPE_NAMES = {bool: "Yes or No", int: "a whole number", float: "a number", str: "text"}

P = TypeVar("P")


@dataclasses.dataclass(frozen=True)
class ParameterField:
    """Everything that is known about one parameter.

    `option` is RELION's command-line flag (``--tau2_fudge``); RELION's value is `option_scale` times ours, for its coarse
    steps, or with `option_index` the position of ours in `choices`, counted from 0 (``--healpix_order``).
    `short` are more names on our command line, `negated` those that switch a Yes/No parameter off. `relion` is false for
    parameters that RELION's job.star does not have. `pattern` marks a file name.
    """

    name: str
    type: type
    default: Any
    label: str
    help: str
    section: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] | None = None
    advanced: bool = False
    option: str | None = None
    option_scale: float = 1.0
    option_index: bool = False
    short: tuple[str, ...] = ()
    negated: tuple[str, ...] = ()
    relion: bool = True
    pattern: str = ""


def parameter(
    default: Any,
    *,
    label: str,
    help: str,
    section: str,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    advanced: bool = False,
    option: str | None = None,
    option_scale: float = 1.0,
    option_index: bool = False,
    short: tuple[str, ...] = (),
    negated: tuple[str, ...] = (),
    relion: bool = True,
    pattern: str = "",
) -> Any:
    """Declare one parameter: a dataclass field that carries its own description (see `ParameterField`)."""
    known = {key: value for key, value in locals().items() if key != "default"}
    return dataclasses.field(default=default, metadata={_KEY: known})


def fields_of(cls: type) -> tuple[ParameterField, ...]:
    """Return the declared parameters of a job type in order of declaration."""
    types = typing.get_type_hints(cls)
    return tuple(
        ParameterField(name=f.name, type=types[f.name], default=f.default, **f.metadata[_KEY])
        for f in dataclasses.fields(cls)
        if _KEY in f.metadata
    )


def sections_of(cls: type) -> dict[str, list[ParameterField]]:
    """Group the parameters by section, sections in order of first appearance."""
    sections: dict[str, list[ParameterField]] = {}
    for field in fields_of(cls):
        sections.setdefault(field.section, []).append(field)
    return sections


def parse_value(field: ParameterField, text: str, where: str = "") -> Any:
    """Turn the text of a job.star or command line into the parameter's type.

    Raises
    ------
    UserError
        If the text is not of that type.
    """
    text = text.strip()
    try:
        if field.type is bool:
            return _parse_bool(text)
        if field.type is int and float(text) != int(float(text)):
            raise ValueError
        if field.choices is not None and field.type is str:
            return _choice(field.choices, text)
        return int(float(text)) if field.type is int else field.type(text)
    except (ValueError, OverflowError) as error:
        place = f" in {where}" if where else ""
        raise UserError(f"{field.name} is '{text}'{place} but must be {_TYPE_NAMES[field.type]} ({field.label})") from error


def _choice(choices: tuple[str, ...], text: str) -> str:
    """Complete a choice given by its first word ("7.5" for "7.5 degrees"); RELION 3.1 writes two underscores for a space."""
    text = text.replace("__", " ")
    matching = [choice for choice in choices if choice.lower() == text.lower() or choice.split()[0].lower() == text.lower()]
    return matching[0] if len(matching) == 1 else text


def _parse_bool(text: str) -> bool:
    lowered = text.lower()
    if lowered in ("yes", "true", "1", "y"):
        return True
    if lowered in ("no", "false", "0", "n"):
        return False
    raise ValueError(text)


def format_value(value: Any) -> str:
    """Write a value as RELION does in job.star: Yes/No, shortest number, text as it is."""
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def check(parameters: Any) -> None:
    """Check every value against its declared bounds and choices.

    Raises
    ------
    UserError
        For the first value out of bounds, naming value, bound and option.
    """
    for field in fields_of(type(parameters)):
        value = getattr(parameters, field.name)
        unit = f" {field.unit}" if field.unit else ""
        if field.choices is not None and value not in field.choices:
            raise UserError(f"{field.name} is '{value}' but must be one of {', '.join(field.choices)} ({field.label})")
        if field.type in (int, float) and not value == value:
            raise UserError(f"{field.name} is not a number ({field.label}): give --{field.name} a value")
        if field.minimum is not None and value < field.minimum:
            raise UserError(
                f"{field.name} is {format_value(value)}{unit} but must be at least {field.minimum:g}{unit} ({field.label}): "
                f"raise --{field.name}"
            )
        if field.maximum is not None and value > field.maximum:
            raise UserError(
                f"{field.name} is {format_value(value)}{unit} but must be at most {field.maximum:g}{unit} ({field.label}): "
                f"lower --{field.name}"
            )


def to_job_options(parameters: Any) -> dict[str, str]:
    """Return the parameter set as job.star options (name -> text), sorted by name."""
    values = {f.name: format_value(getattr(parameters, f.name)) for f in fields_of(type(parameters))}
    return dict(sorted(values.items()))


def from_job_options(cls: type[P], options: Mapping[str, str], where: str = "job.star") -> P:
    """Build a parameter set from job.star options; missing ones keep their default, those of other programs are ignored."""
    values = {f.name: parse_value(f, options[f.name], where) for f in fields_of(cls) if f.name in options}
    return cls(**values)


def add_arguments(parser: argparse.ArgumentParser, cls: type, skip: tuple[str, ...] = ()) -> None:
    """Add one option per parameter, by job-option name and by RELION's familiar names, grouped by section."""
    for section, fields in sections_of(cls).items():
        group = parser.add_argument_group(section)
        for field in fields:
            if field.name not in skip:
                _add_argument(group, field)


def _add_argument(group: Any, field: ParameterField) -> None:
    scaled = is_scaled(field)
    own = [name for name in (f"--{field.name}", *field.short) if not (scaled and name == field.option)]
    if field.option is not None and not scaled and field.option not in own and field.option not in field.negated:
        own.append(field.option)
    common: dict[str, Any] = {"dest": field.name, "default": _UNSET}
    description = help_text(field).replace("%", "%%")
    if field.type is bool:
        group.add_argument(*own, **common, nargs="?", const="Yes", metavar="Yes|No", help=description)
    else:
        metavar = "FILE" if field.pattern else field.unit or {int: "N", float: "X"}.get(field.type, "TEXT")
        group.add_argument(*own, **common, metavar=metavar, help=description)
    if scaled:  # an option that RELION's program has means here what it means there
        meaning = f"the position of {own[0]} in its list, from 0" if field.option_index else f"{field.option_scale:g} times {own[0]}"
        metavar = "N" if field.option_index else field.unit or "X"
        group.add_argument(
            field.option, dest=f"{field.name}_scaled", default=_UNSET, metavar=metavar, help=f"as for RELION's program: {meaning}"
        )
    for name in field.negated:
        group.add_argument(name, dest=field.name, default=_UNSET, action="store_const", const="No", help=f"same as --{field.name} No")


def help_text(field: ParameterField) -> str:
    """Return the help with unit and default appended, for the command line and the reference page."""
    default = format_value(field.default)
    unit = f" {field.unit}" if field.unit else ""
    shown = f"default {default}{unit}" if default else "no default"
    choices = f"one of {', '.join(field.choices)}; " if field.choices else ""
    return f"{field.help}{scale_text(field)} ({choices}{shown})"


def is_scaled(field: ParameterField) -> bool:
    """Whether RELION's program counts the parameter in another way than its job."""
    return field.option is not None and (field.option_scale != 1.0 or field.option_index)


def relion_value(field: ParameterField, value: Any) -> str:
    """Return a value as RELION's program takes it after `option`."""
    if field.option_index and field.choices is not None:
        return str(field.choices.index(value))
    return format_value(float(value) * field.option_scale if field.option_scale != 1.0 else value)


def scale_text(field: ParameterField) -> str:
    """Say how RELION's program option differs from the parameter, if it does."""
    if field.option_index and field.choices:
        return f" RELION's program counts the choices: its {field.option} 0 is {field.choices[0]}, 1 is {field.choices[1]}, and so on."
    if field.option_scale == 1.0:
        return ""
    if field.option_scale == 2.0:
        return f" RELION's program counts the coarse step: its {field.option} is twice this."
    return f" RELION's program counts otherwise: its {field.option} is this divided by {1 / field.option_scale:g}."


def from_arguments(cls: type[P], arguments: argparse.Namespace, base: P | None = None) -> P:
    """Build a parameter set from parsed options; those not given are taken from `base` or keep their default."""
    given: dict[str, Any] = {}
    for field in fields_of(cls):
        if hasattr(arguments, f"{field.name}_scaled"):
            given[field.name] = _from_relion(field, getattr(arguments, f"{field.name}_scaled"))
        if hasattr(arguments, field.name):
            given[field.name] = parse_value(field, getattr(arguments, field.name), "the options")
    return dataclasses.replace(base, **given) if base is not None else cls(**given)  # type: ignore[type-var]


def _from_relion(field: ParameterField, text: str) -> Any:
    if not field.option_index or field.choices is None:
        return parse_value(field, text, field.option or "") / field.option_scale
    if not text.isdecimal() or int(text) >= len(field.choices):
        raise UserError(f"{field.option} is '{text}' but must be a whole number from 0 to {len(field.choices) - 1} ({field.label})")
    return field.choices[int(text)]


def reference_page(cls: type, title: str, introduction: str) -> str:
    """Return the reference page of a job type as markdown: one table per section."""
    lines = [f"# {title}", "", introduction, ""]
    for section, fields in sections_of(cls).items():
        lines += [f"## {section}", "", "| option | default | meaning |", "|---|---|---|"]
        lines += [_reference_row(field) for field in fields] + [""]
    return "\n".join(lines)


def _reference_row(field: ParameterField) -> str:
    names = [f"--{field.name}", *field.short, *field.negated]
    if field.option is not None and field.option not in names:
        names.append(field.option)
    shown = "<br>".join(f"`{name}`" for name in dict.fromkeys(names))
    default = format_value(field.default) or "(none)"
    bounds = _bounds(field)
    marks = [mark for mark in (bounds, "advanced" if field.advanced else "", "" if field.relion else "not in RELION's job.star") if mark]
    text = f"**{field.label}.** {field.help}{scale_text(field)}" + (f" *({'; '.join(marks)})*" if marks else "")
    return f"| {shown} | {default}{' ' + field.unit if field.unit else ''} | {text.replace('|', chr(92) + '|')} |"


def _bounds(field: ParameterField) -> str:
    if field.choices is not None:
        return "one of " + ", ".join(field.choices)
    low = f"at least {field.minimum:g}" if field.minimum is not None else ""
    high = f"at most {field.maximum:g}" if field.maximum is not None else ""
    return ", ".join(part for part in (low, high) if part)
