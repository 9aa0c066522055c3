"""The graph of jobs and files of a project, as data; source: RELION-4.0 paper, section 3.3.

Jobs (processes) and files (nodes) are found by name, never by position.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from relion4plugin.errors import UserError
from relion4plugin.files.star_text import TextTable
from relion4plugin.schemes.labels import job_folder, relion5_label

NO_ALIAS = "None"


class Status(Enum):
    """State of a job."""

    RUNNING = "Running"
    SCHEDULED = "Scheduled"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ABORTED = "Aborted"


class Dialect(Enum):
    """Which RELION writes a pipeline so."""

    RELION31 = "RELION 3.1"
    RELION4 = "RELION 4"
    RELION5 = "RELION 5"


@dataclass(frozen=True)
class Process:
    """A job; `name` is its directory with a trailing slash."""

    name: str
    type_label: str
    status: Status = Status.SCHEDULED
    alias: str = NO_ALIAS

    @property
    def number(self) -> int:
        """The number in the name of the directory; 0 where there is none."""
        digits = self.name.rstrip("/").rpartition("/job")[2]
        return int(digits) if digits.isdecimal() else 0


@dataclass(frozen=True)
class Node:
    """A file; `depth` is RELION 5's column of that name."""

    name: str
    type_label: str
    depth: int = 1


@dataclass(frozen=True)
class Pipeline:
    """All jobs and files of a project in order of creation.

    `counter` is the number of the next job. `inputs` are pairs (file, job), `outputs` pairs (job, file). `unknown` are
    tables that are kept as they are.
    """

    counter: int = 1
    processes: Mapping[str, Process] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    inputs: tuple[tuple[str, str], ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    dialect: Dialect = Dialect.RELION4
    unknown: tuple[TextTable, ...] = ()

    def process(self, name: str) -> Process:
        """Return a job by its directory or alias.

        Raises
        ------
        UserError
            If there is none.
        """
        key = name.rstrip("/") + "/"
        if key in self.processes:
            return self.processes[key]
        for process in self.processes.values():
            if process.alias == key:
                return process
        raise UserError(f"no job {name} in the pipeline; it has {len(self.processes)} jobs")

    def inputs_of(self, process: str) -> list[str]:
        """Return the input files of a job."""
        return [node for node, name in self.inputs if name == process]

    def outputs_of(self, process: str) -> list[str]:
        """Return the output files of a job."""
        return [node for name, node in self.outputs if name == process]

    def with_new_process(self, type_label: str, status: Status = Status.SCHEDULED) -> tuple["Pipeline", Process]:
        """Give the next number to a new job; hold the pipeline lock from reading to writing.

        Raises
        ------
        UserError
            If there is no such job type.
        """
        process = Process(f"{job_folder(type_label)}/job{self.counter:03d}/", type_label, status)
        return replace(self, counter=self.counter + 1, processes={**self.processes, process.name: process}), process

    def with_process(self, process: Process) -> "Pipeline":
        """Put a job in the place of the one with the same name, or add it."""
        return replace(self, processes={**self.processes, process.name: process})

    def with_status(self, name: str, status: Status) -> "Pipeline":
        """Give a job another status.

        Raises
        ------
        UserError
            If there is no such job.
        """
        return self.with_process(replace(self.process(name), status=status))

    def with_inputs(self, process: str, nodes: Mapping[str, str]) -> "Pipeline":
        """Add input files (name -> kind) of a job; what is known already stays as it is."""
        names = self._real_names(nodes)
        known = set(self.inputs)
        edges = [(name, process) for name in names if (name, process) not in known]
        return replace(self, nodes=self._with_nodes(names), inputs=(*self.inputs, *edges))

    def with_outputs(self, process: str, nodes: Mapping[str, str]) -> "Pipeline":
        """Add output files (name -> kind) of a job; what is known already stays as it is."""
        names = self._real_names(nodes)
        known = set(self.outputs)
        edges = [(process, name) for name in names if (process, name) not in known]
        return replace(self, nodes=self._with_nodes(names), outputs=(*self.outputs, *edges))

    def without_nodes(self, names: Iterable[str]) -> "Pipeline":
        """Take files and their edges out."""
        gone = set(names)
        return replace(
            self,
            nodes={name: node for name, node in self.nodes.items() if name not in gone},
            inputs=tuple(edge for edge in self.inputs if edge[0] not in gone),
            outputs=tuple(edge for edge in self.outputs if edge[1] not in gone),
        )

    def producer(self, node: str) -> str | None:
        """Return the job that made a file; None where none is known."""
        return next((process for process, name in self.outputs if name == node), None)

    def converted(self, dialect: Dialect) -> "Pipeline":
        """Return the pipeline in the dialect of a newer RELION; an older one cannot read it then.

        Raises
        ------
        UserError
            If the dialect is older.
        """
        order = list(Dialect)
        if order.index(dialect) < order.index(self.dialect):
            raise UserError(f"a pipeline of {self.dialect.value} cannot be turned into one of {dialect.value}")
        if dialect is not Dialect.RELION5 or self.dialect is dialect:
            return replace(self, dialect=dialect)
        nodes = {name: replace(node, type_label=relion5_label(node.type_label)) for name, node in self.nodes.items()}
        return replace(self, dialect=dialect, nodes=nodes)

    def _real_names(self, nodes: Mapping[str, str]) -> dict[str, str]:
        """Write the real directory where a path has an alias."""
        aliases = {process.alias: process.name for process in self.processes.values() if process.alias != NO_ALIAS}
        names = {}
        for path, label in nodes.items():
            start = "/".join(path.split("/")[:2]) + "/"
            names[aliases[start] + path[len(start) :] if start in aliases else path] = label
        return names

    def _with_nodes(self, nodes: Mapping[str, str]) -> Mapping[str, Node]:
        modern = self.dialect is Dialect.RELION5
        new = {name: Node(name, relion5_label(label) if modern else label) for name, label in nodes.items() if name not in self.nodes}
        return {**self.nodes, **new} if new else self.nodes


def pipeline_of_job(pipeline: Pipeline, name: str) -> Pipeline:
    """Return the pipeline of one job alone, as it is kept in the job's directory (counter 2)."""
    inputs = tuple(edge for edge in pipeline.inputs if edge[1] == name)
    outputs = tuple(edge for edge in pipeline.outputs if edge[0] == name)
    nodes = {node: pipeline.nodes[node] for node in [*(edge[0] for edge in inputs), *(edge[1] for edge in outputs)]}
    return Pipeline(2, {name: pipeline.process(name)}, nodes, inputs, outputs, pipeline.dialect)
