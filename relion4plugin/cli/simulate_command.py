"""What the commands of the simulations have in common."""

import argparse
from pathlib import Path


def add_common(parser: argparse.ArgumentParser, contents: str) -> None:
    """Add the options that are not parameters of the simulation; `contents` is what the directory is for."""
    parser.add_argument("--o", required=True, metavar="DIR", type=Path, help=f"directory for {contents}")
    parser.add_argument("--overwrite", action="store_true", help="write into a directory that is not empty")
    parser.add_argument("--json", action="store_true", help="print a summary as JSON on standard output")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
