"""Options of a job with variables and paths of schemes filled in."""

from collections.abc import Mapping
from enum import Enum

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.schemes.context import Context
from relion4plugin.schemes.model import Scheme
from relion4plugin.schemes.paths import rewrite_paths
from relion4plugin.schemes.variables import find_value, number_text

MARK = "$$"
_MOST_EXPANSIONS = 1000
_LONGEST = 1 << 20


class OptionKind(Enum):
    """What an option of a job holds."""

    BOOLEAN = "Yes or No"
    NUMBER = "a number"
    TEXT = "text"


def option_kinds(parameters: type) -> dict[str, OptionKind]:
    """Return the kinds of the options of a job type from the declaration of its parameters."""
    kinds = {bool: OptionKind.BOOLEAN, int: OptionKind.NUMBER, float: OptionKind.NUMBER}
    return {field.name: kinds.get(field.type, OptionKind.TEXT) for field in fields_of(parameters)}


def variable_name(after: str) -> str:
    """Return the name of the variable in the text behind a ``$$``: all up to a space."""
    return after.split(" ", 1)[0]


def _inserted(option: str, name: str, scheme: Scheme, kind: OptionKind | None, strict: bool) -> str:
    value = find_value(scheme, name) if name else None
    where = f"{scheme.name}: option {option}"
    if value is None:
        raise UserError(f"{where} uses '{MARK}{name}', but there is no variable '{name}'; add it, or correct the name")
    if isinstance(value, bool):
        if kind not in (OptionKind.BOOLEAN, None):
            raise UserError(f"{where} must be {kind.value}, but {MARK}{name} is a boolean variable; use a variable of another kind")
        return "Yes" if value else "No"
    if kind is OptionKind.BOOLEAN:
        raise UserError(f"{where} must be Yes or No, but {MARK}{name} is no boolean variable; use a boolean variable")
    if isinstance(value, float):
        return number_text(value, strict)
    if kind is OptionKind.NUMBER:
        raise UserError(f"{where} must be a number, but {MARK}{name} is a string variable; use a float variable")
    return value


def expand_variables(option: str, text: str, scheme: Scheme, kind: OptionKind | None = None, strict: bool = False) -> str:
    """Put values of variables in the place of ``$$name``; names end at a space, and values may hold ``$$`` themselves.

    Parameters
    ----------
    option : str
        Name of the option, for errors.
    text : str
        Its value in the template.
    scheme : Scheme
        Has the variables.
    kind : OptionKind, optional
        What the option must hold; None accepts any kind of variable.
    strict : bool
        Print whole numbers from 1e6 on with six digits, as RELION does.

    Raises
    ------
    UserError
        If a variable is missing or of the wrong kind, or variables refer to each other in a circle.
    """
    for _ in range(_MOST_EXPANSIONS):
        before, mark, after = text.partition(MARK)
        if not mark:
            return text
        rest = [word for word in after.split(" ")[1:] if word]
        value = _inserted(option, variable_name(after), scheme, kind, strict)
        text = " ".join([before + value, *rest])
        if len(text) > _LONGEST:
            break
    raise UserError(f"{scheme.name}: option {option} never ends: its variables refer to each other in a circle; correct their values")


def substitute_job(
    scheme: Scheme,
    options: Mapping[str, str],
    context: Context,
    kinds: Mapping[str, OptionKind] | None = None,
    strict: bool = False,
) -> dict[str, str]:
    """Return the options of a job as they are executed now: variables first, then paths of schemes.

    Parameters
    ----------
    scheme : Scheme
        The scheme with its present values and job directories.
    options : mapping
        Options of the template.
    context : Context
        Gives other schemes and takes the log.
    kinds : mapping, optional
        What each option must hold (`option_kinds`); options not in it take any variable.
    strict : bool
        Only what RELION does.

    Raises
    ------
    UserError
        If a variable is missing or of the wrong kind, or a scheme that is named does not exist.
    """
    known = kinds or {}
    result = {}
    for option, text in options.items():
        value = expand_variables(option, text, scheme, known.get(option), strict) if MARK in text else text
        if value != text:
            context.report(f" + in option {option}: {text} -> {value}", level=3)
        rewritten = rewrite_paths(value, scheme, context.jobs_of, strict)
        if rewritten.touched:
            context.report(f" {'++' if rewritten.other_scheme else '+'} in {option}: {value} -> {rewritten.text}")
            for remark in rewritten.remarks:
                context.report(f" + WARNING in {option}: {remark}")
        result[option] = rewritten.text
    return result
