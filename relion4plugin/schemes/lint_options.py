"""Checks of the options of a job template: variables and paths of schemes in them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.star_text import read_tables
from relion4plugin.jobs.job_star import read_job_star
from relion4plugin.jobs.job_type import is_queue_extra
from relion4plugin.schemes.findings import Finding, Problem, Severity
from relion4plugin.schemes.model import Scheme
from relion4plugin.schemes.paths import rewrite_paths
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import read_scheme_star
from relion4plugin.schemes.substitution import MARK, OptionKind, expand_variables

_OPTIONS = "joboptions_values"


@dataclass(frozen=True)
class OptionsOfJob:
    """A job template with the line of each option."""

    path: Path
    type_label: str
    values: Mapping[str, str]
    lines: Mapping[str, int]

    @classmethod
    def read(cls, path: Path) -> "OptionsOfJob":
        """Read a template.

        Raises
        ------
        UserError
            If it is no job.star.
        """
        job = read_job_star(path)
        table = read_tables(path, before="data_joboptions_full_definition").get(_OPTIONS)
        lines = dict(zip((row[0] for row in table.rows), table.lines, strict=True)) if table is not None and table.is_loop else {}
        return cls(path, job.type_label, job.options, lines)

    def finding(self, severity: Severity, option: str, text: str) -> Finding:
        """Make a finding at an option; at the file where the option does not stand in it."""
        return Finding(severity, self.path, self.lines.get(option, 0), text)


def path_problem(text: str, scheme: Scheme, project: Project) -> Problem | None:
    """Return what is wrong with paths of schemes in a value."""
    try:
        rewritten = rewrite_paths(text, scheme, lambda name: read_scheme_star(project.scheme_file(name)).jobs)
    except UserError as error:
        return Severity.ERROR, str(error)
    return (Severity.WARNING, "; ".join(rewritten.remarks)) if rewritten.remarks else None


def option_findings(
    options: OptionsOfJob, scheme: Scheme, project: Project, kinds: Mapping[str, OptionKind] | None
) -> Iterator[Finding]:
    """Check that variables exist and fit, and that paths of schemes name jobs.

    Yields
    ------
    Finding
        In order of options.
    """
    for option, text in options.values.items():
        value = text
        if kinds is not None and option not in kinds and not is_queue_extra(option):
            yield options.finding(Severity.WARNING, option, f"option {option} is unknown to {options.type_label} and is ignored")
        if MARK in text:
            try:
                value = expand_variables(option, text, scheme, (kinds or {}).get(option))
            except UserError as error:
                yield options.finding(Severity.ERROR, option, str(error))
                continue
        problem = path_problem(value, scheme, project)
        if problem:
            yield options.finding(problem[0], option, f"option {option}: {problem[1]}")
