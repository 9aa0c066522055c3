"""Align a map to the axes of its point group, find the group, apply it.

For example:

  relion4plugin symmetry --i map.mrc --find --o Symmetry/job010
  relion4plugin symmetry --i map.mrc --sym D2 --o aligned.mrc --apply_sym
  relion4plugin symmetry --i InitialModel/job005/run_it200_model.star --sym C4 --select_largest_class --apply_sym --o Symmetry/job011
"""

import argparse

from relion4plugin.cli.map_command import add_common, announce, base_of, report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import alignsymmetry
from relion4plugin.jobs.parameters import add_arguments, from_arguments

_SHOWN = 5  # groups of the ranking


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i map.mrc --sym GROUP|--find --o DIR|FILE.mrc [options]"
    add_common(parser)
    add_arguments(parser, alignsymmetry.AlignSymmetryParameters)


def main(args: argparse.Namespace) -> int:
    """Align."""
    parameters = from_arguments(alignsymmetry.AlignSymmetryParameters, args, base_of(args, alignsymmetry.from_options))
    remarks = alignsymmetry.validate(parameters)
    if args.relion_command:
        return announce(remarks, alignsymmetry.relion_command(parameters, args.o))
    outputs = alignsymmetry.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    lines = [f"map: {outputs.map}", f"symmetry: {outputs.symmetry}", f"score: {outputs.score:.2f} (0 to 1, clear from 0.5)"]
    lines += [f"class: {outputs.class_number}"] if outputs.class_number else []
    if outputs.ranking:
        lines.append("ranking: " + ", ".join(f"{name} {score:.2f}" for name, score in outputs.ranking[:_SHOWN]))
    return report_figures("symmetry", outputs, outputs.remarks, lines, args.json)
