"""Changes of a scheme that a person asks for by name and text: variables, modes, nodes, edges."""

from dataclasses import replace

from relion4plugin.errors import UserError
from relion4plugin.schemes.findings import Severity
from relion4plugin.schemes.lint_operators import operator_problems
from relion4plugin.schemes.model import CONTINUE, NEW, UNDEFINED, Edge, Kind, Operator, Scheme, SchemeJob, Variable
from relion4plugin.schemes.variables import kinds_of, parse_bool, parse_value, whole_number_text, with_value


def set_variable(scheme: Scheme, name: str, text: str, reset: str | None = None) -> Scheme:
    """Give a variable a value, and a reset value where one is given; boolean before float before string.

    Raises
    ------
    UserError
        If there is no such variable, or the text does not fit it.
    """
    kinds = kinds_of(scheme, name)
    if not kinds:
        known = ", ".join(sorted({*scheme.bools, *scheme.floats, *scheme.strings})) or "none"
        raise UserError(f"{scheme.name} has no variable '{name}'; it has: {known}")
    scheme = with_value(scheme, name, parse_value(kinds[0], name, text))
    return scheme if reset is None else _with_reset(scheme, kinds[0], name, reset)


def _with_reset(scheme: Scheme, kind: Kind, name: str, text: str) -> Scheme:
    value = parse_value(kind, name, text)
    if isinstance(value, bool):
        return replace(scheme, bools={**scheme.bools, name: Variable(scheme.bools[name].value, value)})
    if isinstance(value, float):
        return replace(scheme, floats={**scheme.floats, name: Variable(scheme.floats[name].value, value)})
    return replace(scheme, strings={**scheme.strings, name: Variable(scheme.strings[name].value, value)})


def add_variable(scheme: Scheme, name: str, text: str, reset: str | None = None) -> Scheme:
    """Add a variable whose kind follows from the text: a number, True or False, or anything else; a known one is set.

    Raises
    ------
    UserError
        If the name is empty or has blanks, or a known variable is of another kind.
    """
    if not name or any(c.isspace() for c in name) or name == UNDEFINED:
        raise UserError(f"'{name}' is no name for a variable; expected a word without blanks")
    if kinds_of(scheme, name):
        return set_variable(scheme, name, text, reset)
    number = whole_number_text(text)
    if number is not None:
        kind = Kind.FLOAT
    else:
        kind = Kind.BOOL if parse_bool(text) is not None and text.lower() in ("true", "false") else Kind.STRING
    scheme = with_value(scheme, name, parse_value(kind, name, text))
    return scheme if reset is None else _with_reset(scheme, kind, name, reset)


def _job(scheme: Scheme, name: str) -> SchemeJob:
    if name not in scheme.jobs:
        raise UserError(f"{scheme.name} has no job '{name}'; it has: {', '.join(sorted(scheme.jobs)) or 'none'}")
    return scheme.jobs[name]


def set_job_mode(scheme: Scheme, job: str, mode: str) -> Scheme:
    """Make a job start afresh (``new``) or go on in its directory (``continue``) each time.

    Raises
    ------
    UserError
        If there is no such job or mode.
    """
    if mode not in (NEW, CONTINUE):
        raise UserError(f"job {job} cannot have mode '{mode}'; expected {NEW} or {CONTINUE}")
    return scheme.with_job(replace(_job(scheme, job), mode=mode))


def set_has_started(scheme: Scheme, job: str, text: str) -> Scheme:
    """Say whether a job has started; where it has not, it gets a new directory when it runs next.

    Raises
    ------
    UserError
        If there is no such job, or the text is neither True nor False.
    """
    value = parse_bool(text)
    if value is None:
        raise UserError(f"'{text}' does not say whether job {job} has started; expected True or False")
    return scheme.with_job(replace(_job(scheme, job), has_started=value))


def set_current_node(scheme: Scheme, node: str) -> Scheme:
    """Make a node the next to be executed.

    Raises
    ------
    UserError
        If there is no such node.
    """
    if node not in scheme.operators and node not in scheme.jobs:
        raise UserError(f"{scheme.name} has no node '{node}'; it has: {', '.join(sorted([*scheme.operators, *scheme.jobs]))}")
    return scheme.with_current_node(node)


def add_operator(scheme: Scheme, operator: Operator) -> Scheme:
    """Add an operator, or put it in the place of the one with its name.

    Raises
    ------
    UserError
        If its type, inputs or output are wrong.
    """
    if not operator.name or any(c.isspace() for c in operator.name):
        raise UserError(f"'{operator.name}' is no name for an operator; expected a word without blanks")
    for severity, text in operator_problems(operator, scheme):
        if severity is Severity.ERROR:
            raise UserError(text)
    return replace(scheme, operators={**scheme.operators, operator.name: operator})


def add_edge(scheme: Scheme, edge: Edge) -> Scheme:
    """Add an edge or fork at the end.

    Raises
    ------
    UserError
        If one leaves its source already, or the fork depends on no boolean variable.
    """
    if any(known.source == edge.source for known in scheme.edges):
        raise UserError(f"an edge leaves {edge.source} already; only one can")
    if edge.is_fork and edge.boolean not in scheme.bools:
        raise UserError(f"the fork at {edge.source} depends on '{edge.boolean}', which is no boolean variable; add it first")
    return replace(scheme, edges=(*scheme.edges, edge))
