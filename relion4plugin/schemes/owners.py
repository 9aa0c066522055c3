"""Who holds a lock or runs a job: a process, told apart from a later one with the same number.

>>> me = Owner.current("doing a test")
>>> Owner.parse(me.text()) == me, me.alive()
(True, True)
"""

import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_DEAD_STATES = ("Z", "X")
_STATE, _START = 0, 19  # places in /proc/PID/stat behind the name of the program


@dataclass(frozen=True)
class Owner:
    """A process; `boot` and `ticks` (start of the machine and of the process) are empty where the system does not tell."""

    host: str
    pid: int
    boot: str
    ticks: str
    since: str
    purpose: str

    @classmethod
    def current(cls, purpose: str) -> "Owner":
        """Return this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), pid, _boot(), _process_stat(pid)[1], time.strftime("%Y-%m-%d %H:%M:%S"), purpose)

    @staticmethod
    def parse(text: str) -> "Owner | None":
        """Read what `text` wrote; None for anything else, such as a lock of RELION."""
        try:
            return Owner(**json.loads(text))
        except (ValueError, TypeError):
            return None

    def text(self) -> str:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self)) + "\n"

    def alive(self) -> bool | None:
        """Tell whether the process still runs; None where that cannot be known because it is on another machine."""
        if self.host != socket.gethostname():
            return None
        if self.boot != _boot():
            return False
        state, ticks = _process_stat(self.pid)
        return state not in _DEAD_STATES and ticks == self.ticks and _exists(self.pid)

    def leads_group(self) -> bool:
        """Tell whether the process group with this process's number is the one that it started, also after its end."""
        if self.host != socket.gethostname() or self.boot != _boot():
            return False
        return _process_stat(self.pid)[1] in ("", self.ticks)  # the system gives a number again only when its group is gone

    def __str__(self) -> str:
        """Return it for a message."""
        return f"process {self.pid} on {self.host} ({self.purpose}, since {self.since})"


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _process_stat(pid: int) -> tuple[str, str]:
    """Return state and start time of a process, both empty where there is none or the system does not tell."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return words[_STATE], words[_START]


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
