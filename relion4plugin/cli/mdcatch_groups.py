"""Optics groups of a session, from the shift of the beam: how many, how far apart, and the movies of each.

For example:

  relion4plugin mdcatch groups /mnt/krios1/20240102_apoferritin
  relion4plugin mdcatch groups /mnt/krios1/20240102_apoferritin --star movie_groups.star --project .
"""

import argparse
from collections import Counter
from pathlib import Path

from relion4plugin.acquisition.group_table import group_text
from relion4plugin.acquisition.session import scan_session
from relion4plugin.acquisition.session_reading import facts_of
from relion4plugin.cli.mdcatch_common import add_session_args, show
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_session_args(parser)
    parser.add_argument("--star", metavar="FILE", type=Path, help="write movies with their groups, for the option optics_groups_file")
    parser.add_argument("--project", metavar="DIR", type=Path, default=Path("."), help="project that its paths start at; here if not given")
    parser.add_argument("--link", metavar="NAME", default="Movies", help="link of the project to the movies (default Movies)")


def main(args: argparse.Namespace) -> int:
    """Print the groups, and write them if wanted."""
    session = scan_session(args.session, args.movies, args.index, terminal_progress())
    model, sizes = session.groups, Counter(group for group in session.movies["optics_group"] if group)
    outcome = {
        "command": "mdcatch groups", "method": model.method, "groups": dict(sizes), "intra": model.intra, "inter": model.inter,
        "ratio": model.ratio,
    }  # fmt: skip
    lines = [f"{len(sizes)} groups of {sum(sizes.values())} movies, by {model.method}"]
    if model.centres:
        lines.append(f"within groups up to {model.intra:.3g}, between groups from {model.inter:.3g} (units of the file)")
    lines += [f"{name}: {count} movies" for name, count in sorted(sizes.items(), key=lambda item: (len(item[0]), item[0]))]
    if args.star is not None:
        facts = facts_of(session)
        if not facts.groups:
            raise UserError(f"session {session.info.path} has no movies here; give their folder with --movies")
        atomic_write_text(args.star, group_text(facts.groups, args.project, f"{args.link}/*"))
        outcome["star"] = str(args.star)
        lines.append(f"written to {args.star}")
    show(args, outcome, lines)
    return 0
