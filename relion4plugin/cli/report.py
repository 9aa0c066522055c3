"""Write one self-contained HTML file about a run: 2D classification, initial model, 3D classification or auto-refinement.

For example:

  relion4plugin report Class2D/job001
  relion4plugin report Refine3D/job007 --o report.html
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from relion4plugin.errors import UserError


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run_dir", metavar="DIR", type=Path, help="job directory of a refinement in 2D or 3D, finished or running")
    parser.add_argument("--o", metavar="FILE", type=Path, help="the HTML file; DIR/report.html if not given")


def report_writer(run_dir: Path) -> Callable[[Path, Path], Path]:
    """Return the function that writes the report of a job directory, by what its files describe."""
    from relion4plugin.files.model3d_star import is_3d_run

    if is_3d_run(run_dir):
        from relion4plugin.web import report3d

        return report3d.write_report
    from relion4plugin.web import class2d_report

    return class2d_report.write_report


def main(args: argparse.Namespace) -> int:
    """Write the report."""
    if not args.run_dir.is_dir():
        raise UserError(f"{args.run_dir} is not a directory: give the job directory of a refinement")
    print(report_writer(args.run_dir)(args.run_dir, args.o or args.run_dir / "report.html"))
    return 0
