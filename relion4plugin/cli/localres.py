"""Local resolution, and a map filtered by it, from two unfiltered half maps.

For example:

  relion4plugin localres --i Refine3D/job029/run_half1_class001_unfil.mrc --mask MaskCreate/job020/mask.mrc --o LocalRes/job031

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse

from relion4plugin.cli.map_command import add_common, announce, base_of, report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import localres
from relion4plugin.jobs.parameters import add_arguments, from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i half1.mrc --o DIR [options]"
    add_common(parser)
    add_arguments(parser, localres.LocalResParameters)


def main(args: argparse.Namespace) -> int:
    """Estimate the local resolution."""
    parameters = from_arguments(localres.LocalResParameters, args, base_of(args, localres.from_options))
    remarks = localres.validate(parameters)
    if args.relion_command:
        return announce(remarks, localres.relion_command(parameters, args.o))
    outputs = localres.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    low, middle, high = outputs.quantiles
    lines = [
        f"local resolution of {outputs.spheres} spheres: median {middle:.2f} A, 5 % {low:.2f} A, 95 % {high:.2f} A",
        f"resolution map: {outputs.locres}",
        f"filtered map: {outputs.filtered}",
    ]
    return report_figures("localres", outputs, (*remarks, *outputs.remarks), lines, args.json)
