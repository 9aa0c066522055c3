"""Fill schemes or a Scipion workflow for a session and write them, but start nothing.

For example:

  relion4plugin mdcatch fill /mnt/krios1/20240102_apo --preset krios.toml --project /data/apo
  relion4plugin mdcatch fill /mnt/krios1/20240102_apo --preset krios.toml --project /data/apo --pipeline scipion
"""

import argparse

from relion4plugin.cli import mdcatch_launch


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    mdcatch_launch.add_plan_args(parser)


def main(args: argparse.Namespace) -> int:
    """Fill and write."""
    return mdcatch_launch.fill(args)
