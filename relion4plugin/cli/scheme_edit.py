"""The commands that change a scheme or stop it."""

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import read_job_star, write_job_star
from relion4plugin.schemes import control
from relion4plugin.schemes.control import Change, edit_scheme, request_change
from relion4plugin.schemes.editing import add_edge, add_operator, add_variable
from relion4plugin.schemes.locks import unlock
from relion4plugin.schemes.model import CONTINUE, NEW, UNDEFINED, Edge, Operator, Scheme, SchemeJob
from relion4plugin.schemes.project import Project, scheme_path
from relion4plugin.schemes.store import save_scheme

MakeCommand = Callable[..., argparse.ArgumentParser]


def add_commands(command: MakeCommand) -> None:
    """Add the commands; `command` takes name, help and function."""
    command("abort", "stop a scheme and the job that it runs", _abort)
    command("unlock", "remove the lock that a program left behind", _unlock)
    command("reset", "give all variables their reset values and start anew; job directories stay", _reset)
    change = command("set", "change a variable, an option of a job, or where the scheme stands; also while it runs", _set)
    which = change.add_mutually_exclusive_group(required=True)
    which.add_argument("--var", nargs=2, metavar=("NAME", "VALUE"), help="value of a variable")
    which.add_argument("--option", nargs=3, metavar=("JOB", "OPTION", "VALUE"), help="option of a job; it starts afresh when run next")
    which.add_argument("--mode", nargs=2, metavar=("JOB", "MODE"), help="new or continue")
    which.add_argument("--has_started", nargs=2, metavar=("JOB", "VALUE"), help="False: the job starts afresh when run next")
    which.add_argument("--node", metavar="NODE", help="the node to be executed next")
    change.add_argument("--reset_value", metavar="VALUE", help="with --var: its reset value")
    add = command("add", "add a variable, operator, job or edge; a scheme that does not exist is made", _add)
    what = add.add_mutually_exclusive_group(required=True)
    what.add_argument("--var", nargs=2, metavar=("NAME", "VALUE"), help="a variable; its kind follows from the value")
    what.add_argument("--operator", nargs=2, metavar=("NAME", "TYPE"), help="an operator, with --i, --i2 and --o")
    what.add_argument("--job", nargs=2, metavar=("NAME", "JOB_STAR"), help="a job whose template is a copy of this job.star")
    what.add_argument("--edge", nargs=2, metavar=("FROM", "TO"), help="an edge; with --bool and --if_true a fork, TO where it is false")
    add.add_argument("--reset_value", metavar="VALUE", help="with --var: its reset value")
    add.add_argument("--i", metavar="VARIABLE", default=UNDEFINED, help="first input of the operator")
    add.add_argument("--i2", metavar="VARIABLE", default=UNDEFINED, help="second input of the operator")
    add.add_argument("--o", metavar="VARIABLE", default=UNDEFINED, help="output of the operator")
    add.add_argument("--mode", choices=(NEW, CONTINUE), default=NEW, help="of the job: a new directory each time, or always the same")
    add.add_argument("--bool", metavar="VARIABLE", help="on which the fork depends")
    add.add_argument("--if_true", metavar="NODE", help="where the fork goes if it is true")


def _said(args: argparse.Namespace, text: str) -> int:
    print(json.dumps({"scheme": args.name, "done": text}) if args.json else text)
    return 0


def _abort(project: Project, args: argparse.Namespace) -> int:
    job = control.abort(project, args.name)
    return _said(args, f"{args.name} was asked to stop" + (f", and its job {job}" if job else ""))


def _unlock(project: Project, args: argparse.Namespace) -> int:
    removed = unlock(project, args.name)
    return _said(args, f"the lock of {args.name} was removed" if removed else f"{args.name} is not locked")


def reset(project: Project, name: str) -> Scheme:
    """Reset a scheme that does not run."""
    return edit_scheme(project, name, lambda scheme: control.apply_change(scheme, Change("reset")))


def _reset(project: Project, args: argparse.Namespace) -> int:
    return _said(args, f"{args.name} stands at {reset(project, args.name).current_node}")


def _set(project: Project, args: argparse.Namespace) -> int:
    if args.option is not None:
        control.set_option(project, args.name, *args.option)
        return _said(args, f"{args.option[0]}: {args.option[1]} = {args.option[2]}")
    if args.var is not None:
        change = Change("variable", args.var[0], args.var[1], args.reset_value)
    elif args.node is not None:
        change = Change("node", args.node)
    elif args.mode is not None:
        change = Change("mode", *args.mode)
    else:
        change = Change("has_started", *args.has_started)
    now = request_change(project, args.name, change)
    return _said(args, f"{change.name} {change.value}".strip() + (": done" if now else ": at the next node of the running scheme"))


def _add(project: Project, args: argparse.Namespace) -> int:
    if not project.scheme_file(args.name).exists():
        project.scheme_directory(args.name).mkdir(parents=True, exist_ok=True)
        save_scheme(project, Scheme(scheme_path(args.name)))
    edit_scheme(project, args.name, lambda scheme: _added(project, scheme, args))
    return _said(args, f"added to {args.name}")


def _added(project: Project, scheme: Scheme, args: argparse.Namespace) -> Scheme:
    if args.var is not None:
        return add_variable(scheme, args.var[0], args.var[1], args.reset_value)
    if args.operator is not None:
        return add_operator(scheme, Operator(args.operator[0], args.operator[1], args.o, args.i, args.i2))
    if args.job is not None:
        return _with_job(project, scheme, args.job[0], Path(args.job[1]), args.mode)
    if (args.bool is None) != (args.if_true is None):
        raise UserError("a fork needs both --bool and --if_true")
    source, target = args.edge
    return add_edge(scheme, Edge(source, target) if args.bool is None else Edge(source, target, True, args.if_true, args.bool))


def _with_job(project: Project, scheme: Scheme, name: str, source: Path, mode: str) -> Scheme:
    if not name or "/" in name or any(c.isspace() for c in name):
        raise UserError(f"'{name}' is no name for a job; expected a word without blanks and slashes")
    if name in scheme.operators or name in scheme.jobs:
        raise UserError(f"{scheme.name} has a node {name} already; give the job another name")
    template = read_job_star(source)
    path = project.template(scheme.name, name)
    path.parent.mkdir(exist_ok=True)
    write_job_star(path, replace(template, is_continue=False))
    return replace(scheme, jobs={**scheme.jobs, name: SchemeJob(name, name, mode)})
