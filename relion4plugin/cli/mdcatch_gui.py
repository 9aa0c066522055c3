"""Find a session, check and correct all values, and start its processing, in the browser.

The pages are served on this machine only, and only to who has the token in their address. For example:

  relion4plugin mdcatch gui /mnt/krios1 --preset krios.toml --projects /data/projects
  relion4plugin mdcatch gui --preset krios.toml --preset glacios.toml --port 8701 --no_browser
"""

import argparse
from pathlib import Path

from relion4plugin.cli.serving import add_server_args, server_options


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "roots", metavar="DIR", type=Path, nargs="*", help="folders with sessions; paths.metadata_root of the presets if not given"
    )
    parser.add_argument(
        "--preset", metavar="FILE", action="append", default=[], help="preset or name of a shipped one; of several the first that fits"
    )
    parser.add_argument("--projects", metavar="DIR", type=Path, help="folder of projects; that of the preset, or here")
    parser.add_argument(
        "--allow", metavar="DIR", type=Path, action="append", default=[],
        help="one more folder in which movies, gain references and networks may be pointed to",
    )  # fmt: skip
    parser.add_argument("--accept", metavar="RULE", action="append", default=[], help="errors of this rule are warnings on the page")
    add_server_args(parser)


def main(args: argparse.Namespace) -> int:
    """Serve the pages until they are interrupted."""
    from relion4plugin.web.mdcatch.app import create_app
    from relion4plugin.web.mdcatch.setup import make_setup
    from relion4plugin.web.serving.server import serve_app

    setup = make_setup(args.roots, args.preset, args.projects, args.allow, args.accept, args.host)
    serve_app(lambda guard: create_app(setup, guard), server_options(args), "mdcatch", lambda line: print(line, flush=True))
    return 0
