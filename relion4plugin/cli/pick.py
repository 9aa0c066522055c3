"""Particles picked in micrographs: by blobs of a given size, by the neural network Topaz, or by class averages.

For example:

  relion4plugin pick --i CtfFind/job003/micrographs_ctf.star --o AutoPick/job006 --log_diam_min 150 --log_diam_max 180 --j 4
  relion4plugin pick --i CtfFind/job003/micrographs_ctf.star --o AutoPick/job006 --log_adjust_thr 0.5 --continue --overlay
  relion4plugin pick --topaz_extract --i CtfFind/job003/micrographs_ctf.star --o AutoPick/job007 --particle_diameter 180 --gpu 0
  relion4plugin pick --ref Select/job010/class_averages.star --angpix_ref 3.5 --i CtfFind/job003/micrographs_ctf.star --o AutoPick/job011

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

from relion4plugin.cli.map_command import add_common, announce, base_of, report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.errors import UserError
from relion4plugin.jobs import autopick_log, autopick_ref, autopick_topaz
from relion4plugin.jobs.autopick_parameters import PickInputParameters, PickParameters, RefPickParameters
from relion4plugin.jobs.parameters import add_arguments, fields_of, from_arguments, from_job_options

_SHARED = (*(field.name for field in fields_of(PickInputParameters)), "lowpass")


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i micrographs.star --o DIR [--LoG | --topaz_extract | --ref FILE] [options]"
    add_common(parser)
    method = parser.add_mutually_exclusive_group()
    method.add_argument("--LoG", dest="method", action="store_const", const="log", default="log", help="pick blobs (default)")
    method.add_argument("--topaz_extract", "--topaz", dest="method", action="store_const", const="topaz", help="pick with Topaz")
    parser.add_argument(
        "--continue", "--only_do_unfinished", dest="is_continue", action="store_true",
        help="keep micrographs that have picks in the job directory",
    )  # fmt: skip
    parser.add_argument("--gpu", metavar="ID", nargs="?", const="0", help="Topaz uses a GPU: the same as --use_gpu Yes --gpu_ids ID")
    add_arguments(parser, PickParameters, skip=("gpu_ids",))
    add_arguments(parser, RefPickParameters, skip=_SHARED)


def main(args: argparse.Namespace) -> int:
    """Pick in all micrographs."""
    job, parameters = _chosen(args)
    if args.relion_command:
        return announce((), job.relion_command(parameters, args.o, args.is_continue))
    remarks = job.validate(parameters)
    outputs = job.run(parameters, args.o, terminal_progress(args.quiet), is_continue=args.is_continue, overwrite=args.overwrite)
    lines = [f"picks: {outputs.n_picks} in {outputs.n_micrographs} micrographs, listed in {outputs.coordinates}"]
    lines += [f"picked now: {outputs.n_new}", f"set aside: {outputs.n_set_aside}"]
    if outputs.precision is not None and outputs.recall is not None:
        lines.append(f"precision: {outputs.precision:.3f}, recall: {outputs.recall:.3f}")
    return report_figures("pick", outputs, (*remarks, *outputs.remarks), lines, args.json)


def _chosen(args: argparse.Namespace) -> tuple[Any, Any]:
    """Return the job of the chosen method, and its parameters."""
    if getattr(args, "fn_refs_autopick", "") and args.method == "log":
        if args.gpu is not None:
            raise UserError("--gpu is given, but picking by references runs on the processor: leave it out")
        if hasattr(args, "log_maxres"):
            args.lowpass = args.log_maxres  # RELION's --lowpass is either
        return autopick_ref, from_arguments(RefPickParameters, args, base_of(args, autopick_ref.from_options))
    parameters = from_arguments(PickParameters, args, base_of(args, _from_options))
    if args.gpu is not None:
        parameters = dataclasses.replace(parameters, use_gpu=True, gpu_ids=args.gpu)
    return (autopick_topaz if args.method == "topaz" else autopick_log), parameters


def _from_options(options: Mapping[str, str], where: str) -> PickParameters:
    return from_job_options(PickParameters, options, where)
