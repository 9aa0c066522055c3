"""What the commands of all refinement jobs have in common: options, parameters, run, report, summary."""

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from relion4plugin.cli.progress import terminal_progress
from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.parameters import add_arguments, from_arguments
from relion4plugin.jobs.refinement_options import parameters_of_run
from relion4plugin.progress import Progress

_REFUSED = "refused_"


class RefinementJob(Protocol):
    """A module of a refinement job (`relion4plugin.jobs.class2d`, ...)."""

    JOB_TYPE: str
    NOT_OFFERED: dict[str, tuple[str, str]]

    def from_options(self, options: Mapping[str, str], where: str = ...) -> Any:
        """Build parameters from job.star options."""

    def validate(self, parameters: Any) -> tuple[str, ...]:
        """Check, and return remarks."""

    def iterations_field(self, parameters: Any) -> str:
        """Name the parameter that counts iterations."""

    def relion_command(self, parameters: Any, out_dir: Path) -> list[str]:
        """Return RELION's command."""

    def run(self, parameters: Any, out_dir: Path, progress: Progress, job_star: bool = ..., overwrite: bool = ...) -> Any:
        """Run the job."""


def add_job_args(parser: argparse.ArgumentParser, job: RefinementJob, cls: type, iterations: str) -> None:
    """Add the options of a job: those of its declaration `cls`, and those that all such commands have."""
    parser.usage = "%(prog)s --i particles.star --o DIR [options]"
    parser.add_argument("--o", required=True, metavar="DIR", type=Path, help="job directory for all output")
    parser.add_argument("--iter", metavar="N", type=int, help=iterations)
    parser.add_argument("--gpu", metavar="ID", nargs="?", const="", help="use a GPU: the same as --use_gpu Yes --gpu_ids ID")
    parser.add_argument("--job_star", metavar="FILE", type=Path, help="take the options from this job.star; options given here win")
    parser.add_argument("--overwrite", action="store_true", help="remove the results of an earlier run in the job directory")
    parser.add_argument("--no_report", action="store_true", help="do not write report.html")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    parser.add_argument("--relion_command", action="store_true", help="print RELION's command for the same job and do nothing")
    for name, (option, _) in job.NOT_OFFERED.items():
        names = dict.fromkeys((option, f"--{name}"))
        parser.add_argument(*names, dest=_REFUSED + name, nargs="?", const="Yes", default="No", help=argparse.SUPPRESS)
    add_arguments(parser, cls)


def given_parameters(args: argparse.Namespace, job: RefinementJob, cls: type, base: Any = None) -> Any:
    """Combine the options given, a job.star, and the job that is continued.

    Parameters
    ----------
    args
        Parsed by a parser of `add_job_args`.
    job, cls
        The job and its declaration.
    base
        Where options come from that neither the command line nor a job.star nor a continued job gives; None for the defaults.

    Raises
    ------
    UserError
        If an option is not offered, or a job.star is of another type of job.
    """
    for name, (option, remedy) in job.NOT_OFFERED.items():
        if getattr(args, _REFUSED + name) not in ("No", ""):
            raise UserError(f"{option}: {remedy}")
    if args.job_star is not None:
        base = _of_job_star(args.job_star, job)
    elif hasattr(args, "fn_cont") and Path(args.fn_cont).is_file():
        base = parameters_of_run(Path(args.fn_cont), job.from_options) or base
    parameters = from_arguments(cls, args, base)
    if args.gpu is not None:
        parameters = dataclasses.replace(parameters, use_gpu=True, gpu_ids=args.gpu or parameters.gpu_ids)
    if args.iter is not None:
        parameters = dataclasses.replace(parameters, **{job.iterations_field(parameters): args.iter})
    return parameters


def _of_job_star(path: Path, job: RefinementJob) -> Any:
    read = read_job_star(path)
    if read.type_label != job.JOB_TYPE and not read.type_label.startswith(f"{job.JOB_TYPE}."):
        raise UserError(f"{path} is the job.star of a {read.type_label} job, expected {job.JOB_TYPE}: give another --job_star")
    return job.from_options(read.options, str(path))


def run_job(
    args: argparse.Namespace,
    job: RefinementJob,
    parameters: Any,
    command: str,
    lines: Callable[[Any], list[str]],
    write_report: Callable[[Path, Path], Path],
) -> int:
    """Check, run and report a job; return the exit code.

    Parameters
    ----------
    args
        Parsed options.
    job
        The job.
    parameters
        What to do.
    command
        Name of the command, for the summary.
    lines
        Result lines made from the job's outputs.
    write_report
        Makes an HTML page from job directory and file name.
    """
    for remark in job.validate(parameters):
        print(f"note: {remark}", file=sys.stderr)
    if args.relion_command:
        print(" ".join(job.relion_command(parameters, args.o)))
        return 0
    begin, cpu = time.monotonic(), time.process_time()
    outputs = job.run(parameters, args.o, terminal_progress(args.quiet), overwrite=args.overwrite)
    if not args.no_report:
        outputs = with_report(outputs, args.o, write_report)
    if args.json:
        figures = {"seconds": round(time.monotonic() - begin, 3), "cpu_seconds": round(time.process_time() - cpu, 3)}
        summary = {field.name: getattr(outputs, field.name) for field in dataclasses.fields(outputs)}
        print(json.dumps({"command": command, "outputs": summary, **figures}, default=_plain))
    else:
        print("\n".join(lines(outputs) + ([f"report: {outputs.report}"] if outputs.report else [])))
    return 0


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value.item() if hasattr(value, "item") else str(value)


def with_report(outputs: Any, out_dir: Path, write_report: Callable[[Path, Path], Path]) -> Any:
    """Write report.html; a report that fails is said so and does not spoil the run."""
    try:
        return dataclasses.replace(outputs, report=write_report(out_dir, out_dir / "report.html"))
    except UserError as error:
        print(f"note: no report: {error}", file=sys.stderr)
        return outputs


def write_report_3d(run_dir: Path, out_path: Path) -> Path:
    """Write the report of a 3D run; its modules are imported only now."""
    from relion4plugin.web.report3d import write_report

    return write_report(run_dir, out_path)
