"""List the sessions of EPU and SerialEM below a folder: kind, number of images and movies, first and last time.

For example:

  relion4plugin mdcatch scan /mnt/krios1
  relion4plugin mdcatch scan /mnt/krios1 --json
"""

import argparse
from dataclasses import asdict
from pathlib import Path

from relion4plugin.acquisition.session import find_sessions
from relion4plugin.cli.mdcatch_common import show


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("root", metavar="DIR", type=Path, help="folder with sessions, or a session")
    parser.add_argument("--json", action="store_true", help="print the outcome for a program")


def main(args: argparse.Namespace) -> int:
    """Print all sessions."""
    sessions = find_sessions(args.root)
    lines = [
        f"{info.kind:<12}{info.software or '-':<10}{info.counts['images']:>7} images{info.counts['movies']:>7} movies  "
        f"{info.first or '-'} to {info.last or '-'}  {info.path}"
        for info in sessions
    ]
    show(args, {"command": "mdcatch scan", "sessions": [asdict(info) for info in sessions]}, lines or [f"no session in {args.root}"])
    return 0
