"""What cannot work in a scheme, found before it runs: one line each, with file and line number."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.schemes.findings import Finding, Severity
from relion4plugin.schemes.lint_graph import graph_findings
from relion4plugin.schemes.lint_jobs import job_findings
from relion4plugin.schemes.lint_operators import operator_findings
from relion4plugin.schemes.lint_options import OptionsOfJob, option_findings
from relion4plugin.schemes.model import Kind
from relion4plugin.schemes.project import Project, scheme_path
from relion4plugin.schemes.scheme_star import SchemeDocument, read_scheme_document
from relion4plugin.schemes.substitution import OptionKind
from relion4plugin.schemes.variables import kinds_of

__all__ = ["Finding", "Severity", "lint_scheme"]


@dataclass(frozen=True)
class Surroundings:
    """What a scheme is checked against: programs on PATH, and what is known about the options of job types."""

    find_program: Callable[[str], str | None] = shutil.which
    option_kinds: Callable[[str], Mapping[str, OptionKind] | None] = lambda label: None


def lint_scheme(project: Project, name: str, surroundings: Surroundings | None = None) -> list[Finding]:
    """Check a scheme and the templates of its jobs.

    Parameters
    ----------
    project : Project
        The project.
    name : str
        Name of the scheme.
    surroundings : Surroundings, optional
        Programs and job types to check against; `option_kinds` gives the kinds of the options of a job type (by its
        label), None where nothing is known.

    Returns
    -------
    list of Finding
        In order of files and lines. Errors would stop the scheme; warnings may.

    Raises
    ------
    UserError
        If the scheme cannot be read at all.
    """
    around = surroundings or Surroundings()
    path = project.scheme_file(name)
    document = read_scheme_document(path)
    findings = list(_file_findings(document, project, name))
    findings += graph_findings(document)
    findings += operator_findings(document, project)
    for job in document.scheme.jobs.values():
        if not job.mode:
            continue
        template = project.template(name, job.original)
        line = document.lines["scheme_jobs", job.original]
        if not template.exists():
            findings.append(Finding(Severity.ERROR, path, line, f"job {job.original} has no template; expected {template}"))
            continue
        try:
            options = OptionsOfJob.read(template)
        except UserError as error:
            findings.append(Finding(Severity.ERROR, template, 0, str(error)))
            continue
        findings += option_findings(options, document.scheme, project, around.option_kinds(options.type_label))
        findings += job_findings(options, document.scheme, project, around.find_program)
    return sorted(findings, key=lambda finding: (finding.path != path, str(finding.path), finding.line))


def _file_findings(document: SchemeDocument, project: Project, name: str) -> Iterator[Finding]:
    """Find what stands in the file otherwise than it is read, and names that stand for two things."""
    scheme, path, lines = document.scheme, document.path, document.lines

    def finding(severity: Severity, table: str, key: str, text: str) -> Finding:
        return Finding(severity, path, lines.get((table, key), 0), text)

    for remark in document.remarks:
        yield Finding(Severity.WARNING, path, remark.line, remark.text)
    if scheme.name != scheme_path(name):
        text = f"the file says it is {scheme.name}, but it lies in {scheme_path(name)}"
        yield finding(Severity.ERROR, "scheme_general", "rlnSchemeName", text)
    tables = {Kind.BOOL: "scheme_bools", Kind.FLOAT: "scheme_floats", Kind.STRING: "scheme_strings"}
    for variable in sorted({*scheme.bools, *scheme.floats, *scheme.strings}):
        kinds = kinds_of(scheme, variable)
        if len(kinds) > 1:
            both = " and ".join(kind.value for kind in kinds)
            yield finding(Severity.WARNING, tables[kinds[-1]], variable, f"variable {variable} is {both} at once; give one another name")
    for job in scheme.jobs.values():
        if job.mode not in ("", "new", "continue"):
            text = f"job {job.original} has mode '{job.mode}'; expected new or continue"
            yield finding(Severity.ERROR, "scheme_jobs", job.original, text)
        if job.original in scheme.operators:
            yield finding(Severity.ERROR, "scheme_jobs", job.original, f"{job.original} is the name of a job and of an operator")
        if job.has_started and job.mode and not (job.has_directory and Path(project.root / job.name).is_dir()):
            text = f"job {job.original} is said to have started but has no directory '{job.name}'; it will start afresh"
            yield finding(Severity.WARNING, "scheme_jobs", job.original, text)
