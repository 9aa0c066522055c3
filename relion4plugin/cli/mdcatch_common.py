"""Options that the commands of mdcatch share."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.preset import Preset, find_preset
from relion4plugin.acquisition.record import Finding


def add_session_args(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Add the session, the folder of its movies and the index; with `nargs` "?" the session may be left out."""
    parser.add_argument("session", metavar="DIR", type=Path, nargs=nargs, help="folder of the session")
    parser.add_argument("--movies", metavar="DIR", type=Path, help="folder of its movies, where that is another one")
    parser.add_argument("--index", metavar="FILE", type=Path, help="keeps what was read, so that the next scan reads new files only")
    parser.add_argument("--json", action="store_true", help="print the outcome for a program")


def add_preset_args(parser: argparse.ArgumentParser) -> None:
    """Add presets and values of a person."""
    parser.add_argument(
        "--preset", metavar="FILE", action="append", default=[], help="preset or name of a shipped one; of several the first that fits"
    )
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[], dest="words",
        help="a field (movie_px_A), an option (particle_diameter) or a key SCHEME__JOB__OPTION; counts more than files and presets",
    )
    parser.add_argument("--accept", metavar="RULE", action="append", default=[], help="errors of this rule do not forbid the launch")


def presets_of(args: argparse.Namespace) -> list[Preset]:
    """Read the presets."""
    return [find_preset(word) for word in args.preset]


def finding_lines(findings: Iterable[Finding]) -> list[str]:
    """Return findings as lines: level, rule, field and text."""
    return [f"{item.level}: {item.rule}{f' {item.field}' if item.field else ''}: {item.text}" for item in findings]


def show(args: argparse.Namespace, outcome: dict[str, Any], lines: Iterable[str]) -> None:
    """Print the outcome as JSON or as lines."""
    print(json.dumps(outcome, default=str, ensure_ascii=False) if args.json else "\n".join(lines))
