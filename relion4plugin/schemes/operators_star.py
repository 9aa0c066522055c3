"""Operators that read STAR files."""

import math
from typing import TYPE_CHECKING

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import Kind
from relion4plugin.schemes.operator_types import NUMBER, OPTIONAL_NUMBER, STRING, Argument, Call, Input, register
from relion4plugin.schemes.operators_number import nearest
from relion4plugin.schemes.star_values import cell, check_optics, count_images, numeric_column, order_index, patiently, split_address
from relion4plugin.schemes.variables import Value, number_text, parse_bool, whole_number_text

if TYPE_CHECKING:
    import numpy as np

# Of tables without rows, as in RELION.
_LARGEST_OF_NONE, _SMALLEST_OF_NONE = -99e99, 99e99


@register("float=count_images", STRING, Input(Argument.STRING, optional=True, lenient=True), Kind.FLOAT)
def count(call: Call) -> float:
    """Count the rows of a table (``particles`` unless input 2 names another); 0 where the file is missing.

    RELION also refuses files without complete optics; so does strict mode.
    """
    path = call.context.path(call.text1)
    table = call.text2 if call.input2 is not None else "particles"
    if not call.text1 or not path.exists():
        return 0.0
    if call.strict:
        check_optics(path)
    return float(patiently(lambda: count_images(path, table), call.context.sleep))


def _read_cell(call: Call) -> Value:
    file, table, label = split_address(call.text1)
    row = nearest(call.number2)
    if not math.isfinite(row):
        raise UserError(f"the row is {row}; expected a whole number from 0")
    path = call.context.path(file)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    return patiently(lambda: cell(path, table, label, int(row)), call.context.sleep)


@register("bool=read_star", STRING, OPTIONAL_NUMBER, Kind.BOOL)
def read_bool(call: Call) -> Value:
    """Read a value as a boolean. In strict mode the label decides what the output becomes, as in RELION."""
    value = _read_cell(call)
    if call.strict or isinstance(value, bool):
        return value
    flag = parse_bool(value) if isinstance(value, str) else {0.0: False, 1.0: True}.get(value)
    if flag is None:
        raise UserError(f"the value is {value}; expected 0 or 1 for a boolean variable")
    return flag


@register("float=read_star", STRING, OPTIONAL_NUMBER, Kind.FLOAT)
def read_float(call: Call) -> Value:
    """Read a value as a number. In strict mode the label decides what the output becomes, as in RELION."""
    value = _read_cell(call)
    if call.strict:
        return value
    number = whole_number_text(value) if isinstance(value, str) else float(value)
    if number is None:
        raise UserError(f"the value is '{value}'; expected a number")
    return number


@register("string=read_star", STRING, OPTIONAL_NUMBER, Kind.STRING)
def read_string(call: Call) -> Value:
    """Read a value as text. In strict mode the label decides what the output becomes, as in RELION."""
    value = _read_cell(call)
    if call.strict or isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, bool) else number_text(value)


def _column(call: Call) -> "np.ndarray":
    file, table, label = split_address(call.text1)
    path = call.context.path(file)
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    return patiently(lambda: numeric_column(path, table, label), call.context.sleep)


@register("float=star_table_max", STRING, None, Kind.FLOAT)
def largest(call: Call) -> float:
    """Give the largest value of a column."""
    values = _column(call)
    return float(values.max()) if len(values) else _LARGEST_OF_NONE


@register("float=star_table_min", STRING, None, Kind.FLOAT)
def smallest(call: Call) -> float:
    """Give the smallest value of a column."""
    values = _column(call)
    return float(values.min()) if len(values) else _SMALLEST_OF_NONE


@register("float=star_table_avg", STRING, None, Kind.FLOAT)
def average(call: Call) -> float:
    """Give the mean of a column; 0 for a table without rows."""
    values = _column(call)
    return float(values.mean()) if len(values) else 0.0


@register("float=star_table_sort_idx", STRING, NUMBER, Kind.FLOAT)
def sort_index(call: Call) -> float:
    """Give the row (from 0) of the n-th smallest value: 1 for the smallest, -1 for the largest."""
    return float(order_index(_column(call), nearest(call.number2)))
