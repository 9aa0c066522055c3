"""What the commands on finished maps have in common."""

import argparse
import dataclasses
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

P = TypeVar("P")


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the options that are not parameters of the job."""
    parser.add_argument("--o", required=True, metavar="DIR", type=Path, help="job directory for all output")
    parser.add_argument("--job_star", metavar="FILE", type=Path, help="take the options from this job.star; options given here win")
    parser.add_argument("--overwrite", action="store_true", help="remove the results of an earlier run in the job directory")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--relion_command", action="store_true", help="print RELION's command for the same job and do nothing")


def base_of(args: argparse.Namespace, from_options: Callable[[Mapping[str, str], str], P]) -> P | None:
    """Return the parameters in the job.star that was given, None without one."""
    if args.job_star is None:
        return None
    from relion4plugin.jobs.job_star import read_job_star

    return from_options(read_job_star(args.job_star).options, str(args.job_star))


def announce(remarks: Iterable[str], command: Sequence[str] = ()) -> int:
    """Print remarks on the error stream, and a command if there is one."""
    for remark in remarks:
        print(f"note: {remark}", file=sys.stderr)
    if command:
        print(" ".join(command))
    return 0


def report_figures(command: str, outputs: Any, remarks: Iterable[str], lines: Sequence[str], as_json: bool) -> int:
    """Print the remarks and what came out, as lines or as JSON."""
    announce(remarks)
    if as_json:
        values = {key: str(value) if isinstance(value, Path) else value for key, value in dataclasses.asdict(outputs).items()}
        print(json.dumps({"command": command, "outputs": values}))
    else:
        print("\n".join(lines))
    return 0
