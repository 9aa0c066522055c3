"""Checks of the operators of a scheme: types, variables, and where RELION does otherwise than it says."""

from collections.abc import Iterator

from relion4plugin.errors import UserError
from relion4plugin.schemes.findings import Finding, Problem, Severity
from relion4plugin.schemes.lint_options import path_problem
from relion4plugin.schemes.model import UNDEFINED, Kind, Operator, Scheme
from relion4plugin.schemes.operator_types import Argument, Input, OperatorType
from relion4plugin.schemes.operators import find_type
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import SchemeDocument
from relion4plugin.schemes.variables import kinds_of, whole_number_text

_KINDS = {Argument.BOOL: Kind.BOOL, Argument.FLOAT: Kind.FLOAT, Argument.NUMBER: Kind.FLOAT, Argument.STRING: Kind.STRING}


def operator_findings(document: SchemeDocument, project: Project) -> Iterator[Finding]:
    """Check all operators, and the paths of schemes in the strings that they read.

    Yields
    ------
    Finding
        Without order.
    """
    scheme, path = document.scheme, document.path
    used: set[str] = set()
    for operator in scheme.operators.values():
        line = document.lines["scheme_operators", operator.name]
        for severity, text in operator_problems(operator, scheme):
            yield Finding(severity, path, line, text)
        used |= {operator.input1, operator.input2}
    for name in sorted(used & set(scheme.strings)):
        problem = path_problem(scheme.strings[name].value, scheme, project)
        if problem:
            yield Finding(problem[0], path, document.lines["scheme_strings", name], f"string {name}: {problem[1]}")


def operator_problems(operator: Operator, scheme: Scheme) -> list[Problem]:
    """Return what is wrong with one operator; also for an operator that is about to be added."""
    try:
        kind = find_type(operator)
    except UserError as error:
        return [(Severity.ERROR, str(error))]
    problems = [
        *_input_problems(kind.input1, operator.input1, 1, scheme),
        *_input_problems(kind.input2, operator.input2, 2, scheme),
        *_output_problems(kind, operator, scheme),
        *_differences(operator, scheme),
    ]
    return [(severity, f"operator {operator.name} ({operator.type}): {text}") for severity, text in problems]


def _input_problems(wanted: Input | None, name: str, position: int, scheme: Scheme) -> Iterator[Problem]:
    if wanted is None:
        if name != UNDEFINED:
            yield Severity.WARNING, f"input{position} '{name}' is not used"
        return
    if wanted.optional and name == UNDEFINED:
        return
    if wanted.kind is Argument.NUMBER and name not in scheme.floats and whole_number_text(name) is not None:
        yield Severity.WARNING, f"input{position} {name} is a number; RELION takes it as 0, so a float variable is safer"
        return
    found = kinds_of(scheme, name)
    if wanted.kind is Argument.ANY and found:
        return
    if _KINDS.get(wanted.kind) not in found:
        what = f", but a {found[0].value} variable" if found else ""
        severity = Severity.WARNING if wanted.lenient else Severity.ERROR
        yield severity, f"input{position} '{name}' is not {wanted.kind.value}{what}"


def _output_problems(kind: OperatorType, operator: Operator, scheme: Scheme) -> Iterator[Problem]:
    if kind.output is None:
        if operator.output != UNDEFINED:
            yield Severity.WARNING, f"output '{operator.output}' is not used"
        return
    if kind.output_optional and operator.output == UNDEFINED:
        return
    found = kinds_of(scheme, operator.output)
    if kind.output in found:
        return
    what = f", but a {found[0].value} variable" if found else ""
    created = kind.creates_output and not found and operator.output != UNDEFINED
    yield Severity.WARNING if created else Severity.ERROR, f"output '{operator.output}' is no {kind.output.value} variable{what}"


def _differences(operator: Operator, scheme: Scheme) -> Iterator[Problem]:
    """Find uses in which RELION does otherwise than its documentation says."""
    second = scheme.strings.get(operator.input2)
    if second is not None and ("Schemes/" in second.value) and operator.type != "float=count_images":
        yield Severity.WARNING, f"input2 '{operator.input2}' holds a path of a scheme; RELION uses it in the place of input1 too"
    number = scheme.floats.get(operator.input2)
    value = number.value if number is not None else whole_number_text(operator.input2)
    if operator.type == "string=nth_word" and value is not None and value < 0:
        yield Severity.WARNING, "a negative number counts from the end; RELION gives 'undefined' for it"
    if operator.type == "float=star_table_sort_idx" and value == 0:
        yield Severity.WARNING, "input2 is 0 now; 1 is the smallest and -1 the largest, and 0 stops the scheme"
    if operator.type == "email" and "email" not in scheme.strings:
        yield Severity.WARNING, "no mail can be sent without a string variable email that holds the address"
