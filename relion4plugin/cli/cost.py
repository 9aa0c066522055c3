"""What a job will cost: hours and memory from the number of particles, the box and the classes.

For example:

  relion4plugin cost --particles 200000 --box 128 --K 100 --threads 16
  relion4plugin cost --job refine3d --particles 100000 --box 256 --threads 16

For jobs on the processor; no graphics card was measured. Runs took 0.8 to 1.6 times what it says, classifications of 50,000
particles and more 1.7 to 2.3 times, EM of noisy particles 3 times; another processor is another factor.
"""

import argparse
import json
from dataclasses import asdict

from relion4plugin.jobs.cost import JOBS, Task, estimate


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--job", choices=JOBS, default=JOBS[0], help="kind of job (default class2d, by VDAM)")
    parser.add_argument("--particles", type=int, required=True, metavar="N", help="number of particles")
    parser.add_argument("--box", type=int, required=True, metavar="PX", help="box of the particles, after scaling down")
    parser.add_argument("--K", type=int, metavar="N", help="classes (50 in 2D, 1 in 3D)")
    parser.add_argument("--iter", type=int, metavar="N", help="iterations (200 by VDAM, 25 by EM; a refinement has its own)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads (default 1)")
    parser.add_argument("--mask", type=float, default=0.8, metavar="X", help="mask diameter as a part of the box (default 0.8)")
    parser.add_argument("--detail", type=float, default=4.0, metavar="PX", help="resolution that will be reached, in px (default 4)")
    parser.add_argument("--json", action="store_true", help="print the estimate as JSON on standard output")


def main(args: argparse.Namespace) -> int:
    """Print the estimate."""
    classes = args.K if args.K is not None else 50 if args.job.startswith("class2d") else 1
    iterations = args.iter if args.iter is not None else 25 if args.job == "class2d-em" else 200
    cost = estimate(Task(args.job, args.particles, args.box, classes, iterations, args.threads, args.mask, args.detail))
    if args.json:
        print(json.dumps({"command": "cost", "job": args.job, **asdict(cost)}))
        return 0
    hours = f"about {cost.hours:.2g} h on {args.threads} thread{'s' if args.threads > 1 else ''}"
    print(f"{hours}, {cost.cpu_seconds / 3600:.2g} processor hours, {cost.visits:,} visits of particles")
    print(f"about {cost.memory:.1f} GiB of memory")
    return 0
