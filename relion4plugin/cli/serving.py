"""Options of the commands that serve pages for a browser."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relion4plugin.web.serving.server import ServerOptions


def add_server_args(parser: argparse.ArgumentParser) -> None:
    """Add the options of a server to a command."""
    parser.add_argument("--port", type=int, default=0, help="port; 0 for any free one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; others than this machine can then try the token")
    parser.add_argument("--token", metavar="TEXT", help="at least 16 characters; random by default")
    parser.add_argument("--no_browser", action="store_true", help="do not open a browser")


def server_options(args: argparse.Namespace) -> "ServerOptions":
    """Return the options that `add_server_args` added."""
    from relion4plugin.web.serving.server import ServerOptions

    return ServerOptions(args.host, args.port, args.token, not args.no_browser)
