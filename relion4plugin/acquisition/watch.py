"""Sessions launched as they appear below a folder, each once, also across restarts.

Folders are polled, as changes on network file systems are not announced. A movie counts when its size and time have not changed
for a while by the clock of this machine, so clocks of other machines do not matter. What goes wrong with one session is
remembered and tried again later; the others go on.
"""

import fnmatch
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from relion4plugin.acquisition.group_table import write_groups
from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.acquisition.launch import launch
from relion4plugin.acquisition.plan import make_launch_plan, uses_groups
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.session_facts import SessionFacts
from relion4plugin.acquisition.session_reading import facts_of, read_session, session_folders
from relion4plugin.acquisition.target import AlreadyLaunched, target_for
from relion4plugin.acquisition.user_values import UserValues
from relion4plugin.acquisition.watch_state import FAILED, LAUNCHED, LEFT, WAITING, Watched, WatchState
from relion4plugin.errors import UserError
from relion4plugin.files.settled import SettledFiles

_MISTAKES = (UserError, OSError, ValueError)


@dataclass(frozen=True)
class Rules:
    """What is done with new sessions.

    Attributes
    ----------
    presets : sequence of Preset
        The first that fits a session is used.
    projects : Path
        Folder of projects; presets may name others.
    user : UserValues
        Values that count more than presets.
    movies : Path or None
        Folder of the movies of all sessions, with their names below it; None where they lie with the metadata.
    max_age : float
        Sessions whose last movie is older (s) are left alone.
    accepted : tuple of str
        Rules whose errors do not forbid a launch.
    """

    presets: Sequence[Preset]
    projects: Path
    user: UserValues = field(default_factory=UserValues)
    movies: Path | None = None
    max_age: float = 24 * 3600.0
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Event:
    """What happened to a session, for the log: its folder, state and one line."""

    session: str
    state: str
    text: str


@dataclass
class Watcher:
    """A watch of one folder; `poll` is one look at it."""

    root: Path
    rules: Rules
    state: WatchState
    index: MetadataIndex = field(default_factory=MetadataIndex)
    clock: Callable[[], float] = time.time
    settle_clock: Callable[[], float] = time.monotonic
    _files: dict[Path, SettledFiles] = field(default_factory=dict)
    _trouble: str = ""

    def poll(self) -> list[Event]:
        """Look at all sessions once and launch those that are ready; return what changed."""
        events: list[Event] = []
        try:
            folders, trouble = session_folders(self.root), ""
        except _MISTAKES as error:
            folders, trouble = [], str(error)
        if trouble and trouble != self._trouble:
            events.append(Event(str(self.root), FAILED, trouble))
        self._trouble = trouble
        for folder in folders:
            name = str(folder.resolve())
            before, now = self.state.get(name), self.clock()
            if before.state == LEFT or before.next_try > now:
                continue
            try:
                after = self._refreshed(folder, before) if before.state == LAUNCHED else self._looked_at(folder, before)
            except AlreadyLaunched as error:
                after = Watched(LEFT, str(error), since=now)
            except _MISTAKES as error:
                after = before.failed(str(error), now) if before.state != LAUNCHED else replace(before, message=str(error))
            if self.state.put(name, after) and (after.state, after.message) != (before.state, before.message):
                events.append(Event(name, after.state, after.message))
        return events

    def run(self, pause: float, report: Callable[[Event], None], stop: Callable[[], bool] = lambda: False) -> None:
        """Poll until told to stop."""
        while not stop():
            for event in self.poll():
                report(event)
            time.sleep(pause)

    def _looked_at(self, folder: Path, before: Watched) -> Watched:
        facts, preset = self._read(folder)
        if any(fnmatch.fnmatch(facts.name, pattern) for pattern in preset.get("watch.ignore")):
            return Watched(LEFT, f"its name is to be ignored by {preset.name}", since=self.clock())
        if facts.movies and self.clock() - _newest(facts.movies) > self.rules.max_age:
            return Watched(LEFT, "its last movie is too old", since=self.clock())
        settled = self._settled(facts, preset.get("watch.settle"))
        needed = preset.get("watch.min_movies")
        if settled < needed:
            return Watched(WAITING, f"{settled} of {needed} finished movies", since=before.since or self.clock())
        return self._launched(facts, preset)

    def _launched(self, facts: SessionFacts, preset: Preset) -> Watched:
        given = preset.get("paths.projects")
        root = Path(given) if given else self.rules.projects
        plan = make_launch_plan(facts, preset, self.rules.user, target_for(facts, root))
        done = launch(plan, accepted=self.rules.accepted)
        choices = plan.schemes.choices if plan.schemes is not None else plan.settings.choices
        text = f"launched into {done.project} with {preset.name}"
        return Watched(LAUNCHED, text, project=str(done.project), pattern=choices.options.fn_in_raw, since=self.clock())

    def _refreshed(self, folder: Path, before: Watched) -> Watched:
        """Give a session that runs the optics groups of movies that came since."""
        if self.clock() - before.since > self.rules.max_age or Path(before.pattern).is_absolute():
            return before
        facts, _ = self._read(folder)
        if uses_groups(facts):
            write_groups(facts.groups, Path(before.project), before.pattern)
        return before

    def _read(self, folder: Path) -> tuple[SessionFacts, Preset]:
        movies = None if self.rules.movies is None else self.rules.movies / folder.name
        session, preset = read_session(folder, self.rules.presets, movies, self.index)
        return facts_of(session), preset

    def _settled(self, facts: SessionFacts, settle: float) -> int:
        """Return the number of movies that have not changed for a while."""
        files = self._files.setdefault(facts.path, SettledFiles(settle, self.settle_clock))
        return len(files.look(facts.movies)[0])


def _newest(paths: Sequence[Path]) -> float:
    """Return when the last of some files was written (s since 1970); 0 for none."""
    return max((path.stat().st_mtime for path in paths), default=0.0)
