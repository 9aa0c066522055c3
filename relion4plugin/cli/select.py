"""Selection of micrographs or particles: by values, by image statistics, into subsets, or without duplicates.

For example:

  relion4plugin select --i CtfFind/job003/micrographs_ctf.star --o Select/job004 --select rlnCtfMaxResolution --maxval 6
  relion4plugin select --i Extract/job006/particles.star --o Select/job007 --split --size_split 5000 --random_order
  relion4plugin select --i Extract/job006/particles.star --o Select/job008 --remove_duplicates 60
  relion4plugin select --i Extract/job006/particles.star --o Select/job009 --discard_on_stats --discard_sigma 3

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse
import dataclasses
import json
import mmap
from pathlib import Path
from typing import Any

from relion4plugin.cli.map_command import add_common, announce, base_of
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import selectvalues
from relion4plugin.jobs.parameters import add_arguments, from_arguments

# Options that mean a task, unless the task was given itself.
_MEANT = {
    "do_select_values": ("select_label", "select_minval", "select_maxval"),
    "do_discard": ("discard_sigma",),
    "do_split": ("split_size", "nr_split"),
    "do_remove_duplicates": ("duplicate_threshold",),
}


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i micrographs.star|particles.star --o DIR [options]"
    add_common(parser)
    add_arguments(parser, selectvalues.SelectValuesParameters)


def parameters_from(args: argparse.Namespace) -> selectvalues.SelectValuesParameters:
    """Combine the options given and a job.star; an option of a task means that task, and particles after ``--i`` are taken as such."""
    parameters = from_arguments(selectvalues.SelectValuesParameters, args, base_of(args, selectvalues.from_options))
    changed: dict[str, Any] = {
        task: True for task, options in _MEANT.items() if not hasattr(args, task) and any(hasattr(args, name) for name in options)
    }
    if hasattr(args, "nr_split") and not hasattr(args, "split_size"):
        changed["split_size"] = -1  # as for RELION's program: so many subsets of all rows
    if parameters.fn_mic and not parameters.fn_data and _holds_particles(Path(parameters.fn_mic)):
        changed |= {"fn_mic": "", "fn_data": parameters.fn_mic}
    return dataclasses.replace(parameters, **changed)


def _holds_particles(path: Path) -> bool:
    if not path.is_file() or not path.stat().st_size:
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
        return text.find(b"\ndata_particles") >= 0


def main(args: argparse.Namespace) -> int:
    """Select rows and write them."""
    parameters = parameters_from(args)
    remarks = selectvalues.validate(parameters)
    if args.relion_command:
        from relion4plugin.jobs.parameters import to_job_options
        from relion4plugin.jobs.registry import job_type

        (words,) = job_type("relion.select").relion_command(to_job_options(parameters), args.o, False)
        return announce(remarks, words)
    selected = selectvalues.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    announce((*remarks, *selected.remarks))
    counts = {path.as_posix(): count for path, count in selected.counts.items()}
    lines = [f"{path}: {count} rows" for path, count in counts.items()]
    print(json.dumps({"command": "select", "outputs": counts}) if args.json else "\n".join(lines))
    return 0
