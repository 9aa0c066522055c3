"""Shipped schemes played through: operators compute, jobs only leave their files."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from relion4plugin.jobs.registry import job_type
from relion4plugin.schemes.library.template import read_template
from relion4plugin.schemes.model import Scheme, next_node
from relion4plugin.schemes.operators import Exit, evaluate
from relion4plugin.schemes.registered import registered_kinds
from relion4plugin.schemes.substitution import substitute_job
from tests.schemes.world import World

STAR = """# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnMicrographPixelSize #4
1 300 2.7 1

# version 30001

data_{table}

loop_
_rlnOpticsGroup #1
{rows}
"""


class Ended(Exception):
    """The scheme has stopped."""


@dataclass
class Play:
    """Executes a scheme whose jobs leave what `made` says: job -> (file, table, number of rows)."""

    world: World
    scheme: Scheme
    made: dict[str, tuple[str, str, int]]
    fails: Callable[[str], bool] = lambda node: False
    trace: list[str] = field(default_factory=list)
    options: dict[str, dict[str, str]] = field(default_factory=dict)
    counter: int = 0

    def __post_init__(self):
        self.context = self.world.context()

    def step(self) -> bool:
        """Execute the current node and go on; False at the end."""
        node = self.scheme.current_node
        self.trace.append(node)
        if node in self.scheme.jobs:
            if self.fails(node):
                return False
            self.run_job(node)
        else:
            result = evaluate(self.scheme.operators[node], self.scheme, self.context)
            if isinstance(result, Exit):
                return False
            self.scheme = result
        self.scheme = self.scheme.with_current_node(next_node(self.scheme, node))
        return True

    def run_job(self, node: str) -> None:
        job = self.scheme.jobs[node]
        template = read_template(self.world.root / self.scheme.name).jobs[node]
        kind = job_type(template.type_label)
        if job.mode == "new" or not job.has_started:
            self.counter += 1
            job = replace(job, name=f"{kind.folder}/job{self.counter:03d}/", has_started=True)
        self.options[node] = substitute_job(self.scheme, template.options, self.context, registered_kinds(template.type_label))
        assert kind.relion_command(self.options[node], Path(job.name), is_continue=False)
        self.scheme = self.scheme.with_job(job)
        name, table, rows = self.made[node]
        self.world.file(job.name + name, STAR.format(table=table, rows="1\n" * rows) if rows else "data_none\n\n_rlnVoltage 1\n")
        self.world.save(self.scheme)

    def until(self, node: str, passes: int = 1) -> list[str]:
        """Go on until a node has been passed so many times; return the nodes on the way."""
        start = len(self.trace)
        for _ in range(1000):
            if not self.step():
                raise Ended(self.trace[start:])
            if self.scheme.current_node == node:
                passes -= 1
                if not passes:
                    return self.trace[start:]
        raise AssertionError("no end")
