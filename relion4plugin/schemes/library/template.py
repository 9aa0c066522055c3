"""A scheme with the job.star of each of its jobs: read from a folder, renamed, written.

A template holds no state: variables have their reset values and no job has run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.jobs.job_star import JobStar, read_job_star, write_job_star
from relion4plugin.schemes.model import CONTINUE, UNDEFINED, Edge, Operator, Scheme, SchemeJob, Variable
from relion4plugin.schemes.project import SCHEME_FILE, scheme_path
from relion4plugin.schemes.scheme_star import read_scheme_star, scheme_text


@dataclass(frozen=True)
class SchemeTemplate:
    """A scheme and its job templates; `jobs` is keyed by the name of the node."""

    scheme: Scheme
    jobs: Mapping[str, JobStar]

    def with_scheme(self, scheme: Scheme) -> "SchemeTemplate":
        """Put another scheme in the place of this one."""
        return replace(self, scheme=scheme)

    def with_option(self, job: str, option: str, text: str) -> "SchemeTemplate":
        """Give an option of a job a value."""
        old = self.jobs[job]
        return replace(self, jobs={**self.jobs, job: replace(old, options={**old.options, option: text})})

    def renamed(self, name: str) -> "SchemeTemplate":
        """Give the scheme another name, in its own file and in all paths that lead into it."""
        old, new = self.scheme.name, scheme_path(name)
        strings = {key: Variable(v.value.replace(old, new), v.reset.replace(old, new)) for key, v in self.scheme.strings.items()}
        jobs = {
            key: replace(job, options={option: text.replace(old, new) for option, text in job.options.items()})
            for key, job in self.jobs.items()
        }
        return SchemeTemplate(replace(self.scheme, name=new, strings=strings), jobs)


def read_template(folder: Path) -> SchemeTemplate:
    """Read a scheme and its job templates from a folder.

    Raises
    ------
    UserError
        If the folder has no scheme.star, or a job has no job.star.
    """
    path = folder / SCHEME_FILE
    if not path.is_file():
        raise UserError(f"{folder} holds no {SCHEME_FILE}; expected the folder of a scheme")
    scheme = read_scheme_star(path)
    return SchemeTemplate(scheme, {name: read_job_star(folder / name / "job.star") for name, job in scheme.jobs.items() if job.mode})


def write_template(template: SchemeTemplate, folder: Path) -> list[Path]:
    """Write scheme.star and the job.star files into a folder, which is made where needed.

    Returns
    -------
    list of Path
        The files, scheme.star last: a folder without it is no scheme yet.

    Raises
    ------
    UserError
        If a file cannot be written.
    """
    written = []
    for name, job in sorted(template.jobs.items()):
        path = folder / name / "job.star"
        _make(path.parent)
        write_job_star(path, job)
        written.append(path)
    atomic_write_text(folder / SCHEME_FILE, scheme_text(template.scheme))
    return [*written, folder / SCHEME_FILE]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make {folder}: {(error.strerror or str(error)).lower()}; choose another project directory") from error


@dataclass
class Draft:
    """A scheme in the making: nodes and edges are added in the order in which a person reads the graph."""

    name: str
    floats: dict[str, float] = field(default_factory=dict)
    bools: dict[str, bool] = field(default_factory=dict)
    strings: dict[str, str] = field(default_factory=dict)
    operators: dict[str, Operator] = field(default_factory=dict)
    modes: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, JobStar] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)

    def file(self, job: str, name: str) -> str:
        """Return the path of a file of a job, as options and strings of a scheme name it."""
        return f"{scheme_path(self.name)}{job}/{name}"

    def operator(self, name: str, kind: str, output: str = UNDEFINED, input1: str = UNDEFINED, input2: str = UNDEFINED) -> None:
        """Add an operator."""
        self.operators[name] = Operator(name, kind, output, input1, input2)

    def job(self, name: str, label: str, options: Mapping[str, str], mode: str = CONTINUE) -> None:
        """Add a job with those options that do not keep the default of the program and its environment."""
        self.modes[name] = mode
        self.jobs[name] = JobStar(label, options=dict(options))

    def path(self, *nodes: str) -> None:
        """Add edges along a row of nodes."""
        self.edges += [Edge(source, target) for source, target in pairwise(nodes)]

    def fork(self, source: str, boolean: str, if_true: str, if_false: str) -> None:
        """Add a fork."""
        self.edges.append(Edge(source, if_false, True, if_true, boolean))

    def template(self) -> SchemeTemplate:
        """Return the finished template."""
        scheme = Scheme(
            scheme_path(self.name),
            current_node=self.edges[0].source,
            floats={name: Variable(value, value) for name, value in self.floats.items()},
            bools={name: Variable(value, value) for name, value in self.bools.items()},
            strings={name: Variable(value, value) for name, value in self.strings.items()},
            operators=self.operators,
            jobs={name: SchemeJob(name, name, mode) for name, mode in self.modes.items()},
            edges=tuple(self.edges),
        )
        return SchemeTemplate(scheme, self.jobs)
