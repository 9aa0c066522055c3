"""Following schemes that run in processes of their own, until all have ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from relion4plugin.schemes.control import abort
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.status import ProjectReader, ProjectStatus, SchemeStatus

PAUSE = 2.0
_GRACE = 30.0  # seconds that runners have to end after an abort request
_NO_END = "ended without a word; see run.err in its folder"


@dataclass(frozen=True)
class Ended:
    """How a scheme ended: ``finished``, ``failed`` or ``aborted``, and why."""

    outcome: str
    reason: str


@dataclass
class _Teller:
    """Says what is new since it was asked last: jobs that began or ended badly, and counts."""

    tell: Callable[[str], None]
    told: set[tuple[str, float, str]] = field(default_factory=set)
    counts: str = ""

    def look(self, status: ProjectStatus, names: Sequence[str]) -> None:
        for name in names:
            for run in status.scheme(name).history.runs.values():
                self._once((run.job, run.started, ""), f"{name}: {run.node} in {run.job}")
                if run.ended is not None and run.message:
                    self._once((run.job, run.started, run.status), f"{name}: {run.node} {run.status.lower()}: {run.message}")
        counts = ", ".join(
            f"{one.title.lower()} {one.value:.1f} A" if one.is_resolution else f"{one.title.lower()} {one.value:.0f}"
            for one in status.quantities
            if one.value is not None
        )
        if counts and counts != self.counts:
            self.counts = counts
            self.tell(counts)

    def _once(self, key: tuple[str, float, str], line: str) -> None:
        if key not in self.told:
            self.told.add(key)
            self.tell(line)


def follow(project: Project, names: Sequence[str], tell: Callable[[str], None], pause: float = PAUSE) -> dict[str, Ended]:
    """Wait until schemes have ended; an interrupt (Ctrl-C) asks them and their jobs to stop first.

    Parameters
    ----------
    project : Project
        The project.
    names : sequence of str
        Schemes whose runners were started.
    tell : callable
        Receives one line for each job that begins and for each change of the counts.
    pause : float
        Seconds from one look to the next.

    Returns
    -------
    dict
        Name of the scheme -> how it ended.
    """
    reader, teller = ProjectReader(project), _Teller(tell)
    try:
        return _until_ended(reader, names, teller, pause, float("inf"))
    except KeyboardInterrupt:
        tell("interrupted: the schemes are asked to stop")
        for name in names:
            abort(project, name)
        _until_ended(reader, names, teller, pause, time.monotonic() + _GRACE)
        raise


def _until_ended(reader: ProjectReader, names: Sequence[str], teller: _Teller, pause: float, latest: float) -> dict[str, Ended]:
    while True:
        status = reader.read()
        teller.look(status, names)
        schemes = [status.scheme(name) for name in names]
        if not any(one.is_locked for one in schemes) or time.monotonic() > latest:
            return {one.name: _end(one) for one in schemes}
        time.sleep(pause)


def _end(one: SchemeStatus) -> Ended:
    history = one.history
    return Ended(history.outcome or "failed", history.reason if history.outcome else one.error or _NO_END)
