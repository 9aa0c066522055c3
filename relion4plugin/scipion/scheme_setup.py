"""The project of a protocol that runs schemes: schemes copied or filled in, checked, and data linked into it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.schemes.findings import Severity
from relion4plugin.schemes.it.checks import check_options
from relion4plugin.schemes.it.choices import Choices, final_values, with_keys
from relion4plugin.schemes.it.fill import filled
from relion4plugin.schemes.it.movies import movies_in_project
from relion4plugin.schemes.it.options import ItOptions
from relion4plugin.schemes.it.plan import Existing, make_plan, write_plan
from relion4plugin.schemes.library.catalogue import shipped_folder
from relion4plugin.schemes.library.template import read_template, write_template
from relion4plugin.schemes.lint import lint_scheme
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.project import SCHEME_FILE, Project, open_project, scheme_path
from relion4plugin.schemes.registered import registered

_LOCK_WAIT = 60.0  # seconds for the runner of a stopped protocol to end


@dataclass(frozen=True)
class OwnScheme:
    """A scheme of the user: its `folder`, a folder with `data` that the scheme's paths begin in, and KEY=VALUE `settings`."""

    folder: Path
    data: Path | None = None
    settings: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Name of the scheme, that of its folder."""
        return self.folder.resolve().name


def absolute_options(options: ItOptions) -> ItOptions:
    """Make paths absolute, as a person gives them relative to the host's project; names of programs on PATH stay."""
    changed = {}
    for field in fields_of(ItOptions):
        value = getattr(options, field.name)
        if field.pattern and value and (field.name == "fn_in_raw" or Path(value).exists()):
            changed[field.name] = os.path.abspath(os.path.expanduser(value))
    return replace(options, **changed)


def session_choices(options: ItOptions, settings: Sequence[str]) -> Choices:
    """Return what was chosen for the shipped schemes; parameters as in `OwnScheme`.

    Raises
    ------
    UserError
        If a setting is not of the form KEY=VALUE.
    """
    return with_keys(Choices(absolute_options(options)), settings)


def check_session(root: Path, choices: Choices) -> None:
    """Check what can be known before the run.

    Raises
    ------
    UserError
        If an option is wrong, or there is no folder of movies.
    """
    check_options(choices.options)
    final_values(choices)
    if choices.options.do_prep:
        movies_in_project(root, choices.options.fn_in_raw)


def prepare_session(root: Path, choices: Choices) -> list[str]:
    """Fill the shipped schemes into a project; those that it has get the new values and stay where they are.

    Returns
    -------
    list of str
        Names of the schemes.

    Raises
    ------
    UserError
        If an option is wrong, or the check of the schemes finds an error.
    """
    root.mkdir(parents=True, exist_ok=True)
    project = open_project(root, create=True)
    plan = make_plan(project, choices, shipped_folder(), Existing.UPDATE)
    write_plan(project, plan)
    _refuse_errors(project, list(plan.schemes))
    return list(plan.schemes)


def prepare_own(root: Path, own: OwnScheme) -> list[str]:
    """Copy a scheme of the user into a project with its settings; one that is there gets the settings and stays where it is.

    Returns
    -------
    list of str
        Its name.

    Raises
    ------
    UserError
        If the scheme cannot be read, a setting does not fit, or the check finds an error.
    """
    root.mkdir(parents=True, exist_ok=True)
    project = open_project(root, create=True)
    if own.data is not None:
        _link_entries(own.data, root)
    folder = project.scheme_directory(own.name)
    template = read_template(folder if (folder / SCHEME_FILE).exists() else own.folder).renamed(own.name)
    values = with_keys(Choices(), [f"{own.name}__{words}" for words in own.settings]).overrides
    with scheme_lock(project, own.name, "prepared by Scipion", _LOCK_WAIT):
        write_template(filled({own.name: template}, values)[own.name], folder)
    _refuse_errors(project, [own.name])
    return [own.name]


def check_own(own: OwnScheme) -> None:
    """Check what can be known before the run.

    Raises
    ------
    UserError
        If the scheme cannot be read or has no usable name, or the data folder does not exist.
    """
    scheme_path(own.name)
    template = read_template(own.folder)
    filled({own.name: template}, with_keys(Choices(), [f"{own.name}__{words}" for words in own.settings]).overrides)
    if own.data is not None and not own.data.is_dir():
        raise UserError(f"{own.data} is no folder; choose the one that the scheme's paths begin in")


def _link_entries(data: Path, root: Path) -> None:
    """Link what lies in a folder into the project; what the project has itself stays."""
    kept_out = {"Schemes", "default_pipeline.star", "Trash"}
    for entry in sorted(data.resolve().iterdir()):
        link = root / entry.name
        if entry.name in kept_out or entry.name.startswith(".") or link.exists() or link.is_symlink():
            continue
        link.symlink_to(entry, target_is_directory=entry.is_dir())


def _refuse_errors(project: Project, names: Sequence[str]) -> None:
    findings = [finding for name in names for finding in lint_scheme(project, name, registered())]
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        raise UserError(f"{len(errors)} error(s) in the scheme, first: {errors[0]}")
