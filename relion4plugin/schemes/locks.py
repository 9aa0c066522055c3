"""Locks of pipelines and schemes: directories with a text file inside, as RELION makes and respects them.

RELION's programs wait while such a directory exists. Ours holds the owner, so that a lock whose process is gone is
recognised and taken over; a lock of RELION names nobody and can only be judged by its age.
"""

import errno
import fcntl
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from relion4plugin.errors import UserError
from relion4plugin.schemes.owners import Owner
from relion4plugin.schemes.project import Project

_PIPELINE_WAIT = 120.0  # seconds, as long as RELION 4 waits
_PIPELINE_AGE = 600.0  # nobody changes a pipeline for so long
_SILENT_AGE = 900.0  # a runner on another machine that gave no sign of life for so long is gone
_EMPTY_AGE = 10.0  # RELION makes the directory and then the file in it
_HEARTBEAT = 60.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.005, 0.5


@dataclass
class Lock:
    """A lock; use it as a context.

    Parameters
    ----------
    directory : Path
        Exists while the lock is held.
    file_name : str
        Name of the file in it.
    purpose : str
        What this process wants it for.
    wait : float
        Seconds to wait for another one to release it.
    foreign_age : float
        Seconds after which a lock that names no owner is taken for left behind.
    advice : str
        What a person can do about it, for the error.
    """

    directory: Path
    file_name: str
    purpose: str
    wait: float = 0.0
    foreign_age: float = float("inf")
    advice: str = ""
    report: Callable[[str], None] = lambda line: None
    _touched: float = 0.0
    _owner: Owner | None = None

    @property
    def file(self) -> Path:
        """The file in the directory."""
        return self.directory / self.file_name

    def acquire(self) -> None:
        """Take the lock, from a dead owner too.

        Raises
        ------
        UserError
            If someone else holds it for longer than `wait`, or the directory cannot be written.
        """
        end, pause = time.monotonic() + self.wait, _FIRST_PAUSE
        while not self._make():
            if self.is_stale():
                self._take_away()
                continue
            left = end - time.monotonic()
            if left <= 0:
                raise UserError(f"{self.directory} is held by {self.holder() or 'an unknown program'}{self.advice}")
            time.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE)
        self._touched = time.monotonic()

    def release(self) -> None:
        """Give the lock back; one that another process has taken over meanwhile is left to it."""
        if self.holder() != self._owner:
            self.report(f"WARNING: {self.directory} was taken over by {self.holder() or 'another program'}")
            return
        aside = self._sibling()
        try:
            os.rename(self.directory, aside)  # gone in one step, so nobody sees it half removed
            shutil.rmtree(aside)
        except FileNotFoundError:
            pass
        except OSError as error:
            self.report(f"WARNING: cannot remove {self.directory}: {error.strerror}")

    def heartbeat(self) -> None:
        """Show other machines that this process lives; cheap to call often."""
        if time.monotonic() - self._touched > _HEARTBEAT:
            self._touched = time.monotonic()
            self.file.touch()

    def holder(self) -> Owner | None:
        """Return who holds the lock; None for nobody and for a program that does not say."""
        try:
            return Owner.parse(self.file.read_text())
        except (OSError, UnicodeDecodeError):
            return None

    def _make(self) -> bool:
        """Make the lock with its owner in one step: it is never seen, and never left behind, without a name."""
        if self.directory.exists():
            return False
        aside, self._owner = self._sibling(), Owner.current(self.purpose)
        try:
            aside.mkdir(mode=0o700)
            (aside / self.file_name).write_text(self._owner.text())
            os.rename(aside, self.directory)
        except OSError as error:
            shutil.rmtree(aside, ignore_errors=True)
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                return False
            reason = (error.strerror or str(error)).lower()
            raise UserError(f"cannot lock {self.directory}: {reason}; the project directory must be writable") from error
        return True

    def _sibling(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.{uuid.uuid4().hex[:12]}")

    def is_stale(self) -> bool:
        """Tell whether the one who made the lock is gone."""
        owner = self.holder()
        alive = None if owner is None else owner.alive()
        if alive is not None:
            return not alive
        try:
            empty = not any(self.directory.iterdir())
            age = time.time() - (self.directory if empty else self.file if owner else self.directory).stat().st_mtime
        except OSError:  # released in this moment
            return False
        return age > (_EMPTY_AGE if empty else _SILENT_AGE if owner else self.foreign_age)

    def _take_away(self) -> None:
        """Remove a stale lock; of several that try, one at a time looks again first."""
        with _turnstile(self.directory):
            if self.is_stale():
                self.report(f"{self.directory} was left behind by {self.holder() or 'another program'}; it is taken over")
                for path in self.directory.iterdir():
                    path.unlink()
                self.directory.rmdir()

    def __enter__(self) -> "Lock":
        """Take the lock."""
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the lock back, whatever happened."""
        self.release()


@contextmanager
def _turnstile(directory: Path) -> Iterator[None]:
    path = directory.with_name(f"{directory.name}.takeover")
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def pipeline_lock(project: Project, purpose: str, wait: float = _PIPELINE_WAIT) -> Lock:
    """Return the lock that is held from reading to writing default_pipeline.star, never while a job runs."""
    advice = f"; waited {wait:.0f} s. If no program works on this project, remove that directory"
    return Lock(project.pipeline_lock, "lock_default_pipeline.star", purpose, wait, _PIPELINE_AGE, advice)


def scheme_lock(project: Project, name: str, purpose: str, wait: float = 0.0) -> Lock:
    """Return the lock that is held while a scheme runs or is edited."""
    short = project.scheme_directory(name).name
    advice = f", so scheme {short} is running. Abort it first; if it does not run: relion4plugin scheme unlock {short}"
    return Lock(project.scheme_lock(name), "lock_scheme", purpose, wait, float("inf"), advice)


def running_owner(project: Project, name: str) -> tuple[bool, Owner | None]:
    """Tell whether a scheme runs, and who runs it (None where its program does not say)."""
    lock = scheme_lock(project, name, "")
    if not lock.directory.is_dir():
        return False, None
    owner = lock.holder()
    return not lock.is_stale(), owner


def unlock(project: Project, name: str) -> bool:
    """Remove the lock of a scheme that does not run; False where there was none.

    Raises
    ------
    UserError
        If the process that holds it is alive.
    """
    lock = scheme_lock(project, name, "")
    owner = lock.holder()
    if owner is not None and owner.alive():
        raise UserError(f"{lock.directory} is held by {owner}, which is alive; abort the scheme instead")
    if not lock.directory.is_dir():
        return False
    lock.file.unlink(missing_ok=True)
    lock.directory.rmdir()
    return True
