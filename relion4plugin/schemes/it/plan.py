"""A session before anything is written: filled schemes, the link to the movies, and what is doubtful."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.schemes.findings import Finding
from relion4plugin.schemes.it.checks import check_options, doubts
from relion4plugin.schemes.it.choices import Choices, final_values
from relion4plugin.schemes.it.fill import filled
from relion4plugin.schemes.it.movies import MovieLink, make_link, movies_in_project
from relion4plugin.schemes.it.record import write_records
from relion4plugin.schemes.library.template import SchemeTemplate, read_template, write_template
from relion4plugin.schemes.lint import lint_scheme
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.project import Project, open_project
from relion4plugin.schemes.registered import registered
from relion4plugin.schemes.store import back_up_scheme


class Existing(Enum):
    """What happens to a scheme that the project has already."""

    REFUSE = "refuse"
    UPDATE = "update"  # gets the new values and goes on from where it is
    REPLACE = "replace"  # is made anew from the template and starts afresh


@dataclass(frozen=True)
class Plan:
    """What will be written; `schemes` are in the order in which they are started."""

    choices: Choices
    schemes: dict[str, SchemeTemplate]
    link: MovieLink | None
    remarks: tuple[str, ...]
    existing: Existing


def make_plan(project: Project, choices: Choices, templates: Path, existing: Existing = Existing.REFUSE) -> Plan:
    """Check options and fill the schemes.

    Parameters
    ----------
    project : Project
        The project.
    choices : Choices
        Options and overruling keys.
    templates : Path
        Folder with the templates ``prep`` and ``proc-<picker>``.
    existing : Existing
        What happens to schemes that the project has already.

    Raises
    ------
    UserError
        If an option is wrong, a template is missing, or the project has a scheme that is not to be touched.
    """
    check_options(choices.options)
    link = None
    if choices.options.do_prep:
        pattern, link = movies_in_project(project.root, choices.options.fn_in_raw)
        choices = replace(choices, options=replace(choices.options, fn_in_raw=pattern))
    wanted = {"prep": "prep"} if choices.options.do_prep else {}
    wanted |= {"proc": f"proc-{choices.options.picker}"} if choices.options.do_proc else {}
    sources = {name: _source(project, name, templates / template, existing) for name, template in wanted.items()}
    schemes = filled(sources, final_values(choices))
    return Plan(choices, schemes, link, tuple(doubts(choices.options, project.root)), existing)


def _source(project: Project, name: str, template: Path, existing: Existing) -> SchemeTemplate:
    path = project.scheme_file(name)
    _check_free(path, existing)
    if path.exists() and existing is Existing.UPDATE:
        return read_template(path.parent)
    return read_template(template).renamed(name)


def _check_free(path: Path, existing: Existing) -> None:
    if path.exists() and existing is Existing.REFUSE:
        advice = "--update gives it the new values and goes on with it, --replace begins anew; another session needs a --project of its own"
        raise UserError(f"{path} exists: {advice}")


def write_plan(project: Project, plan: Plan) -> list[Path]:
    """Write schemes, options and the link into the project, and make it a project where it is none yet.

    Raises
    ------
    UserError
        If a scheme is running or was made since the plan, or a file cannot be written.
    """
    with ExitStack() as locks:
        for name in plan.schemes:
            locks.enter_context(scheme_lock(project, name, "filled by relion4plugin it"))
            _check_free(project.scheme_file(name), plan.existing)  # again: another session may have been filled meanwhile
        open_project(project.root, create=True)
        if plan.link is not None:
            make_link(plan.link)
        written = write_records(project.root, plan.choices)
        for name, template in plan.schemes.items():
            back_up_scheme(project, template.scheme)
            written += write_template(template, project.scheme_directory(name))
    return written


def lint_plan(project: Project, plan: Plan) -> list[Finding]:
    """Check the schemes as they were written."""
    return [finding for name in plan.schemes for finding in lint_scheme(project, name, registered())]
