"""Show a project in the browser: schemes as graphs, jobs, logs, figures and class averages, live.

The page is served on this machine only, and only to who has the token in its address. For example:

  relion4plugin monitor
  relion4plugin monitor /data/project --port 8700 --no_browser
"""

import argparse
from pathlib import Path

from relion4plugin.schemes.project import open_project


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("project", metavar="PROJECT", type=Path, nargs="?", default=Path(), help="project directory; this one by default")
    parser.add_argument("--port", type=int, default=0, help="port; 0 for any free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; others than this machine can then try the token")
    parser.add_argument("--token", metavar="TEXT", help="at least 16 characters; random by default")
    parser.add_argument("--read_only", action="store_true", help="show, but refuse all changes")
    parser.add_argument("--no_browser", action="store_true", help="do not open a browser")


def main(args: argparse.Namespace) -> int:
    """Serve the page until it is interrupted."""
    from relion4plugin.web.monitor.server import MonitorOptions, serve

    project = open_project(args.project.resolve())
    options = MonitorOptions(args.host, args.port, args.token, args.read_only, not args.no_browser)
    serve(project, options, lambda line: print(line, flush=True))
    return 0
