"""Operators on booleans and numbers."""

import math

from relion4plugin.schemes.model import Kind
from relion4plugin.schemes.operator_types import BOOL, FLOAT, NUMBER, Argument, Input, register_pure

_SAME = 1e-8


@register_pure("bool=set", BOOL, None, Kind.BOOL)
def set_bool(value: bool) -> bool:
    """Copy a boolean."""
    return value


@register_pure("bool=and", BOOL, BOOL, Kind.BOOL)
def both(left: bool, right: bool) -> bool:
    """Tell whether both are true."""
    return left and right


@register_pure("bool=or", BOOL, BOOL, Kind.BOOL)
def either(left: bool, right: bool) -> bool:
    """Tell whether at least one is true."""
    return left or right


# RELION checks nothing here: an unknown input is false, an unknown output comes into being. Published schemes rely on it.
@register_pure("bool=not", Input(Argument.BOOL, lenient=True), None, Kind.BOOL, creates_output=True)
def negate(value: bool | None) -> bool:
    """Give the opposite."""
    return not value


@register_pure("bool=gt", FLOAT, NUMBER, Kind.BOOL)
def greater(left: float, right: float) -> bool:
    """Tell whether the first is greater."""
    return left > right


@register_pure("bool=lt", FLOAT, NUMBER, Kind.BOOL)
def less(left: float, right: float) -> bool:
    """Tell whether the first is less."""
    return left < right


@register_pure("bool=ge", FLOAT, NUMBER, Kind.BOOL)
def at_least(left: float, right: float) -> bool:
    """Tell whether the first is greater or equal."""
    return left >= right


@register_pure("bool=le", FLOAT, NUMBER, Kind.BOOL)
def at_most(left: float, right: float) -> bool:
    """Tell whether the first is less or equal."""
    return left <= right


@register_pure("bool=eq", FLOAT, NUMBER, Kind.BOOL)
def equal(left: float, right: float) -> bool:
    """Tell whether both are the same within 1e-8."""
    return left == right or abs(left - right) < _SAME


@register_pure("float=set", FLOAT, None, Kind.FLOAT)
def set_float(value: float) -> float:
    """Copy a number."""
    return value


@register_pure("float=plus", FLOAT, NUMBER, Kind.FLOAT)
def plus(left: float, right: float) -> float:
    """Add."""
    return left + right


@register_pure("float=minus", FLOAT, NUMBER, Kind.FLOAT)
def minus(left: float, right: float) -> float:
    """Subtract the second from the first."""
    return left - right


@register_pure("float=mult", FLOAT, NUMBER, Kind.FLOAT)
def times(left: float, right: float) -> float:
    """Multiply."""
    return left * right


@register_pure("float=divide", FLOAT, NUMBER, Kind.FLOAT)
def divide(left: float, right: float) -> float:
    """Divide the first by the second; by zero gives infinity, 0/0 is not a number."""
    if right != 0:
        return left / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1.0, right)


@register_pure("float=round", FLOAT, None, Kind.FLOAT)
def nearest(value: float) -> float:
    """Round to the nearest whole number, halves away from zero."""
    if not math.isfinite(value) or abs(value) >= 2.0**52:  # beyond, every float is whole
        return value
    return math.copysign(math.floor(abs(value) + 0.5), value)
