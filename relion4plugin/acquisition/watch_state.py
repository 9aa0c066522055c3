"""What a watch remembers of each session, in a file that survives it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text

WAITING, LAUNCHED, FAILED, LEFT = "waiting", "launched", "failed", "left alone"
_FIRST_PAUSE, _LONGEST_PAUSE = 30.0, 3600.0  # seconds to the next try after an error


@dataclass(frozen=True)
class Watched:
    """One session: its state, why, tries that failed, when to try again (s since 1970), its project and pattern of movies."""

    state: str = WAITING
    message: str = ""
    tries: int = 0
    next_try: float = 0.0
    project: str = ""
    pattern: str = ""
    since: float = 0.0

    def failed(self, message: str, now: float) -> "Watched":
        """Return it after an error; pauses double from try to try."""
        pause = min(_FIRST_PAUSE * 2.0**self.tries, _LONGEST_PAUSE)
        return Watched(FAILED, message, self.tries + 1, now + pause, since=self.since or now)


@dataclass
class WatchState:
    """Sessions by the real path of their folder; every change is saved at once."""

    path: Path
    sessions: dict[str, Watched] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "WatchState":
        """Read the file; without one, nothing is remembered.

        Raises
        ------
        UserError
            If it is damaged.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(path, {name: Watched(**item) for name, item in content["sessions"].items()})
        except FileNotFoundError:
            return cls(path)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UserError(f"{path} is not the state of a watch ({error}); remove it to begin anew") from error

    def get(self, session: str) -> Watched:
        """Return what is known of a session."""
        return self.sessions.get(session, Watched())

    def put(self, session: str, watched: Watched) -> bool:
        """Remember a session; tell whether anything changed."""
        if self.sessions.get(session) == watched:
            return False
        self.sessions[session] = watched
        content = {name: asdict(item) for name, item in self.sessions.items()}
        atomic_write_text(self.path, json.dumps({"sessions": content}, indent=1) + "\n")
        return True
