"""Write one self-contained HTML file about a 2D classification.

For example:

  relion4plugin report Class2D/job001
  relion4plugin report Class2D/job001 --o report.html
"""

import argparse
from pathlib import Path

from relion4plugin.errors import UserError


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("run_dir", metavar="DIR", type=Path, help="job directory of a 2D classification, finished or running")
    parser.add_argument("--o", metavar="FILE", type=Path, help="the HTML file; DIR/report.html if not given")


def main(args: argparse.Namespace) -> int:
    """Write the report."""
    if not args.run_dir.is_dir():
        raise UserError(f"{args.run_dir} is not a directory: give the job directory of a 2D classification")
    from relion4plugin.web.class2d_report import write_report

    print(write_report(args.run_dir, args.o or args.run_dir / "report.html"))
    return 0
