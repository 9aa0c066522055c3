"""Which sessions were launched already, in a file beside their projects; changed only under a lock."""

import json
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.schemes.locks import Lock

LEDGER = ".mdcatch_launches.json"
_LOCK, _LOCK_FILE = ".mdcatch_lock", "owner"
_WAIT = 60.0  # seconds; a launch of schemes takes a few


class State(str, Enum):
    """How far a launch came."""

    STARTED = "started"  # files are being written; it can be done again
    SCHEDULING = "scheduling"  # Scipion was told to begin; whether it did is not known
    LAUNCHED = "launched"


@dataclass(frozen=True)
class Launch:
    """One launch of a session into a project directory; `session` is the real path of its folder."""

    fingerprint: str
    session: str
    project: str
    pipeline: str
    state: str
    time: str = ""

    def now(self, state: State) -> "Launch":
        """Return it in another state, with the present time."""
        return replace(self, state=state.value, time=time.strftime("%Y-%m-%d %H:%M:%S"))


def launch_lock(root: Path, wait: float = _WAIT) -> Lock:
    """Return the lock that is held while a session is launched into a folder of projects."""
    advice = f"; waited {wait:.0f} s. If no launch is under way, remove that directory"
    return Lock(root / _LOCK, _LOCK_FILE, "launching a session", wait, advice=advice)


def read_launches(root: Path) -> list[Launch]:
    """Return all launches into a folder of projects, oldest first.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    path = root / LEDGER
    try:
        return [Launch(**item) for item in json.loads(path.read_text(encoding="utf-8"))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not a list of launches ({error}); restore it, or remove it to forget what was launched") from error


def find_launch(launches: Iterable[Launch], fingerprint: str, session: Path) -> Launch | None:
    """Return the last launch of a session, known by its fingerprint or by its folder."""
    real = str(session.resolve())
    found = [launch for launch in launches if launch.fingerprint == fingerprint or launch.session == real]
    return found[-1] if found else None


def note_launch(root: Path, launch: Launch) -> None:
    """Write a launch down, in the place of an earlier state of the same project; the lock must be held."""
    kept = [other for other in read_launches(root) if other.project != launch.project]
    atomic_write_text(root / LEDGER, json.dumps([asdict(item) for item in (*kept, launch)], indent=1) + "\n")
