"""Work that goes on while a browser waits: it runs in a thread and tells how far it is."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from relion4plugin.errors import UserError
from relion4plugin.progress import Progress

T = TypeVar("T")


class _Said:
    """A progress that keeps its last words."""

    def __init__(self) -> None:
        self.words, self._label, self._total, self._done = "", "", 0, 0

    def start(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self.words = label

    def advance(self, n: int = 1, note: str = "") -> None:
        self._done += n
        self.words = f"{self._label}: {self._done:,} of {self._total:,}"

    def finish(self) -> None:
        self.words = ""


class Task(Generic[T]):
    """A piece of work, begun at once; `result` is None until it has ended well, `error` is empty until it has failed."""

    def __init__(self, work: Callable[[Progress], T]) -> None:
        self.result: T | None = None
        self.error = ""
        self._said = _Said()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[Progress], T]) -> None:
        try:
            self.result = work(self._said)
        except UserError as error:
            self.error = str(error)
        except Exception as error:
            logging.getLogger(__name__).exception("a task of the page failed")
            self.error = f"this should not happen: {type(error).__name__}: {error}; please report it with the lines in the terminal"

    @property
    def words(self) -> str:
        """How far it is."""
        return self._said.words

    def wait(self, seconds: float) -> bool:
        """Wait a while and tell whether it has ended."""
        self._thread.join(seconds)
        return not self._thread.is_alive()
