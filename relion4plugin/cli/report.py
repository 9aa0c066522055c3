"""Write one self-contained HTML file about a run in 2D or 3D, a post-processing, or a whole project: every stage from movies to maps.

For example:

  relion4plugin report Class2D/job001
  relion4plugin report Refine3D/job007 --o report.html
  relion4plugin report --i PROJECT
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from relion4plugin.errors import UserError

_RUNS = ("relion.class2d", "relion.initialmodel", "relion.class3d", "relion.refine3d")
_READABLE = "a 2D classification, initial model, 3D classification, auto-refinement or post-processing, or a project (--i PROJECT)"


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run_dir", metavar="DIR", type=Path, nargs="?", help="job directory, finished or running, or project directory")
    parser.add_argument("--i", metavar="DIR", type=Path, help="the same; the current directory if neither is given")
    parser.add_argument("--truth", metavar="DIR", type=Path, help="of a project: folder with truth.star, where its movies are simulated")
    parser.add_argument("--o", metavar="FILE", type=Path, help="the HTML file; DIR/report.html if not given")
    parser.add_argument("--quiet", action="store_true", help="show no progress; the name of the file is printed all the same")


def is_project(directory: Path) -> bool:
    """Whether a directory is a project: a job directory has a pipeline of its own, but also the job."""
    return (directory / "default_pipeline.star").is_file() and not (directory / "job.star").is_file()


def report_writer(directory: Path) -> Callable[[Path, Path], Path]:
    """Return the function that writes the report of a job directory, by what its files describe.

    Raises
    ------
    UserError
        If the directory is that of a job of which there is no report.
    """
    if (directory / "postprocess.star").is_file():
        return _write_postprocess
    _check_type(directory)
    from relion4plugin.files.model3d_star import is_3d_run

    if is_3d_run(directory):
        from relion4plugin.web import report3d

        return report3d.write_report
    from relion4plugin.web import class2d_report

    return class2d_report.write_report


def _write_postprocess(directory: Path, target: Path) -> Path:
    from relion4plugin.web.postprocess_report import write_report

    volume = directory / "postprocess.mrc"
    return write_report(directory / "postprocess.star", volume if volume.is_file() else None, path=target)


def _check_type(directory: Path) -> None:
    """Check by its job.star, if there is one, that a directory is that of a run in iterations."""
    from relion4plugin.jobs.job_star import read_job_star

    path = directory / "job.star"
    if not path.is_file():
        return
    label = read_job_star(path).type_label
    if not any(label == known or label.startswith(f"{known}.") for known in _RUNS):
        raise UserError(f"{directory} is a job of type {label}, of which there is no report: give {_READABLE}")


def main(args: argparse.Namespace) -> int:
    """Write the report."""
    if args.run_dir is not None and args.i is not None:
        raise UserError(f"both {args.run_dir} and --i {args.i} are given: give one directory")
    directory = args.run_dir or args.i or Path()
    if not directory.is_dir():
        raise UserError(f"{directory} is not a directory: give {_READABLE}")
    target = args.o or directory / "report.html"
    if is_project(directory):
        from relion4plugin.web import session_report

        print(session_report.write_report(directory, target, args.truth))
    else:
        print(report_writer(directory)(directory, target))
    return 0
