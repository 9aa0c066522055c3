"""Import of movies, micrographs and other files into a project.

For example:

  relion4plugin import --i 'Movies/*.tiff' --o Import/job001 --angpix 0.885 --kV 200 --Cs 1.4 --fn_gain_ref Movies/gain.mrc
  relion4plugin import --i 'Movies/*.tiff' --o Import/job001 --angpix 0.885 --kV 200 --Cs 1.4 --continue
  relion4plugin import --do_other --fn_in_other ref.mrc --node_type '3D reference (.mrc)' --o Import/job002

Options may be given by RELION's job-option name or by the name of its program. Quote patterns, so that the shell leaves them alone.
"""

import argparse
import dataclasses

from relion4plugin.cli.map_command import add_common, announce, base_of, report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import import_job
from relion4plugin.jobs.parameters import add_arguments, from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i PATTERN --o DIR [options]"
    add_common(parser)
    parser.add_argument("--continue", dest="is_continue", action="store_true", help="keep what is imported and add what is new")
    add_arguments(parser, import_job.ImportParameters)


def main(args: argparse.Namespace) -> int:
    """Import the files."""
    parameters = from_arguments(import_job.ImportParameters, args, base_of(args, import_job.from_options))
    if parameters.do_other and not hasattr(args, "do_raw"):
        parameters = dataclasses.replace(parameters, do_raw=False)  # Yes by default
    remarks = import_job.validate(parameters)
    if args.relion_command:
        return announce(remarks, import_job.relion_command(parameters, args.o, args.is_continue))
    outputs = import_job.run(parameters, args.o, terminal_progress(args.quiet), is_continue=args.is_continue, overwrite=args.overwrite)
    if isinstance(outputs, import_job.RawImport):
        lines = [f"images: {outputs.n_images} in {outputs.star}", f"new: {outputs.n_new}"]
        lines += [f"waiting: {outputs.n_waiting}", f"set aside: {outputs.n_set_aside}"]
    else:
        lines = [f"imported: {', '.join(map(str, outputs.files))}", f"files copied: {outputs.n_copied}"]
    return report_figures("import", outputs, (*remarks, *outputs.remarks), lines, args.json)
