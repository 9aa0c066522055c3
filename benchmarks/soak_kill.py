"""SIGKILL for processes of a project at random moments of its work."""

import json
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_LATE_SHARE = 0.2  # of the kills come when all micrographs are picked
_LATE_GAP = (1.0, 8.0)  # seconds between those
DELAY = 20.0  # at most, seconds behind a share of the work: shares grow only while CTFs are estimated or particles picked


@dataclass(frozen=True)
class Victim:
    """A process; `kind` is what it does, such as ``runner of prep`` or ``MotionCorr``."""

    pid: int
    kind: str


def processes_of(root: Path) -> list[Victim]:
    """Return the processes of this program that work in a project: runners, supervisors of jobs, and jobs."""
    found = []
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            if os.readlink(folder / "cwd") != str(root.resolve()):
                continue
            kind = kind_of((folder / "cmdline").read_bytes().decode().split("\0"))
        except OSError:  # it has ended, or belongs to somebody else
            continue
        if kind:
            found.append(Victim(int(folder.name), kind))
    return found


def kind_of(words: list[str]) -> str:
    """Tell what a process does from its command line; empty for other programs."""
    if "relion4plugin.schemes.executors.supervisor" in words:
        return "supervisor"
    if "run-job" in words:
        return words[words.index("run-job") + 1].partition("/")[0]
    if "scheme" in words and "run" in words:
        return f"runner of {words[words.index('run') + 1]}"
    return ""


class Killer:
    """Kills `n_kills` processes: most while micrographs are made, at random shares of that work, the others after it.

    Of the processes that are there, one of the kind that was killed least dies, so that all kinds have their turn and not only those that
    run longest. Each kill is a line of `log`.

    Parameters
    ----------
    root : Path
        The project whose processes are killed.
    n_movies, n_kills : int
        Movies of the session, of which the work done is a share; kills in all.
    chance : random.Random
        Draws the shares, the delays, and one of several victims.
    log : Path
        One line of JSON for each kill.
    delay : float
        Seconds that a kill comes behind its share of the work, at most. A session that lasts for less must have a short one.
    """

    def __init__(self, root: Path, n_movies: int, n_kills: int, chance: random.Random, log: Path, delay: float = DELAY) -> None:
        n_late = round(_LATE_SHARE * n_kills)
        self.due = sorted(chance.random() for _ in range(n_kills - n_late))
        self.root, self.n_movies, self.n_late, self.chance, self.log = root, n_movies, n_late, chance, log
        self.begin, self.next_late, self.delayed = time.monotonic(), 0.0, 0.0
        self.delay = delay
        self.killed: Counter[str] = Counter()

    def look(self, n_ctfs: int, n_picked: int) -> int:
        """Kill if it is time to; returns the number of kills so far."""
        share = (n_ctfs + n_picked) / (2 * self.n_movies)
        if self.due and share > self.due[0]:
            self.delayed = self.delayed or time.monotonic() + self.chance.uniform(0.0, self.delay)
            if time.monotonic() > self.delayed and self._kill(share):
                self.due.pop(0)
                self.delayed = 0.0
        elif not self.due and self.n_late and share >= 1.0 and time.monotonic() > self.next_late and self._kill(share):
            self.n_late -= 1
            self.next_late = time.monotonic() + self.chance.uniform(*_LATE_GAP)
        return self.killed.total()

    def _kill(self, share: float) -> bool:
        found = processes_of(self.root)
        if not found:
            return False
        victim = min(found, key=lambda one: (self.killed[one.kind], self.chance.random()))
        try:
            os.kill(victim.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        self.killed[victim.kind] += 1
        with self.log.open("a") as stream:
            entry = {"seconds": round(time.monotonic() - self.begin, 2), "share": round(share, 4), "pid": victim.pid, "kind": victim.kind}
            stream.write(json.dumps(entry) + "\n")
        return True
