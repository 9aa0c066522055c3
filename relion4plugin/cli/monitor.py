"""Show a project in the browser: schemes as graphs, jobs, logs, figures and class averages, live.

The page is served on this machine only, and only to who has the token in its address. For example:

  relion4plugin monitor
  relion4plugin monitor /data/project --port 8700 --no_browser
"""

import argparse
from pathlib import Path

from relion4plugin.cli.serving import add_server_args, server_options
from relion4plugin.schemes.project import open_project


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("project", metavar="PROJECT", type=Path, nargs="?", default=Path(), help="project directory; this one by default")
    parser.add_argument("--read_only", action="store_true", help="show, but refuse all changes")
    add_server_args(parser)


def main(args: argparse.Namespace) -> int:
    """Serve the page until it is interrupted."""
    from relion4plugin.web.monitor.app import create_app
    from relion4plugin.web.serving.server import serve_app

    project = open_project(args.project.resolve())
    serve_app(
        lambda guard: create_app(project, guard, args.read_only),
        server_options(args),
        f"monitor of {project.root}",
        lambda line: print(line, flush=True),
    )
    return 0
