"""The session of a draft, read in the background, and the list of sessions to choose from."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.session import Session, SessionInfo, find_sessions
from relion4plugin.acquisition.session_facts import SessionFacts
from relion4plugin.acquisition.session_reading import facts_of, read_session
from relion4plugin.progress import Progress
from relion4plugin.web.mdcatch.tasks import Task

_FRESH = 20.0  # seconds for which a list of sessions counts as new


@dataclass(frozen=True)
class ReadSession:
    """A session as it was read, with the preset that belongs to it."""

    session: Session
    facts: SessionFacts
    preset: Preset


def begin_reading(folder: Path, movies: Path | None, presets: Sequence[Preset], index: MetadataIndex) -> Task[ReadSession]:
    """Read a session in the background; `index` keeps what was read."""

    def work(progress: Progress) -> ReadSession:
        session, preset = read_session(folder, presets, movies, index, progress)
        return ReadSession(session, facts_of(session), preset)

    return Task(work)


class Listing:
    """The sessions below some folders, looked for in the background."""

    def __init__(self, roots: Sequence[Path]) -> None:
        self._roots, self._lock = tuple(roots), threading.Lock()
        self._task: Task[list[SessionInfo]] | None = None
        self._found: list[SessionInfo] | None = None
        self.error, self._at = "", 0.0

    def look(self) -> None:
        """Begin to look, unless that is under way."""
        with self._lock:
            if self._task is None:
                self._task = Task(self._search)

    def _search(self, progress: Progress) -> list[SessionInfo]:
        found = {info.path.resolve(): info for root in self._roots for info in find_sessions(root)}
        return sorted(found.values(), key=lambda info: info.last or "", reverse=True)

    def sessions(self, wait: float) -> list[SessionInfo] | None:
        """Return what was found, the newest first; None if nothing is known within `wait` seconds."""
        if self._found is None or time.monotonic() - self._at > _FRESH:
            self.look()
        with self._lock:
            task = self._task
        if task is not None and task.wait(wait if self._found is None else 0.0):
            with self._lock:
                if self._task is task:
                    self._task, self._at, self.error = None, time.monotonic(), task.error
                    self._found = task.result if task.result is not None else self._found or []
        return self._found
