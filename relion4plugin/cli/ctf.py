"""Defocus, astigmatism and phase shift of micrographs.

For example:

  relion4plugin ctf --i MotionCorr/job002/corrected_micrographs.star --o CtfFind/job003
  relion4plugin ctf --i Import/job001/micrographs.star --o CtfFind/job004 --do_phaseshift --phase_min 30 --phase_max 150
  relion4plugin ctf --i MotionCorr/job002/corrected_micrographs.star --o CtfFind/job003 --continue

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse

from relion4plugin.cli.map_command import add_common, announce, base_of, report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import ctffind
from relion4plugin.jobs.parameters import add_arguments, from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i micrographs.star --o DIR [options]"
    add_common(parser)
    parser.add_argument(
        "--continue", "--only_do_unfinished", dest="is_continue", action="store_true",
        help="keep micrographs that are finished in the job directory",
    )  # fmt: skip
    add_arguments(parser, ctffind.CtfFindParameters)


def main(args: argparse.Namespace) -> int:
    """Estimate the CTF of all micrographs."""
    parameters = from_arguments(ctffind.CtfFindParameters, args, base_of(args, ctffind.from_options))
    remarks = ctffind.validate(parameters)
    if args.relion_command:
        return announce(remarks, ctffind.relion_command(parameters, args.o, args.is_continue))
    outputs = ctffind.run(parameters, args.o, terminal_progress(args.quiet), is_continue=args.is_continue, overwrite=args.overwrite)
    lines = [f"micrographs: {outputs.n_micrographs} in {outputs.micrographs}"]
    lines += [f"estimated now: {outputs.n_new}", f"set aside: {outputs.n_set_aside}"]
    return report_figures("ctf", outputs, (*remarks, *outputs.remarks), lines, args.json)
