"""What a person has chosen and corrected so far, kept by the server: going back, forth and reloading lose nothing."""

import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from relion4plugin.acquisition.fields import FIELDS
from relion4plugin.acquisition.index import MetadataIndex
from relion4plugin.errors import UserError
from relion4plugin.web.mdcatch.launching import Started
from relion4plugin.web.mdcatch.reading import ReadSession
from relion4plugin.web.mdcatch.setup import BY_ITSELF
from relion4plugin.web.mdcatch.tasks import Task

_MOST = 64  # drafts; the oldest is forgotten


@dataclass
class Draft:
    """One launch in the making.

    Attributes
    ----------
    folder, movies, preset, pipeline : str
        Choices of the first page; empty for the usual ones.
    options : dict
        Corrected options and keys, for every session; as text.
    fields : dict
        Corrected fields of the record, by folder of the session; as text.
    keys : str
        Single keys of schemes, a line for each.
    project, again
        Name of the project directory, and whether a session may be launched a second time.
    seen : str
        Digest of the warnings that were acknowledged.
    problems : dict
        What is wrong with the last answers of the first page, by name of the input.
    said : str
        Shown once on the next page.
    """

    id: str
    folder: str = ""
    movies: str = ""
    preset: str = BY_ITSELF
    pipeline: str = ""
    options: dict[str, str] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    keys: str = ""
    project: str = ""
    again: bool = False
    seen: str = ""
    problems: dict[str, str] = field(default_factory=dict)
    said: str = ""
    reading: Task[ReadSession] | None = None
    read_as: tuple[str, ...] = ()
    index: dict[str, MetadataIndex] = field(default_factory=dict)
    launching: Task[Started] | None = None
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def edits(self) -> dict[str, str]:
        """All corrections that count for the present session."""
        return {**self.options, **self.fields.get(self.folder, {})}

    def change(self, name: str, text: str) -> None:
        """Note a correction."""
        self._of(name)[name] = text

    def reset(self, name: str) -> None:
        """Forget a correction."""
        self._of(name).pop(name, None)

    def _of(self, name: str) -> dict[str, str]:
        return self.fields.setdefault(self.folder, {}) if name in FIELDS else self.options

    def take_said(self) -> str:
        """Return the message for the next page, and forget it."""
        text, self.said = self.said, ""
        return text


class Drafts:
    """The drafts of a server, by id."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Draft] = OrderedDict()
        self._lock = threading.Lock()

    def new(self, preset: str) -> Draft:
        """Begin a draft."""
        draft = Draft(secrets.token_urlsafe(9), preset=preset)
        with self._lock:
            self._known[draft.id] = draft
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return draft

    def get(self, name: str) -> Draft:
        """Return a draft.

        Raises
        ------
        UserError
            If there is none of that id.
        """
        with self._lock:
            found = self._known.get(name)
            if found is None:
                raise UserError("this server knows nothing about these values any more; begin again")
            self._known.move_to_end(name)
            return found

    def recent(self, most: int = 5) -> list[Draft]:
        """Return the drafts that were used last and have a session, the newest first."""
        with self._lock:
            return [draft for draft in reversed(self._known.values()) if draft.folder][:most]
