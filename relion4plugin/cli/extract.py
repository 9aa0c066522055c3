r"""Particle images from micrographs and picks, or again from refined particles.

For example:

  relion4plugin extract --i CtfFind/job003/micrographs_ctf.star --coord_list AutoPick/job005/autopick.star --o Extract/job006 \
      --extract_size 256 --scale 64 --j 4
  relion4plugin extract --i CtfFind/job003/micrographs_ctf.star --reextract_data_star Select/job017/particles.star --recenter \
      --o Extract/job018 --extract_size 360 --scale 256
  relion4plugin extract --job_star Extract/job006/job.star --o Extract/job006 --continue

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse
import dataclasses
from typing import Any

from relion4plugin.cli.map_command import add_common, announce, base_of, report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import extract
from relion4plugin.jobs.parameters import add_arguments, from_arguments

# An option whose value counts only together with a Yes means that Yes.
_MEANT = {"rescale": "do_rescale", "minimum_pick_fom": "do_fom_threshold", "fndata_reextract": "do_reextract"}


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i micrographs_ctf.star --coord_list autopick.star --o DIR [options]"
    add_common(parser)
    parser.add_argument(
        "--continue", "--only_do_unfinished", dest="is_continue", action="store_true",
        help="keep micrographs that are finished in the job directory",
    )
    add_arguments(parser, extract.ExtractParameters)


def parameters_from(args: argparse.Namespace) -> extract.ExtractParameters:
    """Combine the options given and a job.star; giving a size or a threshold means using it."""
    parameters = from_arguments(extract.ExtractParameters, args, base_of(args, extract.from_options))
    meant: dict[str, Any] = {switch: True for name, switch in _MEANT.items() if hasattr(args, name) and not hasattr(args, switch)}
    return dataclasses.replace(parameters, **meant)


def main(args: argparse.Namespace) -> int:
    """Extract the particles."""
    parameters = parameters_from(args)
    remarks = extract.validate(parameters)
    if args.relion_command:
        from relion4plugin.jobs.parameters import to_job_options
        from relion4plugin.jobs.registry import job_type

        (words,) = job_type("relion.extract").relion_command(to_job_options(parameters), args.o, args.is_continue)
        return announce(remarks, words)
    outputs = extract.run(parameters, args.o, terminal_progress(args.quiet), is_continue=args.is_continue, overwrite=args.overwrite)
    lines = [
        f"particles: {outputs.n_particles} in {outputs.particles}",
        f"micrographs: {outputs.n_micrographs}, {outputs.n_new} of them now",
        f"set aside: {outputs.n_set_aside}",
    ]
    return report_figures("extract", outputs, (*remarks, *outputs.remarks), lines, args.json)
