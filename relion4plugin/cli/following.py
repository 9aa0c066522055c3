"""Waiting on the terminal for schemes that run in the background."""

import sys
import time
from collections.abc import Sequence

from relion4plugin.schemes.follow import Ended, follow
from relion4plugin.schemes.project import Project

_CODES = {"finished": 0, "running": 0, "failed": 1, "error": 2, "aborted": 2}


def wait_for(project: Project, names: Sequence[str], quiet: bool = False) -> tuple[dict[str, Ended], int]:
    """Show what schemes do until all have ended, or one has died or failed.

    Returns
    -------
    dict, int
        Name of the scheme -> how it ended; and the exit code: 0 finished, 1 one died or its job failed, 2 one was aborted or a person has
        to correct something.
    """
    begin = time.monotonic()

    def tell(line: str) -> None:
        if not quiet:
            print(f"{time.monotonic() - begin:6.0f} s  {line}", file=sys.stderr, flush=True)

    ends = follow(project, names, tell)
    for name, end in ends.items():
        if end.outcome != "finished":
            print(f"scheme {name} {end.outcome}: {end.reason}", file=sys.stderr)
    return ends, max(_CODES.get(end.outcome, 1) for end in ends.values())
