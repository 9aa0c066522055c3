"""A launch before anything is written: record, options, filled schemes or workflow, files and commands."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.changes import Change, scheme_changes, workflow_changes
from relion4plugin.acquisition.fill_scipion import fill_workflow, read_workflow
from relion4plugin.acquisition.gain_rule import choose_gain
from relion4plugin.acquisition.group_table import NAME, OPTION
from relion4plugin.acquisition.launch_findings import disk_findings, findings_of
from relion4plugin.acquisition.merge import merge
from relion4plugin.acquisition.mtf_rule import choose_mtf
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.record import AcquisitionRecord, Finding, Value
from relion4plugin.acquisition.scipion_launch import WORKFLOW, scipion_commands
from relion4plugin.acquisition.scipion_values import workflow_values
from relion4plugin.acquisition.session_facts import SessionFacts
from relion4plugin.acquisition.settings import FOLDER, Settings, make_settings
from relion4plugin.acquisition.target import Target
from relion4plugin.acquisition.user_values import UserValues
from relion4plugin.acquisition.workflows import scheme_folder, workflow_path
from relion4plugin.errors import UserError
from relion4plugin.schemes.it import plan as it_plan
from relion4plugin.schemes.it.checks import check_options
from relion4plugin.schemes.it.choices import with_keys
from relion4plugin.schemes.it.launch import runner_words
from relion4plugin.schemes.library.template import SchemeTemplate, read_template
from relion4plugin.schemes.project import Project

_MANY = 1  # optics groups; more need a table


@dataclass(frozen=True)
class LaunchPlan:
    """All that a launch does.

    Attributes
    ----------
    facts, preset, user
        What it was made from.
    record : AcquisitionRecord
        Merged values.
    settings : Settings
        Options with their sources, and files to copy.
    target : Target
        Where it goes.
    changes : tuple of Change
        Values that differ from the templates.
    findings : tuple of Finding
        What is wrong or doubtful.
    commands : tuple
        Commands as lists of words, in order.
    schemes : it.plan.Plan or None
        Filled schemes, for the pipeline relion.
    workflow : list of dict or None
        Filled workflow, for the pipeline scipion.
    """

    facts: SessionFacts
    preset: Preset
    user: UserValues
    record: AcquisitionRecord
    settings: Settings
    target: Target
    changes: tuple[Change, ...]
    findings: tuple[Finding, ...]
    commands: tuple[tuple[str, ...], ...]
    schemes: it_plan.Plan | None = None
    workflow: list[dict[str, Any]] | None = None

    @property
    def pipeline(self) -> str:
        """What runs the work: relion or scipion."""
        return "relion" if self.schemes is not None else "scipion"

    @property
    def files(self) -> list[Path]:
        """Files that will be written, without the numbered record of the acquisition."""
        project = self.target.project
        copies = [project / path for path in self.settings.copies.values()]
        if self.schemes is None:
            return [*copies, project / WORKFLOW]
        groups = [project / FOLDER / NAME] if uses_groups(self.facts) else []
        links = [self.schemes.link.path] if self.schemes.link is not None else []
        stars = [
            project / "Schemes" / name / path
            for name, template in self.schemes.schemes.items()
            for path in ("scheme.star", *(f"{job}/job.star" for job in template.jobs))
        ]
        return [*copies, *groups, *links, *stars]


def make_launch_plan(facts: SessionFacts, preset: Preset, user: UserValues, target: Target, pipeline: str = "") -> LaunchPlan:
    """Plan a launch; nothing is written.

    Parameters
    ----------
    facts : SessionFacts
        The session.
    preset : Preset
        Its preset.
    user : UserValues
        What a person gave.
    target : Target
        Where it goes.
    pipeline : str
        relion or scipion; that of the preset if empty.

    Raises
    ------
    UserError
        If a value that is needed is not known, or does not fit a template.
    """
    record = merge(facts.record, preset, user)
    gain = choose_gain(record, preset, facts.folders, facts.first_time)
    mtf, _ = choose_mtf(record, preset)
    settings = make_settings(record, preset, user, _pattern(facts, record, user), gain.value, mtf)
    findings = [*findings_of(facts, record, preset, user), *disk_findings(facts, record, target.project)]
    if (pipeline or preset.get("processing.pipeline")) == "scipion":
        return _scipion_plan(facts, preset, user, record, settings, target, findings)
    if uses_groups(facts):
        settings = _with_groups(settings)
    return _scheme_plan(facts, preset, user, record, settings, target, findings)


def uses_groups(facts: SessionFacts) -> bool:
    """Tell whether the import gets a table of optics groups."""
    return len(set(facts.groups.values())) > _MANY


def errors_of(plan: LaunchPlan, accepted: Iterable[str] = ()) -> list[Finding]:
    """Return the errors that forbid a launch; those of accepted rules do not."""
    taken = {rule.upper() for rule in accepted}
    return [finding for finding in plan.findings if finding.level == "error" and finding.rule not in taken]


def _pattern(facts: SessionFacts, record: AcquisitionRecord, user: UserValues) -> Value:
    given = user.fields.get("movie_pattern")
    if given is not None:
        return given
    if not facts.pattern:
        raise UserError(f"session {facts.name} has no movies in {facts.path}; give their folder with --movies, or movie_pattern")
    return Value(facts.pattern, "", "file name", str(facts.path), "movies", "derived")


def _with_groups(settings: Settings) -> Settings:
    key = f"prep__importmovies__{OPTION}"
    value = Value(f"{FOLDER}/{NAME}", "", "optics groups", confidence="derived")
    choices = with_keys(settings.choices, [f"{key}={value.value}"])
    return replace(settings, choices=choices, sources={**settings.sources, key: value})


def _scheme_plan(
    facts: SessionFacts, preset: Preset, user: UserValues, record: AcquisitionRecord, settings: Settings, target: Target,
    findings: list[Finding],
) -> LaunchPlan:  # fmt: skip
    templates = scheme_folder(preset)
    existing = it_plan.Existing.UPDATE if target.unfinished is not None else it_plan.Existing.REFUSE
    made = it_plan.make_plan(Project(target.project), settings.choices, templates, existing)
    remarks = [text for text in made.remarks if not any(path in text for path in settings.copies.values())]
    findings += [Finding("options", "warning", "", text) for text in remarks]
    changes = tuple(scheme_changes(_sources(made, templates), made.schemes, settings))
    commands = tuple(tuple(runner_words(name)) for name in made.schemes)
    return LaunchPlan(facts, preset, user, record, settings, target, changes, tuple(findings), commands, schemes=made)


def _sources(made: it_plan.Plan, templates: Path) -> dict[str, SchemeTemplate]:
    picker = made.choices.options.picker
    return {name: read_template(templates / (name if name == "prep" else f"proc-{picker}")).renamed(name) for name in made.schemes}


def _scipion_plan(
    facts: SessionFacts, preset: Preset, user: UserValues, record: AcquisitionRecord, settings: Settings, target: Target,
    findings: list[Finding],
) -> LaunchPlan:  # fmt: skip
    check_options(settings.choices.options)
    template = workflow_path(preset, settings.choices.options.picker)
    project = target.project.absolute()
    values = workflow_values(settings, record, str(project), preset.get("watch.settle"))
    workflow, filled = fill_workflow(read_workflow(template), values, str(template))
    commands = scipion_commands(preset.get("paths.scipion"), project)
    changes = tuple(workflow_changes(filled, settings))
    return LaunchPlan(facts, preset, user, record, settings, target, changes, tuple(findings), commands, workflow=workflow)
