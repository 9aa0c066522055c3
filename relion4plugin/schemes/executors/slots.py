"""GPU slots of this machine: a job that asks for a card waits until no other job of this program uses it.

A slot is a locked file. The lock belongs to all processes of the job and ends with the last of them, however they end;
the text in the file says who it is.
"""

import fcntl
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.schemes.owners import Owner

_PAUSE = 1.0
_FOLDER_VARIABLE, _CARDS_VARIABLE = "RELION4PLUGIN_GPU_LOCKS", "RELION4PLUGIN_GPUS"


def slot_folder() -> Path:
    """Return the folder of the slots, common to all users and projects of this machine."""
    return Path(os.environ.get(_FOLDER_VARIABLE) or Path(tempfile.gettempdir()) / "relion4plugin_gpu")


def wanted_gpus(options: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the cards that a job asks for: None for none, empty for any one.

    >>> wanted_gpus({"use_gpu": "Yes", "gpu_ids": "0,1:2"}), wanted_gpus({"use_gpu": "Yes"}), wanted_gpus({"gpu_ids": "0"})
    (('0', '1', '2'), (), None)
    """
    if options.get("use_gpu") != "Yes":
        return None
    return tuple(sorted({name.strip() for name in options.get("gpu_ids", "").replace(":", ",").split(",") if name.strip()}))


def cards() -> list[str]:
    """Return the cards of this machine, or those named in RELION4PLUGIN_GPUS; at least one, 0."""
    named = os.environ.get(_CARDS_VARIABLE, "")
    if named:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=_PAUSE * 20, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        listing = ""
    return [str(i) for i in range(sum(line.startswith("GPU ") for line in listing.splitlines()))] or ["0"]


def acquire(
    wanted: Sequence[str], purpose: str, give_up: Callable[[], bool] = lambda: False, waiting: Callable[[str], None] = lambda holder: None
) -> dict[str, int] | None:
    """Wait for cards and take them, all or none.

    Parameters
    ----------
    wanted : sequence of str
        The cards; empty for any one.
    purpose : str
        Written into the slot, for those who wait.
    give_up : callable
        Asked once a second; True ends the waiting.
    waiting : callable
        Told once who holds a card.

    Returns
    -------
    dict or None
        Card -> open file that holds its slot, inherited by child processes; None after giving up.

    Raises
    ------
    UserError
        If the folder of the slots cannot be written.
    """
    folder, told = slot_folder(), False
    _make(folder)
    sets = [list(wanted)] if wanted else [[card] for card in cards()]
    while True:
        for names in sets:
            taken, holder = _try(folder, names, purpose)
            if taken:
                return taken
        if not told:
            waiting(holder)
            told = True
        if give_up():
            return None
        time.sleep(_PAUSE)


def release(slots: Mapping[str, int]) -> None:
    """Give slots back."""
    for descriptor in slots.values():
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
        if folder.stat().st_uid == os.getuid():
            folder.chmod(0o1777)
    except OSError as error:
        raise UserError(f"cannot use {folder} for GPU slots: {(error.strerror or str(error)).lower()}; set {_FOLDER_VARIABLE}") from error


def _try(folder: Path, names: Sequence[str], purpose: str) -> tuple[dict[str, int], str]:
    taken: dict[str, int] = {}
    for name in names:
        descriptor = _open(folder / f"gpu{name.replace('/', '_')}")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = Owner.parse(os.read(descriptor, 4096).decode("utf-8", "replace"))
            os.close(descriptor)
            release(taken)
            return {}, str(owner or "another job")
        os.set_inheritable(descriptor, True)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, Owner.current(purpose).text().encode(), 0)
        taken[name] = descriptor
    return taken, ""


def _open(path: Path) -> int:
    """Open a slot that every user may lock."""
    try:
        if not path.exists():
            mask = os.umask(0)
            try:
                return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            finally:
                os.umask(mask)
        return os.open(path, os.O_RDWR)
    except OSError as error:
        raise UserError(f"cannot use {path} for GPU slots: {(error.strerror or str(error)).lower()}; remove it") from error
