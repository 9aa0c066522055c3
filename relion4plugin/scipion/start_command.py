"""The command line of what schedules runs in a project: usage, one line for a mistake, and the ids of the runs."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from relion4plugin.errors import UserError

SAID = "scheduled runs:"  # before their ids, in the output of the command
DOUBT = "warning:"  # before what keeps one of them from beginning
_OK, _USAGE = 0, 2


@dataclass(frozen=True)
class Started:
    """Ids of scheduled runs, and one line for each that will not begin as it is."""

    runs: tuple[int, ...]
    doubts: tuple[str, ...] = ()


def run_start_command(program: str, usage: str, words: Sequence[str], start: Callable[[Sequence[str]], Started | None]) -> int:
    """Schedule runs, print their ids and what keeps them from beginning; a mistake is one line.

    Parameters
    ----------
    program : str
        Module of the command.
    usage : str
        Its words, for people.
    words : sequence of str
        The words given.
    start : callable
        Schedules the runs; returns None if the words are not those of `usage`.

    Returns
    -------
    int
        Exit code: 0 done, 2 a user's mistake.
    """
    try:
        started = start(words)
    except Exception as error:
        if not _is_mistake(error):
            raise
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return _USAGE
    if started is None:
        print(f"usage: python -m {program} {usage}", file=sys.stderr)
        return _USAGE
    print(f"{SAID} {', '.join(map(str, started.runs))}")
    for line in started.doubts:
        print(f"{DOUBT} {line}", file=sys.stderr)
    return _OK


def _is_mistake(error: Exception) -> bool:
    """Whether a person can mend what went wrong: the host raises plain exceptions for that, and a text that is no JSON is a ValueError."""
    return isinstance(error, UserError | OSError | ValueError) or type(error) is Exception
