"""What the planning of a launch needs to know about a session."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relion4plugin.acquisition.record import AcquisitionRecord

_UNSAFE = re.compile(r"[^A-Za-z0-9.-]+")
_LONGEST_NAME = 60


@dataclass(frozen=True)
class SessionFacts:
    """A session.

    Attributes
    ----------
    path : Path
        Its folder.
    record : AcquisitionRecord
        What its files say.
    pattern : str
        Pattern of its movies with an absolute path; empty if there are none.
    folders : tuple of Path
        Folders in which movies lie.
    movies : tuple of Path
        Movies that are there, in the order of acquisition.
    groups : mapping
        Path of a movie to the name of its optics group; empty for one group.
    """

    path: Path
    record: AcquisitionRecord
    pattern: str = ""
    folders: tuple[Path, ...] = ()
    movies: tuple[Path, ...] = ()
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the session, for people."""
        return str(self.record.get("session") or self.path.name)

    @property
    def fingerprint(self) -> str:
        """What tells this session from all others: its name, its first movie and the software."""
        parts = (self.name, self.movies[0].name if self.movies else "", str(self.record.get("software", "")))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def first_time(self) -> float | None:
        """When the first movie was written (s since 1970); None without movies."""
        try:
            return self.movies[0].stat().st_mtime if self.movies else None
        except OSError:
            return None

    @property
    def project_name(self) -> str:
        """Name of the session's project: letters, digits, points, hyphens and underscores."""
        return f"{safe_name(self.name)}_{self.fingerprint[:8]}"


def safe_name(name: str) -> str:
    """Return a name that is safe in paths and commands.

    >>> safe_name("../my session; rm -rf $HOME")
    'my_session_rm_-rf_HOME'
    """
    return _UNSAFE.sub("_", name).strip("._-")[:_LONGEST_NAME] or "session"
