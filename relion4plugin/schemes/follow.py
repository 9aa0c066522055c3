"""Following schemes that run in processes of their own, until all have ended."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from relion4plugin.schemes.control import abort
from relion4plugin.schemes.fallen import fallen, how_to_go_on
from relion4plugin.schemes.project import Project
from relion4plugin.schemes.status import ProjectReader, ProjectStatus, SchemeStatus

PAUSE = 2.0
_GRACE = 30.0  # seconds that runners have to end after an abort request
_NO_END = "ended without a word"


@dataclass(frozen=True)
class Ended:
    """How a scheme ended (``finished``, ``failed``, ``error``, ``aborted``) and why; ``running`` where it goes on, but another one fell."""

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
    """Wait until schemes have ended, or one has died or failed; an interrupt (Ctrl-C) asks them and their jobs to stop first.

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
        return _until_ended(reader, names, teller, pause)
    except KeyboardInterrupt:
        tell("interrupted: the schemes are asked to stop")
        for name in names:
            abort(project, name)
        _until_ended(reader, names, teller, pause, time.monotonic() + _GRACE)
        raise


def _until_ended(
    reader: ProjectReader, names: Sequence[str], teller: _Teller, pause: float, latest: float | None = None
) -> dict[str, Ended]:
    """Look until all have ended, and where no latest moment is given until one has fallen; twice, as it may just be started again."""
    fallen_before: set[str] = set()
    while True:
        fallen_now = {name for name in names if fallen(reader.project, name)}
        status = reader.read()
        teller.look(status, names)
        schemes = [status.scheme(name) for name in names]
        is_over = bool(fallen_now & fallen_before) if latest is None else time.monotonic() > latest
        if is_over or not any(one.is_locked for one in schemes):
            return {one.name: _end(reader.project, one) for one in schemes}
        fallen_before = fallen_now
        time.sleep(pause)


def _end(project: Project, one: SchemeStatus) -> Ended:
    history = one.history
    if one.is_locked:
        log = project.scheme_directory(one.name) / "run.out"
        return Ended("running", f"it goes on in the background, log {log}; to stop it: relion4plugin scheme abort {one.name}")
    if history.outcome in ("finished", "aborted"):
        return Ended(history.outcome, history.reason)
    reason = history.reason if history.outcome else one.error or fallen(project, one.name) or _NO_END
    return Ended(history.outcome or "failed", f"{reason}; {how_to_go_on(project, one.name)}")
