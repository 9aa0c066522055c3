"""2D classification of particle images by VDAM (mini-batches) or EM.

For example:

  relion4plugin class2d --i particles.star --o Class2D/job001 --K 50 --particle_diameter 180 --j 4
  relion4plugin class2d --continue Class2D/job001/run_it100_optimiser.star --o Class2D/job002
  relion4plugin class2d --i particles.star --o Class2D/job003 --em --iter 25 --gpu 0

Options may be given by RELION's job-option name or by the name of its program.
"""

import argparse
import dataclasses
import json
import sys
import time
from pathlib import Path

from relion4plugin.cli.progress import terminal_progress
from relion4plugin.errors import UserError
from relion4plugin.jobs import class2d
from relion4plugin.jobs.parameters import add_arguments, from_arguments


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s --i particles.star --o DIR [options]"
    parser.add_argument("--o", required=True, metavar="DIR", type=Path, help="job directory for all output")
    parser.add_argument("--iter", metavar="N", type=int, help="iterations of the chosen algorithm (nr_iter_grad or nr_iter_em)")
    parser.add_argument("--gpu", metavar="ID", nargs="?", const="", help="use a GPU: the same as --use_gpu Yes --gpu_ids ID")
    parser.add_argument("--job_star", metavar="FILE", type=Path, help="take the options from this job.star; options given here win")
    parser.add_argument("--overwrite", action="store_true", help="remove the results of an earlier run in the job directory")
    parser.add_argument("--no_report", action="store_true", help="do not write report.html")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--relion_command", action="store_true", help="print RELION's command for the same job and do nothing")
    add_arguments(parser, class2d.Class2DParameters)


def parameters_from(args: argparse.Namespace) -> class2d.Class2DParameters:
    """Combine the options given, a job.star, and the job that is continued."""
    base = None
    if args.job_star is not None:
        from relion4plugin.jobs.job_star import read_job_star

        base = class2d.from_options(read_job_star(args.job_star).options, str(args.job_star))
    elif hasattr(args, "fn_cont") and Path(args.fn_cont).is_file():
        base = class2d.parameters_of_run(Path(args.fn_cont))
    elif hasattr(args, "do_em") != hasattr(args, "do_grad"):
        # Naming one algorithm means leaving the other.
        chosen = class2d.Class2DParameters(do_em=True, do_grad=True)
        named = from_arguments(class2d.Class2DParameters, args, chosen)
        base = class2d.Class2DParameters(do_em=not named.do_grad, do_grad=not named.do_em)
    parameters = from_arguments(class2d.Class2DParameters, args, base)
    if args.gpu is not None:
        parameters = dataclasses.replace(parameters, use_gpu=True, gpu_ids=args.gpu or parameters.gpu_ids)
    if args.iter is not None:
        name = "nr_iter_grad" if parameters.do_grad else "nr_iter_em"
        parameters = dataclasses.replace(parameters, **{name: args.iter})  # type: ignore[arg-type]
    return parameters


def main(args: argparse.Namespace) -> int:
    """Run the classification and its report."""
    parameters = parameters_from(args)
    remarks = class2d.validate(parameters)
    for remark in remarks:
        print(f"note: {remark}", file=sys.stderr)
    if args.relion_command:
        print(" ".join(class2d.relion_command(parameters, args.o)))
        return 0
    begin, cpu = time.monotonic(), time.process_time()
    outputs = class2d.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    if not args.no_report:
        outputs = with_report(outputs, args.o)
    summary = {key: str(value) if value is not None else None for key, value in dataclasses.asdict(outputs).items()}
    if args.json:
        figures = {"seconds": round(time.monotonic() - begin, 3), "cpu_seconds": round(time.process_time() - cpu, 3)}
        print(json.dumps({"command": "class2d", "outputs": summary, **figures}))
    else:
        print(f"classes: {outputs.classes}\nparticles: {outputs.data_star}" + (f"\nreport: {outputs.report}" if outputs.report else ""))
    return 0


def with_report(outputs: class2d.Class2DOutputs, out_dir: Path) -> class2d.Class2DOutputs:
    """Write report.html; a report that fails is said so and does not spoil the run."""
    from relion4plugin.web.class2d_report import write_report

    try:
        return dataclasses.replace(outputs, report=write_report(out_dir, out_dir / "report.html"))
    except UserError as error:
        print(f"note: no report: {error}", file=sys.stderr)
        return outputs
