"""Scipion's form made from a job's one declaration of parameters, and the form's values made into a parameter set."""

import re
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pyworkflow.protocol import params
from pyworkflow.protocol.constants import LEVEL_ADVANCED, LEVEL_NORMAL

from relion4plugin.jobs.parameters import ParameterField, fields_of, sections_of

P = TypeVar("P")
_CLASSES = {bool: params.BooleanParam, int: params.IntParam, float: params.FloatParam, str: params.StringParam}
_UNITS = {"A": "Å", "A^2": "Å²", "e/A^2": "e/Å²", "deg": "°"}


def add_parameters(
    form: Any, job: type, *, skip: Collection[str] = (), conditions: Mapping[str, str] | None = None, host: str = ""
) -> None:
    """Add the declared parameters of a job to a form, one tab per section.

    Parameters
    ----------
    form : pyworkflow Form
        Form to fill.
    job : type
        A job's parameter dataclass.
    skip : names
        Parameters which the protocol provides in its own way (input pointers, GPU, threads).
    conditions : mapping
        Parameter or section name to the condition under which it is shown.
    host : str
        Section whose tab also takes the sections that hold only advanced parameters, as groups: a tab of its own
        would be empty at the normal expert level.
    """
    conditions = conditions or {}
    sections = {title: [f for f in fields if f.name not in skip] for title, fields in sections_of(job).items()}
    guests = {title: fields for title, fields in sections.items() if fields and title != host and all(f.advanced for f in fields)}
    for title, fields in sections.items():
        if not fields or title in guests:
            continue
        form.addSection(label=title)
        _add_fields(form, fields, conditions)
        if title == host:
            for guest, guest_fields in guests.items():
                shown = {"condition": conditions[guest]} if guest in conditions else {}
                group = form.addGroup(guest, expertLevel=LEVEL_ADVANCED, **shown)
                _add_fields(group, guest_fields, conditions, shown.get("condition"))


def parameter_set(protocol: Any, job: type[P], **given: Any) -> P:
    """Parameter set of a protocol's form; `given` names the parameters that are not in the form."""
    values = {
        field.name: _value(field, getattr(protocol, field.name).get())
        for field in fields_of(job)
        if field.name not in given and hasattr(protocol, field.name)
    }
    return job(**values, **given)


def _value(field: ParameterField, value: Any) -> Any:
    if value is None:  # an emptied entry of the form
        return field.default
    return field.choices[value] if field.choices else field.type(value)


def _add_fields(parent: Any, fields: Collection[ParameterField], conditions: Mapping[str, str], default: str | None = None) -> None:
    for field in _switches_first(fields, conditions):
        condition = conditions.get(field.name, default)
        shown = {"condition": condition} if condition else {}
        kind = params.EnumParam if field.choices else params.FileParam if field.pattern else _CLASSES[field.type]
        extra = {"choices": list(field.choices)} if field.choices else {}
        parent.addParam(
            field.name,
            kind,
            default=field.choices.index(field.default) if field.choices else field.default,
            label=field_label(field),
            help=field.help,
            expertLevel=LEVEL_ADVANCED if field.advanced else LEVEL_NORMAL,
            validators=_validators(field),
            **shown,
            **extra,
        )


def _switches_first(fields: Collection[ParameterField], conditions: Mapping[str, str]) -> list[ParameterField]:
    """Put parameters before those whose condition names them: the host knows a condition's parameters only when they come first."""
    ordered: dict[str, ParameterField] = {}
    named = {field.name: field for field in fields}

    def put(field: ParameterField) -> None:
        for name in re.findall(r"\w+", conditions.get(field.name, "")):
            if name in named and name not in ordered and name != field.name:
                put(named[name])
        ordered.setdefault(field.name, field)

    for field in fields:
        put(field)
    return list(ordered.values())


def field_label(field: ParameterField) -> str:
    """Label with the unit, and a question mark after a yes/no question."""
    if field.type is bool:
        return f"{field.label}?"
    return f"{field.label} ({_UNITS.get(field.unit, field.unit)})" if field.unit else field.label


def _validators(field: ParameterField) -> list[Any]:
    validators = []
    label = field_label(field)
    if field.minimum is not None:
        validators.append(params.GE(field.minimum, error=f"*{label}* must be at least {field.minimum:g}"))
    if field.maximum is not None:
        validators.append(params.LE(field.maximum, error=f"*{label}* must be at most {field.maximum:g}"))
    return validators
