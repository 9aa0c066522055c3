"""What the registry of job types knows about options, in the form in which checks of schemes take it."""

from collections.abc import Mapping

from relion4plugin.errors import UserError
from relion4plugin.jobs.registry import job_type
from relion4plugin.schemes.lint import Surroundings
from relion4plugin.schemes.substitution import OptionKind, option_kinds


def registered_kinds(label: str) -> Mapping[str, OptionKind] | None:
    """Return the kinds of all options of a job type, None for an unknown type.

    Options that RELION takes as free text are text, even where they are declared as numbers.
    """
    try:
        kind = job_type(label)
    except UserError:
        return None
    kinds = option_kinds(kind.parameters)
    return {name: OptionKind.TEXT if name in kind.free_text else found for name, found in kinds.items()}


def registered() -> Surroundings:
    """Return surroundings with all registered job types, and the programs on PATH."""
    return Surroundings(option_kinds=registered_kinds)
