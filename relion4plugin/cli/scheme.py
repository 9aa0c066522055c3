"""Run, check, show and change schemes: graphs of jobs that process data while they are collected.

For example, in the project directory:

  relion4plugin scheme run prep --executor auto
  relion4plugin scheme lint proc
  relion4plugin scheme status
  relion4plugin scheme abort prep
  relion4plugin scheme set proc --var min_nr_parts_3d 10000
  relion4plugin scheme set proc --option class2d nr_classes 50
  relion4plugin scheme graph proc --svg proc.svg

`run` ends with exit code 0 when the scheme has finished, 1 when a job failed, 2 when it was aborted or cannot run.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from relion4plugin.cli import scheme_edit
from relion4plugin.errors import UserError
from relion4plugin.schemes.executors.choice import NAMES
from relion4plugin.schemes.findings import Finding, Severity
from relion4plugin.schemes.job_wait import JobLimits
from relion4plugin.schemes.lint import lint_scheme
from relion4plugin.schemes.model import UNDEFINED, Edge, Scheme, Variable
from relion4plugin.schemes.project import Project, open_project
from relion4plugin.schemes.registered import registered
from relion4plugin.schemes.runner import Outcome
from relion4plugin.schemes.session import RunOptions, dry_run, run_scheme
from relion4plugin.schemes.status import project_status
from relion4plugin.schemes.store import load_scheme
from relion4plugin.schemes.variables import value_text

_CODES = {Outcome.FINISHED: 0, Outcome.PAUSED: 0, Outcome.FAILED: 1, Outcome.ABORTED: 2}


def add_args(parser: argparse.ArgumentParser) -> None:
    """Add the commands and their options."""
    commands = parser.add_subparsers(metavar="WHAT", required=True, dest="what")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--project", metavar="DIR", type=Path, default=Path("."), help="project directory; here if not given")
    common.add_argument("--json", action="store_true", help="print the outcome for a program")

    def command(name: str, text: str, act: Callable[..., int], named: str | None = None) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text, parents=[common], allow_abbrev=False)
        made.add_argument("name", metavar="NAME", nargs=named, help="the scheme, for example prep")
        made.set_defaults(act=act)
        return made

    run = command("run", "run a scheme from where it stands", _run)
    run.add_argument("--executor", choices=NAMES, default="auto", help="what runs the jobs; auto: this program, else RELION's programs")
    run.add_argument("--strict", action="store_true", help="behave as RELION also where it differs from its documentation")
    run.add_argument("--reset", action="store_true", help="start from the beginning, with new job directories")
    run.add_argument("--once", action="store_true", help="execute one node")
    run.add_argument("--max_steps", metavar="N", type=int, help="execute so many nodes at most")
    run.add_argument("--grace", metavar="SECONDS", type=float, default=10.0, help="time that a job has to react to an abort request")
    run.add_argument("--max_job_hours", metavar="HOURS", type=float, help="end a job that runs longer, as failed")
    run.add_argument("--stall_minutes", metavar="MINUTES", type=float, help="warn of a job that writes nothing for so long")
    run.add_argument("--end_stalled", action="store_true", help="with --stall_minutes: end such a job, as failed")
    run.add_argument("--verb", type=int, choices=(0, 1, 2, 3), default=1, help="0 says nothing, 3 everything")
    run.add_argument("--no_lint", action="store_true", help="run also where the check finds errors")
    command("lint", "check a scheme and its templates; exit code 1 where something would stop it", _lint)
    command("show", "print variables, operators, jobs and edges", _show)
    command("status", "tell how schemes stand", _status, "?")
    scheme_edit.add_commands(command)


def main(args: argparse.Namespace) -> int:
    """Carry out one command."""
    act: Callable[[Project, argparse.Namespace], int] = args.act
    return act(open_project(args.project), args)


def _findings(project: Project, name: str) -> list[Finding]:
    return lint_scheme(project, name, registered())


def _run(project: Project, args: argparse.Namespace) -> int:
    if args.max_steps is not None and args.max_steps < 1:
        raise UserError(f"--max_steps is {args.max_steps}; expected at least 1")
    load_scheme(project, args.name)
    if not args.no_lint:
        _refuse_errors(_findings(project, args.name))
    if args.reset:
        scheme_edit.reset(project, args.name)
    options = RunOptions(args.strict, 1 if args.once else args.max_steps, _limits(args), args.verb)
    options.show = (lambda line: print(line, file=sys.stderr)) if args.json else (lambda line: print(line, flush=True))
    commands: list[str] = []
    if args.executor == "dry":
        end, commands = dry_run(project, args.name, options)
    else:
        end = run_scheme(project, args.name, args.executor, options)
    if args.json:
        summary = {"scheme": args.name, "outcome": end.outcome.value, "node": end.node, "reason": end.reason, "commands": commands}
        print(json.dumps(summary))
    elif commands:
        print("\n".join(commands))
    return _CODES[end.outcome]


def _limits(args: argparse.Namespace) -> JobLimits:
    if args.end_stalled and args.stall_minutes is None:
        raise UserError("--end_stalled needs --stall_minutes: give the time after which a silent job counts as stalled")
    run_time = None if args.max_job_hours is None else 3600 * args.max_job_hours
    silence = None if args.stall_minutes is None else 60 * args.stall_minutes
    return JobLimits(args.grace, run_time, silence, args.end_stalled)


def _refuse_errors(findings: list[Finding]) -> None:
    for finding in findings:
        print(finding, file=sys.stderr)
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    if errors:
        raise UserError(f"the check found {errors} error{'s' if errors > 1 else ''}, listed above; correct them, or run with --no_lint")


def _lint(project: Project, args: argparse.Namespace) -> int:
    findings = _findings(project, args.name)
    if args.json:
        rows = [{"severity": f.severity.value, "path": str(f.path), "line": f.line, "text": f.text} for f in findings]
        print(json.dumps({"scheme": args.name, "findings": rows}))
    else:
        print("\n".join(map(str, findings)) or f"{args.name}: no findings")
    return 1 if any(finding.severity is Severity.ERROR for finding in findings) else 0


def _show(project: Project, args: argparse.Namespace) -> int:
    scheme = load_scheme(project, args.name)
    print(json.dumps(_as_values(scheme)) if args.json else "\n".join(_lines(scheme)))
    return 0


def _as_values(scheme: Scheme) -> dict[str, Any]:
    variables: dict[str, Variable[Any]] = {**scheme.strings, **scheme.floats, **scheme.bools}
    return {
        "name": scheme.name,
        "current_node": scheme.current_node,
        "variables": {name: {"value": variable.value, "reset": variable.reset} for name, variable in sorted(variables.items())},
        "operators": {name: vars(operator) for name, operator in sorted(scheme.operators.items())},
        "jobs": {name: vars(job) for name, job in sorted(scheme.jobs.items())},
        "edges": [vars(edge) for edge in scheme.edges],
    }


def _lines(scheme: Scheme) -> list[str]:
    lines = [f"{scheme.name} at {scheme.current_node}", "", "variables:"]
    kinds: tuple[Mapping[str, Variable[Any]], ...] = (scheme.bools, scheme.floats, scheme.strings)
    for variables in kinds:
        lines += [f"  {name} = {value_text(v.value)} (reset: {value_text(v.reset)})" for name, v in sorted(variables.items())]
    lines += ["", "operators:"]
    for operator in scheme.operators.values():
        inputs = [name for name in (operator.input1, operator.input2) if name != UNDEFINED]
        target = f" -> {operator.output}" if operator.output != UNDEFINED else ""
        lines.append(f"  {operator.name}: {operator.type} {' '.join(inputs)}{target}")
    lines += ["", "jobs:"]
    lines += [f"  {job.original}: {job.mode}, {job.name if job.has_started else 'not started'}" for job in scheme.jobs.values()]
    return [*lines, "", "edges:", *(f"  {_edge_line(edge)}" for edge in scheme.edges)]


def _edge_line(edge: Edge) -> str:
    if not edge.is_fork:
        return f"{edge.source} -> {edge.target}"
    return f"{edge.source} -> {edge.target_if_true} if {edge.boolean}, else {edge.target}"


def _status(project: Project, args: argparse.Namespace) -> int:
    status = project_status(project)
    chosen = [status.scheme(args.name.strip("/").removeprefix("Schemes/"))] if args.name else list(status.schemes)
    counts = status.job_counts()
    if args.json:
        rows = [{"name": s.name, "state": s.state, "owner": s.owner, "current_node": s.current_node, "summary": s.summary} for s in chosen]
        print(json.dumps({"schemes": rows, "jobs": counts, "error": status.error}))
        return 0
    lines = [f"{one.name}: {one.summary}" for one in chosen] or ["no schemes"]
    print("\n".join([*lines, "jobs: " + (", ".join(f"{number} {name}" for name, number in counts.items() if number) or "none")]))
    return 0
