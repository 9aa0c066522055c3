"""On-the-fly processing: fill the schemes prep and proc for a session, and run them.

For example, in the project directory:

  relion4plugin it --movies '/data/session/*.tiff' --angpix 0.885 --dose_per_frame 1.28 --particle_diameter 180 --sym D2
  relion4plugin it session.toml --gpus 0,1 --picker topaz
  relion4plugin it relion_it_options.py --set proc__class2d__nr_iter_grad=100 --onlysave

Options files are TOML, or the dictionaries of RELION's relion_it, which are read but never executed. Later files count more than
earlier ones, options on the command line more than files, and --set more than all.
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict, replace
from pathlib import Path

from relion4plugin.cli.following import wait_for
from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import add_arguments, from_arguments
from relion4plugin.schemes.findings import Severity
from relion4plugin.schemes.it.choices import Choices, final_values, with_file, with_keys
from relion4plugin.schemes.it.launch import runner_words, start_runners
from relion4plugin.schemes.it.options import ItOptions
from relion4plugin.schemes.it.options_file import read_options_file
from relion4plugin.schemes.it.plan import Existing, Plan, lint_plan, make_plan, write_plan
from relion4plugin.schemes.it.values import micrograph_angpix, sizes_of
from relion4plugin.schemes.library.catalogue import shipped_folder
from relion4plugin.schemes.project import Project, open_project


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the options: those of the declaration and those of this command."""
    parser.usage = "%(prog)s [FILE ...] [options]"
    parser.add_argument("files", metavar="FILE", type=Path, nargs="*", help="options files, .toml or .py")
    parser.add_argument("--project", metavar="DIR", type=Path, default=Path("."), help="project directory; here if not given")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], dest="keys", help="SCHEME__VARIABLE or SCHEME__JOB__OPTION"
    )
    parser.add_argument("--templates", metavar="DIR", type=Path, help="folder with prep and proc-PICKER; the shipped ones if not given")
    existing = parser.add_mutually_exclusive_group()
    existing.add_argument("--update", action="store_true", help="give schemes that exist the new values and go on with them")
    existing.add_argument("--replace", action="store_true", help="make schemes that exist anew; jobs done before stay in the project")
    ending = parser.add_mutually_exclusive_group()
    ending.add_argument("--dry-run", action="store_true", help="write nothing; print values and commands")
    ending.add_argument("--onlysave", action="store_true", help="write and check the schemes, but do not run them")
    parser.add_argument("--wait", action="store_true", help="stay until the schemes have ended, and tell what they do; Ctrl-C stops them")
    parser.add_argument("--json", action="store_true", help="print the outcome for a program")
    add_arguments(parser, ItOptions)


def choices_from(args: argparse.Namespace) -> Choices:
    """Combine options files, options and keys."""
    choices = Choices()
    for path in args.files:
        choices = with_file(choices, read_options_file(path), str(path))
    return with_keys(replace(choices, options=from_arguments(ItOptions, args, choices.options)), args.keys)


def main(args: argparse.Namespace) -> int:
    """Fill, check and run the schemes."""
    project = open_project(args.project)
    existing = Existing.UPDATE if args.update else Existing.REPLACE if args.replace else Existing.REFUSE
    plan = make_plan(project, choices_from(args), args.templates or shipped_folder(), existing)
    for remark in plan.remarks:
        print(f"note: {remark}", file=sys.stderr)
    outcome: dict[str, object] = {"command": "it", "values": final_values(plan.choices), "run": _commands(project, plan)}
    if args.dry_run:
        return _finish(args, outcome, _summary(project, plan, values=True))
    written = write_plan(project, plan)
    findings = lint_plan(project, plan)
    for finding in findings:
        print(finding, file=sys.stderr)
    mistakes = [finding for finding in findings if finding.severity is Severity.ERROR]
    if mistakes:
        raise UserError(f"{len(mistakes)} error(s) in the schemes, first: {mistakes[0]}; the files are written, nothing was started")
    outcome["written"] = [str(path) for path in written]
    if args.onlysave:
        return _finish(args, outcome, _summary(project, plan))
    runners = start_runners(project, list(plan.schemes))
    outcome["runners"] = {runner.scheme: runner.pid for runner in runners}
    lines = [f"{runner.scheme} runs as process {runner.pid}, log {runner.log}" for runner in runners]
    if not args.wait:
        return _finish(args, outcome, lines)
    print("\n".join(lines), file=sys.stderr)
    ends, code = wait_for(project, list(plan.schemes))
    outcome["ends"] = {name: asdict(end) for name, end in ends.items()}
    _finish(args, outcome, [f"{name} {end.outcome}: {end.reason}" for name, end in ends.items()])
    return code


def _finish(args: argparse.Namespace, outcome: dict[str, object], lines: list[str]) -> int:
    print(json.dumps(outcome) if args.json else "\n".join(lines))
    return 0


def _commands(project: Project, plan: Plan) -> list[str]:
    return [f"cd {shlex.quote(str(project.root.resolve()))} && {shlex.join(runner_words(name))}" for name in plan.schemes]


def _summary(project: Project, plan: Plan, values: bool = False) -> list[str]:
    lines = [f"{key} = {value}" for key, value in sorted(final_values(plan.choices).items())] if values else []
    sizes = sizes_of(plan.choices.options)
    if sizes is not None and "proc" in plan.schemes:
        angpix = micrograph_angpix(plan.choices.options)
        scaled = f"{sizes.small_box} px of {angpix * sizes.box / sizes.small_box:.3g} A"
        lines.append(f"box {sizes.box} px of {angpix:g} A, scaled to {scaled}; mask {sizes.mask_diameter:g} A")
    if plan.link is not None:
        lines.append(f"link {plan.link.path} -> {plan.link.target}")
    return [*lines, "run with:", *(f"  {command}" for command in _commands(project, plan))]
