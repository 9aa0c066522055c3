"""A scheme as data: variables, operators, jobs and the edges between them.

Nothing here touches a file; every change gives a new `Scheme`. Source: RELION-4.0 paper, section 3.3.

>>> scheme = Scheme("Schemes/toy/", floats={"n": Variable(1.0, 1.0)})
>>> scheme.with_float("n", 2.0).floats["n"]
Variable(value=2.0, reset=1.0)
>>> scheme.floats["n"].value
1.0
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Generic, TypeVar

from relion4plugin.errors import UserError
from relion4plugin.files.star_text import RELION4, TextTable

UNDEFINED = "undefined"
NEW, CONTINUE = "new", "continue"

T = TypeVar("T")


class Kind(Enum):
    """What a variable holds."""

    BOOL = "boolean"
    FLOAT = "float"
    STRING = "string"


@dataclass(frozen=True)
class Variable(Generic[T]):
    """The value of a variable, and the one that a reset gives it."""

    value: T
    reset: T


@dataclass(frozen=True)
class Operator:
    """A node that computes; fields that it does not need hold ``undefined``."""

    name: str
    type: str
    output: str = UNDEFINED
    input1: str = UNDEFINED
    input2: str = UNDEFINED


@dataclass(frozen=True)
class SchemeJob:
    """A node that runs a job.

    `original` is the name of the node and of its folder in the scheme; `name` is the same until the job has run, then the
    job directory with a trailing slash. `mode` is ``new`` or ``continue``, empty in rows of jobs that never run.
    """

    original: str
    name: str
    mode: str = NEW
    has_started: bool = False

    @property
    def has_directory(self) -> bool:
        """Whether the job has been given a directory."""
        return "/" in self.name


@dataclass(frozen=True)
class Edge:
    """From a node to the next one; a fork goes to `target_if_true` where its boolean is true, else to `target`."""

    source: str
    target: str
    is_fork: bool = False
    target_if_true: str = UNDEFINED
    boolean: str = UNDEFINED


@dataclass(frozen=True)
class Scheme:
    """A scheme and its state.

    `name` is its directory with a trailing slash (``Schemes/prep/``). Order matters only in `edges`: the source of the
    first is where the scheme starts. `unknown` are tables of the file that are not read, kept as they are.
    """

    name: str
    current_node: str = UNDEFINED
    floats: Mapping[str, Variable[float]] = field(default_factory=dict)
    bools: Mapping[str, Variable[bool]] = field(default_factory=dict)
    strings: Mapping[str, Variable[str]] = field(default_factory=dict)
    operators: Mapping[str, Operator] = field(default_factory=dict)
    jobs: Mapping[str, SchemeJob] = field(default_factory=dict)
    edges: tuple[Edge, ...] = ()
    version: int = RELION4
    unknown: tuple[TextTable, ...] = ()

    @property
    def short_name(self) -> str:
        """Last part of the directory: ``prep`` of ``Schemes/prep/``."""
        return self.name.rstrip("/").rsplit("/", 1)[-1]

    @property
    def start_node(self) -> str:
        """The node where the scheme starts; ``undefined`` where there are no edges."""
        return self.edges[0].source if self.edges else UNDEFINED

    def with_float(self, name: str, value: float) -> "Scheme":
        """Give a float variable a value; a new one gets it as reset value too."""
        return replace(self, floats=_with_value(self.floats, name, value))

    def with_bool(self, name: str, value: bool) -> "Scheme":
        """Give a boolean variable a value; a new one gets it as reset value too."""
        return replace(self, bools=_with_value(self.bools, name, value))

    def with_string(self, name: str, value: str) -> "Scheme":
        """Give a string variable a value; a new one gets it as reset value too."""
        return replace(self, strings=_with_value(self.strings, name, value))

    def with_job(self, job: SchemeJob) -> "Scheme":
        """Put a job in the place of the one with the same original name."""
        return replace(self, jobs={**self.jobs, job.original: job})

    def with_current_node(self, node: str) -> "Scheme":
        """Make `node` the one to execute next."""
        return replace(self, current_node=node)

    def reset(self) -> "Scheme":
        """Give all variables their reset values, forget all job directories, and go to the start node."""
        return replace(
            self,
            current_node=self.start_node,
            floats={name: Variable(v.reset, v.reset) for name, v in self.floats.items()},
            bools={name: Variable(v.reset, v.reset) for name, v in self.bools.items()},
            strings={name: Variable(v.reset, v.reset) for name, v in self.strings.items()},
            jobs={name: replace(job, name=job.original, has_started=False) if job.mode else job for name, job in self.jobs.items()},
        )


def _with_value(variables: Mapping[str, Variable[T]], name: str, value: T) -> dict[str, Variable[T]]:
    old = variables.get(name)
    return {**variables, name: Variable(value, value if old is None else old.reset)}


def next_node(scheme: Scheme, node: str) -> str:
    """Return the node after `node`; ``undefined`` where the graph ends.

    Of several edges from the same node the last one counts, as in RELION.

    Raises
    ------
    UserError
        If a fork depends on a variable that is not a boolean.
    """
    for edge in reversed(scheme.edges):
        if edge.source != node:
            continue
        if not edge.is_fork:
            return edge.target
        if edge.boolean not in scheme.bools:
            raise UserError(f"{scheme.name}: the fork at {node} depends on '{edge.boolean}', which is no boolean variable; add it")
        return edge.target_if_true if scheme.bools[edge.boolean].value else edge.target
    return UNDEFINED
