"""Watch a folder in which sessions appear, and launch each once, when it has enough finished movies.

For example:

  relion4plugin mdcatch watch /mnt/krios1 --preset krios_k3.toml --preset krios_falcon.toml --projects /data/projects

It goes on where it was when it is started again; what it knows is in the folder of projects. What goes wrong with one session is
tried again later. Sessions whose last movie is older than --max-age are left alone.
"""

import argparse
import hashlib
import json
import time
from dataclasses import asdict
from pathlib import Path

from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.acquisition.watch import Event, Rules, Watcher
from relion4plugin.acquisition.watch_state import WatchState
from relion4plugin.cli.mdcatch_common import add_preset_args, presets_of
from relion4plugin.errors import UserError
from relion4plugin.schemes.locks import Lock

_HOUR = 3600.0


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("root", metavar="DIR", type=Path, nargs="?", help="folder of sessions; paths.metadata_root if not given")
    add_preset_args(parser)
    parser.add_argument("--projects", metavar="DIR", type=Path, help="folder of projects; that of the preset of a session, or here")
    parser.add_argument("--movies", metavar="DIR", type=Path, help="folder with the movies of each session, in folders of their names")
    parser.add_argument("--poll", metavar="SECONDS", type=float, default=20.0, help="time from one look to the next (default 20)")
    parser.add_argument("--max-age", metavar="HOURS", type=float, default=24.0, help="age of a finished session (default 24)")
    parser.add_argument("--once", action="store_true", help="look once and end")
    parser.add_argument("--json", action="store_true", help="print one line of JSON for each event")


def main(args: argparse.Namespace) -> int:
    """Watch until interrupted."""
    presets = presets_of(args)
    root = args.root or next((Path(preset.get("paths.metadata_root")) for preset in presets if preset.get("paths.metadata_root")), None)
    if root is None:
        raise UserError("there is no folder to watch; give one, or paths.metadata_root in a preset")
    if not root.is_dir():
        raise UserError(f"there is no folder {root} to watch; give the one in which sessions appear")
    given = args.projects or next((preset.get("paths.projects") for preset in presets if preset.get("paths.projects")), ".")
    projects = Path(given).resolve()
    if not projects.is_dir():
        raise UserError(f"there is no folder {projects} for projects; make it, or give another with --projects")
    rules = Rules(presets, projects, user_values(args.words), args.movies, args.max_age * _HOUR, tuple(args.accept))
    stem = f".mdcatch_watch_{hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]}"
    with Lock(projects / f"{stem}.lock", "owner", f"watching {root}", advice="; end that watch first"):
        watcher = Watcher(root, rules, WatchState.load(projects / f"{stem}.json"), MetadataIndex(projects / f"{stem}.sqlite"))
        if args.once:
            for event in watcher.poll():
                _report(args, event)
        else:
            watcher.run(args.poll, lambda event: _report(args, event))
    return 0


def _report(args: argparse.Namespace, event: Event) -> None:
    now = time.strftime("%Y-%m-%d %H:%M:%S")
    print(json.dumps({"time": now, **asdict(event)}) if args.json else f"{now}  {event.session}: {event.state}: {event.text}", flush=True)
