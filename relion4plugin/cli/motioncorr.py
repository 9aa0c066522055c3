"""Beam-induced motion of movies corrected: frames and patches are aligned, summed and weighted by dose.

For example:

  relion4plugin motioncorr --i Import/job001/movies.star --o MotionCorr/job002 --patch_x 5 --patch_y 5 --dose_per_frame 1.277 --j 4
  relion4plugin motioncorr --i Import/job001/movies.star --o MotionCorr/job002 --gainref Movies/gain.mrc --bin_factor 2 --gpu 0
  relion4plugin motioncorr --i Import/job001/movies.star --o MotionCorr/job002 --continue --do_at_most 50

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse
import dataclasses

from relion4plugin.cli.map_command import add_common, announce, base_of, report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import motioncorr
from relion4plugin.jobs.parameters import add_arguments, from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i movies.star --o DIR [options]"
    add_common(parser)
    parser.add_argument(
        "--continue", "--only_do_unfinished", dest="is_continue", action="store_true",
        help="keep movies that are finished in the job directory",
    )  # fmt: skip
    parser.add_argument("--gpu", metavar="ID", nargs="?", const="0", help="use a GPU: the same as --use_gpu Yes --gpu_ids ID")
    add_arguments(parser, motioncorr.MotionCorrParameters, skip=("gpu_ids",))


def main(args: argparse.Namespace) -> int:
    """Correct all movies."""
    parameters = from_arguments(motioncorr.MotionCorrParameters, args, base_of(args, motioncorr.from_options))
    if args.gpu is not None:
        parameters = dataclasses.replace(parameters, use_gpu=True, gpu_ids=args.gpu)
    remarks = motioncorr.validate(parameters)
    if args.relion_command:
        return announce(remarks, motioncorr.relion_command(parameters, args.o, args.is_continue))
    outputs = motioncorr.run(parameters, args.o, terminal_progress(args.quiet), is_continue=args.is_continue, overwrite=args.overwrite)
    lines = [f"micrographs: {outputs.n_micrographs} in {outputs.micrographs}", f"corrected now: {outputs.n_new}"]
    lines += [f"set aside: {outputs.n_set_aside}", f"left for later: {outputs.n_left}"]
    return report_figures("motioncorr", outputs, (*remarks, *outputs.remarks), lines, args.json)
