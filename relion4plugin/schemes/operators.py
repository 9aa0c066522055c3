"""Evaluation of operators: inputs looked up, the function called, the output stored.

>>> from pathlib import Path
>>> from relion4plugin.schemes.model import Variable
>>> from relion4plugin.schemes.project import Project
>>> scheme = Scheme("Schemes/toy/", floats={"n": Variable(2.0, 0.0), "one": Variable(1.0, 1.0)})
>>> evaluate(Operator("COUNT", "float=plus", "n", "n", "one"), scheme, Context(Project(Path("."))), strict=False).floats["n"].value
3.0
"""

from relion4plugin.errors import UserError
from relion4plugin.schemes import (  # noqa: F401  (importing a family registers its operators)
    operators_control,
    operators_files,
    operators_number,
    operators_star,
    operators_text,
)
from relion4plugin.schemes.context import Context
from relion4plugin.schemes.model import UNDEFINED, Kind, Operator, Scheme
from relion4plugin.schemes.operator_types import OPERATOR_TYPES, RESERVED, Argument, Call, Exit, Input, OperatorType
from relion4plugin.schemes.paths import rewrite_paths
from relion4plugin.schemes.variables import Value, find_value, kinds_of, number_prefix, shown_value, whole_number_text, with_value

__all__ = ["Exit", "evaluate", "find_type"]


def find_type(operator: Operator) -> OperatorType:
    """Return the type of an operator.

    Raises
    ------
    UserError
        If there is no such type, or nothing implements it.
    """
    if operator.type in OPERATOR_TYPES:
        return OPERATOR_TYPES[operator.type]
    if operator.type in RESERVED:
        raise UserError(f"operator {operator.name}: {operator.type} is a name that RELION reserves but does not implement; use another")
    raise UserError(f"operator {operator.name}: there is no type '{operator.type}'; known: {', '.join(sorted(OPERATOR_TYPES))}")


def evaluate(operator: Operator, scheme: Scheme, context: Context, strict: bool = False) -> Scheme | Exit:
    """Execute an operator.

    Parameters
    ----------
    operator : Operator
        The operator.
    scheme : Scheme
        Its scheme with the present values.
    context : Context
        Files, clock, sleep, mail and log.
    strict : bool
        RELION's behaviour also where it differs from what is documented: literal numbers count as 0, a path of a scheme in
        input 2 also replaces input 1, negative words do not exist, the label decides what `read_star` writes.

    Returns
    -------
    Scheme or Exit
        The scheme with the new value of the output, or the request to end it.

    Raises
    ------
    UserError
        If an input or the output does not exist or is of the wrong kind, or the operator cannot do its work.
    """
    kind = find_type(operator)
    try:
        _check_output(kind, operator, scheme)
        first = _input(kind.input1, operator.input1, 1, operator, scheme, context, strict)
        second = _input(kind.input2, operator.input2, 2, operator, scheme, context, strict)
        if strict and isinstance(first, str) and isinstance(second, str) and _names_scheme(scheme, operator.input2):
            first = second
        result = kind.compute(Call(operator, scheme, context, strict, first, second))
        if isinstance(result, Exit):
            return result
        scheme = scheme if result is None else _store(kind, operator, scheme, result, strict)
    except UserError as error:
        raise UserError(f"{scheme.name}: operator {operator.name}: {error}") from error
    except (OSError, ValueError) as error:  # a file name that the system refuses, a folder without permission
        raise UserError(f"{scheme.name}: operator {operator.name}: {operator.type} failed: {error}") from error
    if operator.output != UNDEFINED and kind.output is not None:
        context.report(f" + {operator.name}: {operator.output} -> {shown_value(scheme, operator.output)}")
    return scheme


def _names_scheme(scheme: Scheme, variable: str) -> bool:
    return "Schemes/" in scheme.strings[variable].value or scheme.name in scheme.strings[variable].value


def _check_output(kind: OperatorType, operator: Operator, scheme: Scheme) -> None:
    if kind.output is None or (kind.output_optional and operator.output == UNDEFINED):
        return
    found = kinds_of(scheme, operator.output)
    if kind.output in found:
        return
    if not kind.creates_output or found or operator.output == UNDEFINED:
        raise UserError(f"output '{operator.output}' is no {kind.output.value} variable of the scheme; add it")


def _input(
    wanted: Input | None, name: str, position: int, operator: Operator, scheme: Scheme, context: Context, strict: bool
) -> Value | None:
    """Return the value of an input; None where it is optional and not given."""
    if wanted is None or (wanted.optional and name == UNDEFINED):
        return None
    kind = wanted.kind
    value: Value | None = None
    if kind is Argument.BOOL and name in scheme.bools:
        return scheme.bools[name].value
    if kind in (Argument.FLOAT, Argument.NUMBER) and name in scheme.floats:
        return scheme.floats[name].value
    if kind is Argument.STRING and name in scheme.strings:
        return _string(scheme.strings[name].value, operator, scheme, context, strict)
    if kind is Argument.ANY:
        value = find_value(scheme, name)
    if kind is Argument.NUMBER:
        value = whole_number_text(name)
        if strict and number_prefix(name) is not None:
            value = 0.0
    if value is None and not wanted.lenient:
        raise UserError(f"input{position} '{name}' is not {kind.value} of the scheme; add it, or correct the name")
    if value is None:
        context.report(f" + WARNING: {operator.name}: input{position} '{name}' is not {kind.value}")
    return value


def _string(text: str, operator: Operator, scheme: Scheme, context: Context, strict: bool) -> str:
    rewritten = rewrite_paths(text, scheme, context.jobs_of, strict)
    if rewritten.touched:
        context.report(f" {'++' if rewritten.other_scheme else '+'} in {operator.name}: {text} -> {rewritten.text}")
        for remark in rewritten.remarks:
            context.report(f" + WARNING in {operator.name}: {remark}")
    return rewritten.text


def _store(kind: OperatorType, operator: Operator, scheme: Scheme, value: Value, strict: bool) -> Scheme:
    if operator.output == UNDEFINED:
        return scheme
    wanted = {Kind.BOOL: bool, Kind.FLOAT: float, Kind.STRING: str}[kind.output] if kind.output else type(value)
    if not isinstance(value, wanted) and not strict:
        raise UserError(f"the result {value!r} does not fit the output '{operator.output}'")
    return with_value(scheme, operator.output, value)
