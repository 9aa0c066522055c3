"""A small world for schemes: a project in a temporary folder, a clock that stands still unless someone sleeps, a letter box."""

from dataclasses import dataclass, field
from pathlib import Path

from relion4plugin.schemes.context import Context
from relion4plugin.schemes.model import Scheme, SchemeJob, Variable
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.scheme_star import scheme_text


@dataclass
class World:
    root: Path
    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    mails: list[tuple[str, str, str]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    abort_after: int = 10**6

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def context(self) -> Context:
        return Context(
            Project(self.root),
            clock=lambda: self.now,
            sleep=self.sleep,
            mail=lambda *letter: self.mails.append(letter),
            report=lambda line, level=1: self.lines.append(line),
            abort_requested=lambda: len(self.slept) >= self.abort_after,
        )

    def file(self, name: str, text: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def save(self, scheme: Scheme) -> Path:
        return self.file(f"{scheme.name}scheme.star", scheme_text(scheme))


def toy(floats=(), bools=(), strings=(), jobs=(), name="Schemes/toy/", **rest) -> Scheme:
    """Make a scheme from plain values; a job is (original, name) or an original name alone."""
    rows = [SchemeJob(job, job) if isinstance(job, str) else SchemeJob(job[0], job[1], has_started="/" in job[1]) for job in jobs]
    return Scheme(
        name,
        floats={key: Variable(float(value), 0.0) for key, value in dict(floats).items()},
        bools={key: Variable(value, False) for key, value in dict(bools).items()},
        strings={key: Variable(value, "") for key, value in dict(strings).items()},
        jobs={job.original: job for job in rows},
        **rest,
    )
