"""Particles picked in micrographs by crYOLO, which must be installed: as a command, or as an external job of RELION.

For example, in the project directory:

  relion4plugin cryolo --in_mics CtfFind/job003/micrographs_ctf.star --o External/job006 --model gmodel.h5 --gpu 0 --j 8

As an external job, RELION's Fn_exe is the two words relion4plugin cryolo, input micrographs are --in_mics, and gpu, box_size, model
and threshold are parameters. Finished micrographs are kept when the job is run again. RELION_JOB_ABORT_NOW in the job directory ends it.
"""

import argparse
import sys
from pathlib import Path

from relion4plugin.cli.job_process import said_once, terminable
from relion4plugin.cli.map_command import report_figures
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs import cryolo
from relion4plugin.jobs.cryolo_parameters import CryoloParameters
from relion4plugin.jobs.execution import PreparedDirectory
from relion4plugin.jobs.job_star import JobStar
from relion4plugin.jobs.parameters import add_arguments, from_arguments, to_job_options

_UNUSED = ("do_overlay", "fn_truth")  # they need a diameter


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.usage = "%(prog)s --in_mics micrographs.star --o DIR [options]"
    parser.add_argument("--o", required=True, metavar="DIR", type=Path, help="job directory for all output")
    parser.add_argument("--overwrite", action="store_true", help="pick all micrographs again, instead of keeping finished ones")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--pipeline_control", metavar="DIR", help="accepted from RELION: the job directory is looked at anyway")
    add_arguments(parser, CryoloParameters, skip=_UNUSED)


def main(args: argparse.Namespace) -> int:
    """Pick in all micrographs that are not done yet, and leave RELION's exit marker."""
    parameters = from_arguments(CryoloParameters, args)
    args.o.mkdir(parents=True, exist_ok=True)
    progress = terminal_progress(args.quiet or not sys.stderr.isatty())  # run.out has the progress already
    job = JobStar("relion.external", options=to_job_options(parameters))
    with terminable(), said_once(args.o / "run.err"):
        with PreparedDirectory(args.o, job, command="", inputs={}, outputs={}, progress=progress) as place:
            outputs = cryolo.run(parameters, args.o, place.progress, is_continue=not args.overwrite, overwrite=args.overwrite)
    lines = [f"picks: {outputs.n_picks} in {outputs.n_micrographs} micrographs, listed in {outputs.coordinates}"]
    lines += [f"picked now: {outputs.n_new}", f"set aside: {outputs.n_set_aside}"]
    return report_figures("cryolo", outputs, outputs.remarks, lines, args.json)
