"""Variables of a scheme: how values are read, printed and looked up by name."""

import math
import re
import struct

from relion4plugin.errors import UserError
from relion4plugin.files.star_text import stored_text
from relion4plugin.schemes.model import Kind, Scheme

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SPECIAL = {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "nan": math.nan, "-nan": math.nan}
_TRUE, _FALSE = ("true", "1", "yes"), ("false", "0", "no")
_LARGEST_PLAIN = 1e15  # whole numbers below are exact in a float

Value = bool | float | str


def number_prefix(text: str) -> float | None:
    """Return the number with which a text begins, None where it begins with none."""
    match = _NUMBER.match(text.strip())
    return float(match[0]) if match else _SPECIAL.get(text.strip().lower())


def whole_number_text(text: str) -> float | None:
    """Return the number if all of the text is one, else None."""
    match = _NUMBER.fullmatch(text.strip())
    return float(match[0]) if match else _SPECIAL.get(text.strip().lower())


def parse_bool(text: str) -> bool | None:
    """Return the boolean that a text stands for, None where it stands for none."""
    lower = text.strip().lower()
    return True if lower in _TRUE else False if lower in _FALSE else None


def single(value: float) -> float:
    """Round to a 32-bit float; numbers beyond its range become infinite."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)


def number_text(value: float, strict: bool = False) -> str:
    """Return a float as it goes into a job option: six digits of a 32-bit float, whole numbers in full.

    With `strict` whole numbers from 1e6 on have six digits too (``1.66527e+06``), as RELION prints them.

    >>> number_text(0.885), number_text(1665273.0), number_text(1665273.0, strict=True)
    ('0.885', '1665273', '1.66527e+06')
    """
    if not strict and math.isfinite(value) and value.is_integer() and abs(value) < _LARGEST_PLAIN:
        return str(int(value))
    return f"{single(value):g}"


def value_text(value: Value) -> str:
    """Return a value as a person reads it."""
    if isinstance(value, bool):
        return str(value)
    return f"{value:g}" if isinstance(value, float) else value


def kinds_of(scheme: Scheme, name: str) -> tuple[Kind, ...]:
    """Return the kinds of variables that have this name, in the order in which one is set or substituted."""
    places = ((Kind.BOOL, scheme.bools), (Kind.FLOAT, scheme.floats), (Kind.STRING, scheme.strings))
    return tuple(kind for kind, variables in places if name in variables)


def find_value(scheme: Scheme, name: str) -> Value | None:
    """Return the value that ``$$name`` stands for: boolean before float before string; None where there is no such variable."""
    for variables in (scheme.bools, scheme.floats, scheme.strings):
        if name in variables:
            value: Value = variables[name].value
            return value
    return None


def shown_value(scheme: Scheme, name: str) -> str | None:
    """Return the value of a variable as it is reported: string before boolean before float; None where there is none."""
    for variables in (scheme.strings, scheme.bools, scheme.floats):
        if name in variables:
            return value_text(variables[name].value)
    return None


def with_value(scheme: Scheme, name: str, value: Value) -> Scheme:
    """Give a variable a value of its kind, which is that of the value.

    Raises
    ------
    UserError
        If a text cannot be stored in a STAR file.
    """
    if isinstance(value, bool):
        return scheme.with_bool(name, value)
    if isinstance(value, float):
        return scheme.with_float(name, value)
    return scheme.with_string(name, stored_text(value))


def parse_value(kind: Kind, name: str, text: str) -> Value:
    """Turn the text of a command line or form into a value of a variable.

    Raises
    ------
    UserError
        If the text is not of that kind.
    """
    if kind is Kind.STRING:
        return stored_text(text)
    value = parse_bool(text) if kind is Kind.BOOL else whole_number_text(text)
    if value is None:
        expected = "True or False" if kind is Kind.BOOL else "a number"
        raise UserError(f"variable {name} cannot be '{text}': expected {expected}")
    return value
