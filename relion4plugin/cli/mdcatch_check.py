"""Check a session, or presets, before anything is launched; the exit code is 2 for errors and, with --strict, 1 for warnings.

For example:

  relion4plugin mdcatch check /mnt/krios1/20240102_apoferritin --preset krios.toml
  relion4plugin mdcatch check --preset krios.toml --preset glacios.toml
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.launch_findings import findings_of
from relion4plugin.acquisition.merge import merge
from relion4plugin.acquisition.preset import find_preset
from relion4plugin.acquisition.preset_check import check_preset
from relion4plugin.acquisition.session_reading import facts_of, read_session
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.cli.mdcatch_common import add_preset_args, add_session_args, finding_lines, presets_of, show
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.errors import UserError
from relion4plugin.schemes.findings import Severity

_ERRORS, _WARNINGS = 2, 1


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_session_args(parser, nargs="?")
    add_preset_args(parser)
    parser.add_argument("--strict", action="store_true", help="warnings make the exit code 1")


def main(args: argparse.Namespace) -> int:
    """Print what is wrong or doubtful."""
    if args.session is None and not args.preset:
        raise UserError("there is nothing to check; give the folder of a session, or --preset")
    in_presets = [finding for word in args.preset for finding in check_preset(_path(word))]
    lines = [str(finding) for finding in in_presets]
    levels = [finding.severity.value for finding in in_presets]
    outcome: dict[str, Any] = {"command": "mdcatch check", "presets": lines, "findings": []}
    if args.session is not None and Severity.ERROR.value not in levels:
        session, preset = read_session(args.session, presets_of(args), args.movies, args.index, terminal_progress())
        user, facts = user_values(args.words), facts_of(session)
        found = findings_of(facts, merge(session.record, preset, user), preset, user)
        taken = {rule.upper() for rule in args.accept}
        levels += [item.level for item in found if item.rule not in taken]
        lines += finding_lines(found)
        outcome["findings"] = [asdict(item) for item in found]
    show(args, outcome, lines or ["nothing is wrong"])
    return _ERRORS if "error" in levels else _WARNINGS if args.strict and "warning" in levels else 0


def _path(word: str) -> Path:
    """Return the file of a preset, of which mistakes are findings here; a shipped one by its name."""
    return Path(word) if Path(word).is_file() else find_preset(word).path
