"""Values put into templates of schemes: variables, and options of jobs."""

from collections.abc import Mapping
from dataclasses import replace

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_type import is_queue_extra
from relion4plugin.jobs.parameters import ParameterField, fields_of, format_value, parse_value
from relion4plugin.jobs.registry import job_type
from relion4plugin.schemes.editing import set_variable
from relion4plugin.schemes.it.choices import suggestion
from relion4plugin.schemes.it.keys import SEPARATOR
from relion4plugin.schemes.library.template import SchemeTemplate
from relion4plugin.schemes.model import Scheme
from relion4plugin.schemes.substitution import MARK
from relion4plugin.schemes.variables import kinds_of


def filled(templates: Mapping[str, SchemeTemplate], values: Mapping[str, str]) -> dict[str, SchemeTemplate]:
    """Put values into templates.

    An option that the template takes from a variable (``$$name``) sets that variable, unless an operator does.

    Parameters
    ----------
    templates : mapping
        Templates by the name of their scheme (``prep``).
    values : mapping
        ``SCHEME__VARIABLE`` or ``SCHEME__JOB__OPTION`` with the value as text.

    Raises
    ------
    UserError
        If a scheme, variable, job or option does not exist, or a value does not fit it.
    """
    result = dict(templates)
    for key, text in sorted(values.items()):
        name, *rest = key.split(SEPARATOR)
        if name not in result:
            raise UserError(f"{key}: there is no scheme '{name}'{suggestion(name, result)}")
        if len(rest) == 1:
            result[name] = _with_variable(result[name], key, rest[0], text)
        elif len(rest) == 2:
            result[name] = _with_option(result[name], key, rest[0], rest[1], text)
        else:
            raise UserError(f"{key} is no key; expected SCHEME__VARIABLE or SCHEME__JOB__OPTION")
    return result


def _with_variable(template: SchemeTemplate, key: str, name: str, text: str) -> SchemeTemplate:
    scheme = template.scheme
    if not kinds_of(scheme, name):
        known = [*scheme.bools, *scheme.floats, *scheme.strings]
        raise UserError(f"{key}: {scheme.name} has no variable '{name}'{suggestion(name, known)}")
    try:
        return template.with_scheme(set_variable(scheme, name, text, text))
    except UserError as error:
        raise UserError(f"{key}: {error}") from error


def _with_option(template: SchemeTemplate, key: str, job: str, option: str, text: str) -> SchemeTemplate:
    if job not in template.jobs:
        raise UserError(f"{key}: {template.scheme.name} has no job '{job}'{suggestion(job, template.jobs)}")
    old = template.jobs[job].options.get(option, "")
    variable = old.removeprefix(MARK)
    if variable != old and kinds_of(template.scheme, variable) and not _is_computed(template.scheme, variable):
        return _with_variable(template, key, variable, text)
    kind = job_type(template.jobs[job].type_label)
    known = {field.name: field for field in fields_of(kind.parameters)}
    if is_queue_extra(option):
        return template.with_option(job, option, text)
    if option not in known:
        raise UserError(f"{key}: job {job} ({kind.label}) has no option '{option}'{suggestion(option, known)}")
    return template.with_option(job, option, _option_text(known[option], key, text, free=option in kind.free_text))


def _is_computed(scheme: Scheme, variable: str) -> bool:
    return any(operator.output == variable for operator in scheme.operators.values())


def _option_text(field: ParameterField, key: str, text: str, free: bool) -> str:
    """Return the text as it stands in a job.star: Yes or No, the full entry of a menu, a number as it was given."""
    if MARK in text or free or (field.type is not bool and not text):
        return text
    value = parse_value(replace(field, name=key), text)
    if field.choices is not None and value not in field.choices:
        raise UserError(f"{key} is '{text}' but must be one of {', '.join(field.choices)} ({field.label})")
    return format_value(value) if field.type is bool or field.choices is not None else text
