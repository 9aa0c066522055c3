"""Run the job of a RELION job directory in that directory, from the options in its job.star.

For example, in the project directory:

  relion4plugin run-job Class2D/job007
  relion4plugin run-job Class2D/job007 --continue --j 8

The job leaves RELION's exit marker, run.out and run.err; RELION_JOB_ABORT_NOW in its directory, Ctrl-C or SIGTERM ends it.
The exit code is 0 for a finished job, 2 for one that failed for a reason that is said in one line, such as a wrong option or file,
130 for an aborted one, and 1 for an error of the program itself.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from relion4plugin.cli.job_process import said_once, terminable
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.jobs.execution import load_job, run_job


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument("directory", metavar="JOBDIR", type=Path, help="job directory with a job.star, such as Class2D/job007")
    parser.add_argument(
        "--continue", dest="is_continue", action="store_true",
        help="the job was run before: go on with what is new or unfinished, or from the last iteration, or start over, as its type does; "
        "the same as rlnJobIsContinue in job.star",
    )  # fmt: skip
    parser.add_argument("--j", metavar="N", type=int, help="number of threads, instead of nr_threads in job.star")
    parser.add_argument("--gpu", metavar="IDS", help="graphics cards to use, instead of gpu_ids in job.star")


def main(args: argparse.Namespace) -> int:
    """Run the job."""
    job = load_job(args.directory)
    changes = {} if args.j is None else {"nr_threads": str(args.j)}
    changes |= {} if args.gpu is None else {"use_gpu": "Yes", "gpu_ids": args.gpu}
    # run.out has the progress already.
    progress = terminal_progress(quiet=not sys.stderr.isatty())
    with terminable(), said_once(args.directory / "run.err"):
        run_job(args.directory, replace(job, options={**job.options, **changes}), args.is_continue or job.is_continue, progress)
    return 0
