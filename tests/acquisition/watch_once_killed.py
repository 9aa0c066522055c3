"""Runs `mdcatch watch` with fake runners, to be killed: watch_once_killed.py LOG ROOT [options of the command]."""

import sys

from relion4plugin.cli import mdcatch_watch
from relion4plugin.cli.main import CommandParser
from relion4plugin.schemes.it import launch
from tests.acquisition import fake_runner


def main() -> None:
    log, *words = sys.argv[1:]
    launch.runner_words = lambda name: [sys.executable, fake_runner.__file__, log, name]
    launch.start_runners.__defaults__ = (0.3,)
    parser = CommandParser(prog="watch")
    mdcatch_watch.add_args(parser)
    mdcatch_watch.main(parser.parse_args(words))


if __name__ == "__main__":
    main()
