"""Fill schemes or a Scipion workflow for a session and start them; each session once.

For example:

  relion4plugin mdcatch launch /mnt/krios1/20240102_apo --preset krios.toml --set particle_diameter=130 --set symmetry=O --dry-run
  relion4plugin mdcatch launch /mnt/krios1/20240102_apo --preset krios.toml --projects /data/projects
  relion4plugin mdcatch launch /mnt/krios1/20240102_apo --preset krios.toml --pipeline scipion --again

--dry-run prints all values before and after, files and commands, and writes nothing. A session that was launched before is refused
with exit code 2. The project gets the record of the acquisition, as text and as JSON with the source of every value.
"""

import argparse
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.launch import launch, write_files
from relion4plugin.acquisition.plan import LaunchPlan, errors_of, make_launch_plan
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.preset_schema import PIPELINES
from relion4plugin.acquisition.session_reading import facts_of, read_session
from relion4plugin.acquisition.target import target_for
from relion4plugin.acquisition.user_values import user_values
from relion4plugin.cli.following import wait_for
from relion4plugin.cli.mdcatch_common import add_preset_args, add_session_args, finding_lines, presets_of, show
from relion4plugin.cli.progress import terminal_progress
from relion4plugin.errors import UserError
from relion4plugin.schemes.project import open_project


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_plan_args(parser)
    parser.add_argument("--again", action="store_true", help="launch into a new project although the session was launched before")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and write nothing")
    parser.add_argument("--wait", action="store_true", help="stay until the schemes have ended, and tell what they do; Ctrl-C stops them")


def add_plan_args(parser: argparse.ArgumentParser) -> None:
    """Add the options that a plan follows from."""
    add_session_args(parser)
    add_preset_args(parser)
    parser.add_argument("--pipeline", choices=PIPELINES, default="", help="what runs the work; that of the preset if not given")
    parser.add_argument("--projects", metavar="DIR", type=Path, help="folder of projects; that of the preset, or here")
    parser.add_argument("--project", metavar="DIR", type=Path, help="project directory; named after the session if not given")


def plan_from(args: argparse.Namespace, again: bool = False) -> LaunchPlan:
    """Scan the session and plan its launch."""
    user = user_values(args.words)
    session, preset = read_session(args.session, presets_of(args), args.movies, args.index, terminal_progress())
    facts = facts_of(session)
    target = target_for(facts, _root(args, preset), again, args.project.resolve() if args.project else None)
    return make_launch_plan(facts, preset, user, target, args.pipeline)


def _root(args: argparse.Namespace, preset: Preset) -> Path:
    given = args.projects or preset.get("paths.projects") or (args.project.resolve().parent if args.project else ".")
    return Path(given).resolve()


def main(args: argparse.Namespace) -> int:
    """Plan, and carry out."""
    plan = plan_from(args, args.again)
    outcome, lines = plan_report(plan)
    errors = errors_of(plan, args.accept)
    if args.dry_run:
        show(args, outcome, [*lines, f"{len(errors)} error(s) forbid this launch" if errors else "this can be launched"])
        return 0
    done = launch(plan, args.again, args.accept)
    outcome |= {"project": str(done.project), "record": str(done.record), "runners": {r.scheme: r.pid for r in done.runners}}
    ends = [f"{runner.scheme} runs as process {runner.pid}, log {runner.log}" for runner in done.runners]
    show(args, outcome, [*finding_lines(plan.findings), *ends, f"project {done.project}", f"record {done.record}"])
    if args.wait and done.runners:
        return wait_for(open_project(done.project), [runner.scheme for runner in done.runners])[1]
    return 0


def fill(args: argparse.Namespace) -> int:
    """Plan and write all files, but start nothing."""
    plan = plan_from(args)
    errors = errors_of(plan, args.accept)
    if errors:
        raise UserError(f"{len(errors)} error(s), first: {errors[0].text} ({errors[0].rule}); correct it with --set")
    record = write_files(plan)
    outcome, lines = plan_report(plan)
    show(args, outcome | {"record": str(record)}, [*lines, f"record {record}"])
    return 0


def plan_report(plan: LaunchPlan) -> tuple[dict[str, Any], list[str]]:
    """Return a plan for a program and for people."""
    commands = [shlex.join(words) for words in plan.commands]
    outcome = {
        "command": "mdcatch launch",
        "session": str(plan.facts.path),
        "fingerprint": plan.facts.fingerprint,
        "preset": plan.preset.name,
        "pipeline": plan.pipeline,
        "project": str(plan.target.project),
        "changes": [asdict(change) for change in plan.changes],
        "findings": [asdict(finding) for finding in plan.findings],
        "conflicts": [str(conflict) for conflict in plan.record.conflicts],
        "copies": {str(source): name for source, name in plan.settings.copies.items()},
        "files": [str(path) for path in plan.files],
        "commands": commands,
    }
    lines = [
        f"session {plan.facts.name}: {len(plan.facts.movies)} movies, preset {plan.preset.name}, pipeline {plan.pipeline}",
        f"project {plan.target.project}",
        *(f"  {change}" for change in plan.changes),
        *(f"conflict: {conflict}" for conflict in plan.record.conflicts),
        *finding_lines(plan.findings),
        *(f"copy {source} -> {name}" for source, name in plan.settings.copies.items()),
        "files:",
        *(f"  {path}" for path in plan.files),
        "commands:",
        *(f"  {command}" for command in commands),
    ]
    return outcome, lines
