"""Soft solvent mask from a map.

For example:

  relion4plugin mask --i Refine3D/job019/run_class001.mrc --o MaskCreate/job020 --ini_threshold 0.005 --width_mask_edge 6
  relion4plugin mask --i Refine3D/job019/run_class001.mrc --o MaskCreate/job021 --auto_threshold

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse

from relion4plugin.cli.map_command import add_common, announce, base_of, report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import maskcreate
from relion4plugin.jobs.parameters import add_arguments, from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i map.mrc --o DIR [options]"
    add_common(parser)
    add_arguments(parser, maskcreate.MaskCreateParameters)


def main(args: argparse.Namespace) -> int:
    """Make the mask."""
    parameters = from_arguments(maskcreate.MaskCreateParameters, args, base_of(args, maskcreate.from_options))
    remarks = maskcreate.validate(parameters)
    if args.relion_command:
        return announce(remarks, maskcreate.relion_command(parameters, args.o))
    outputs = maskcreate.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    lines = [f"mask: {outputs.mask}", f"threshold: {outputs.threshold:.4g}", f"part of the box: {100 * outputs.fraction:.1f} %"]
    return report_figures("mask", outputs, (*remarks, *outputs.remarks), lines, args.json)
