"""Schemes whose runner died or failed, as those that wait for them see it: what is said, and when a scheme waits for nothing."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from relion4plugin.jobs.markers import FAILURE
from relion4plugin.schemes.locks import scheme_lock
from relion4plugin.schemes.model import Scheme
from relion4plugin.schemes.project import SCHEMES, Project

_OTHER = re.compile(rf"{SCHEMES}/([^/\s]+)/")
_PATIENCE = 300.0  # seconds that a service manager, or a person, has to start a runner again
_IDLE = "idle_waits"  # passes in a row without new micrographs
_MOST_IDLE = "max_idle_waits"  # passes after which a scheme makes the best of what it has; that takes two more
_LAST_PASSES = 2


def fallen(project: Project, name: str) -> str:
    """Return what happened to the runner of a scheme that died or failed; empty where it runs, ended otherwise or never began.

    A scheme that a person aborted has not fallen.
    """
    lock = scheme_lock(project, name, "")
    if lock.directory.is_dir():
        return f"its runner has died: {lock.holder() or 'an unknown program'}" if lock.is_stale() else ""
    return "it has failed" if (project.scheme_directory(name) / FAILURE).exists() else ""


def how_to_go_on(project: Project, name: str) -> str:
    """Return where a scheme has written why it ended, and the command that goes on with it."""
    folder = project.scheme_directory(name)
    where = "" if project.root.resolve() == Path.cwd() else f" --project {shlex.quote(str(project.root))}"
    return f"see run.out and run.err in {folder}; go on with: relion4plugin scheme run {folder.name}{where}"


@dataclass
class Abandonment:
    """Notices that a scheme waits for one whose runner is gone.

    The others are those whose folders the string variables name. The scheme may still do what it does when nothing arrives any more, and
    the other may be started again meanwhile: so many passes as the variable `max_idle_waits` says and two more must have gone by, and
    five minutes. What the other one left may still arrive: both are counted anew from each pass that brought something.

    Parameters
    ----------
    project : Project
        The project.
    clock : callable
        Seconds.
    report : callable
        Receives one line when another scheme is found fallen.
    """

    project: Project
    clock: Callable[[], float]
    report: Callable[[str], None]
    _since: float | None = None
    _passes: int = 0
    _numbers: dict[str, float] = field(default_factory=dict)  # of the scheme, at the last look
    _told: set[str] = field(default_factory=set)

    def look(self, scheme: Scheme) -> str:
        """Return why a scheme that is about to wait shall end; empty as long as it may wait."""
        found = {name: why for name in _others(scheme) if (why := fallen(self.project, name))}
        if not found:
            self._since, self._passes = None, 0
            self._told.clear()
            return ""
        for name in found.keys() - self._told if self._since is not None else ():  # at the first look it may just be started
            self.report(f" + WARNING: scheme {name}: {found[name]}; {how_to_go_on(self.project, name)}")
            self._told.add(name)
        if self._since is None or self._has_got_on(scheme):
            self._since, self._passes = self.clock(), 0
        self._numbers = _numbers(scheme)
        self._passes += 1
        most_idle = scheme.floats.get(_MOST_IDLE)
        allowed = _LAST_PASSES + (most_idle.value if most_idle is not None else 0)
        if self._passes <= allowed or self.clock() - self._since < _PATIENCE:
            return ""
        name, why = sorted(found.items())[0]
        return f"it waits for scheme {name} in vain: {why}; {how_to_go_on(self.project, name)}, then with this one"

    def _has_got_on(self, scheme: Scheme) -> bool:
        """Whether the last pass brought something: a number of the scheme has changed, and the scheme did not count the pass as idle."""
        numbers = _numbers(scheme)
        return numbers != self._numbers and numbers.get(_IDLE, 0.0) <= self._numbers.get(_IDLE, 0.0)


def _numbers(scheme: Scheme) -> dict[str, float]:
    return {name: variable.value for name, variable in scheme.floats.items()}


def _others(scheme: Scheme) -> set[str]:
    named = {name for variable in scheme.strings.values() for name in _OTHER.findall(variable.value)}
    return named - {scheme.short_name}
