"""What the page may do: abort, restart, reset and unlock a scheme, and set its variables, nodes and job options."""

from collections.abc import Callable, Mapping
from typing import Any

from relion4plugin.errors import UserError
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.schemes.control import Change, abort, request_change, set_option
from relion4plugin.schemes.it.launch import start_runners
from relion4plugin.schemes.locks import running_owner, unlock
from relion4plugin.schemes.model import Scheme
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import read_scheme_star

_NOW, _LATER = "done", "the runner takes it before the next node"
Request = Mapping[str, str]


def perform(project: Project, scheme: str, request: Mapping[str, Any]) -> str:
    """Do what the page asks for and return one line about it.

    Parameters
    ----------
    project : Project
        The project.
    scheme : str
        Name of the scheme.
    request : mapping
        `what` is one of `ACTIONS`; `name`, `value`, `job` as far as it needs them.

    Raises
    ------
    UserError
        If there is no such scheme or action, its texts are wrong, or another program holds the scheme.
    """
    if scheme not in project.scheme_names():
        raise UserError(f"no scheme {scheme!r} in {project.root}")
    action = ACTIONS.get(str(request.get("what")))
    if action is None:
        raise UserError(f"there is no action {request.get('what')!r}; expected one of {', '.join(ACTIONS)}")
    wrong = [key for key, value in request.items() if not isinstance(value, str)]
    if wrong:
        raise UserError(f"{', '.join(wrong)}: expected texts")
    return action(project, scheme, request)


def _abort(project: Project, scheme: str, request: Request) -> str:
    job = abort(project, scheme)
    return f"asked {scheme} to stop" + (f", and its job {job}" if job else "")


def _restart(project: Project, scheme: str, request: Request) -> str:
    running, owner = running_owner(project, scheme)
    if running:
        raise UserError(f"{scheme} is running already ({owner or 'in another program'}); abort it first")
    start_runners(project, [scheme])
    return f"started {scheme}"


def _unlock(project: Project, scheme: str, request: Request) -> str:
    return f"removed the lock of {scheme}" if unlock(project, scheme) else f"{scheme} has no lock"


def _change(what: str) -> Callable[[Project, str, Request], str]:
    def apply(project: Project, scheme: str, request: Request) -> str:
        change = Change(what, request.get("name", ""), request.get("value", ""), request.get("reset"))
        return _NOW if request_change(project, scheme, change) else _LATER

    return apply


def _option(project: Project, scheme: str, request: Request) -> str:
    job, name = request.get("job", ""), request.get("name", "")
    known = template_options(project, _scheme(project, scheme), job)
    if name not in known:
        raise UserError(f"job {job} has no option {name!r} in its template")
    running, owner = running_owner(project, scheme)
    if running and owner is None:
        raise UserError(f"{scheme} is run by another program, which takes no changes; abort it first")
    set_option(project, scheme, job, name, request.get("value", ""))
    return f"{_NOW}: {job} starts afresh when it is executed next"


def _scheme(project: Project, name: str) -> Scheme:
    return read_scheme_star(project.scheme_file(name))


def template_options(project: Project, scheme: Scheme, job: str) -> dict[str, str]:
    """Return the options in the template of a job of a scheme.

    Raises
    ------
    UserError
        If the scheme has no such job, or the job no readable template.
    """
    if job not in scheme.jobs or "/" in job or job.startswith("."):
        raise UserError(f"{scheme.name} has no job {job!r}")
    return read_job_star(project.template(scheme.short_name, job)).options


ACTIONS: Mapping[str, Callable[[Project, str, Request], str]] = {
    "abort": _abort,
    "restart": _restart,
    "reset": _change("reset"),
    "unlock": _unlock,
    "variable": _change("variable"),
    "node": _change("node"),
    "mode": _change("mode"),
    "has_started": _change("has_started"),
    "option": _option,
}
