"""Show what is known about a session: each value with where it comes from, contradictions and warnings.

For example:

  relion4plugin mdcatch show /mnt/krios1/20240102_apoferritin
  relion4plugin mdcatch show /mnt/krios1/20240102_apoferritin --preset krios.toml --set voltage_kV=200
  relion4plugin mdcatch show /mnt/krios1/20240102_apoferritin --all --json
"""

import argparse
import json
from collections.abc import Iterator

from relion4plugin.acquisition.merge import merge
from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.acquisition.session import Session
from relion4plugin.acquisition.session_reading import read_session
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.cli.mdcatch_common import add_preset_args, add_session_args, finding_lines, presets_of, show
from relion4plugin.cli.progress import terminal_progress

_SHOWN = ("movie", "acquired", "hole", "optics_group", "defocus_um", "dose_total_eA2")


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_session_args(parser)
    add_preset_args(parser)
    parser.add_argument("--all", action="store_true", help="also a table of all movies")


def main(args: argparse.Namespace) -> int:
    """Print the record."""
    user = user_values(args.words)
    session, preset = read_session(args.session, presets_of(args), args.movies, args.index, terminal_progress())
    record = merge(session.record, preset, user)
    outcome = {"command": "mdcatch show", "session": str(session.info.path), "preset": preset.name, **json.loads(record.to_json())}
    if args.all:
        outcome["movies"] = list(session.movies.rows())
    lines = [*_values(record), *(f"conflict: {item}" for item in record.conflicts), *finding_lines(record.warnings)]
    show(args, outcome, [*lines, *(_movies(session) if args.all else ())])
    return 0


def _values(record: AcquisitionRecord) -> Iterator[str]:
    for name, value in record.values.items():
        place = ", ".join(part for part in (value.source, value.file.rpartition("/")[2], value.path) if part)
        sure = "" if value.confidence == "measured" else f", {value.confidence}"
        yield f"{name} = {value}  [{place}{sure}]"


def _movies(session: Session) -> Iterator[str]:
    yield "\t".join(_SHOWN)
    for row in session.movies.rows():
        yield "\t".join("" if row[name] is None else str(row[name]) for name in _SHOWN)
