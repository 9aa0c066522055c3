"""Errors of the disk that is written to, as one line that names file and disk."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relion4plugin.errors import UserError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_OTHER = frozenset({errno.EFBIG, errno.EROFS, errno.EIO})
_FULL_BELOW = 1 << 16  # bytes; less does not hold the next table


def is_disk_error(error: OSError) -> bool:
    """Tell whether an error is about the medium: full, a limit, read-only or broken."""
    return error.errno in _FULL or error.errno in _OTHER


def write_error(path: str | os.PathLike[str], error: OSError) -> UserError:
    """Return what to tell a user about a file that could not be written.

    Parameters
    ----------
    path : path-like
        The file.
    error : OSError
        What happened, of any kind.
    """
    reason = (error.strerror or str(error)).lower()
    if error.errno == errno.EIO:
        return UserError(f"cannot read or write {path}: {reason}; check its disk, and the input's, for damage or a lost connection")
    if error.errno not in _FULL:
        return UserError(f"cannot write {path}: {reason}; expected a writable folder with free space, choose another output folder")
    disk, free = disk_of(path)
    return UserError(f"cannot write {path}: {reason}; make room on {disk} ({free / 2**20:.1f} MiB free) or choose another output folder")


def file_error(error: OSError, output: str | os.PathLike[str]) -> UserError | None:
    """Return what to tell a user about an error of the system that nothing else explained.

    Parameters
    ----------
    error : OSError
        What happened.
    output : path-like
        Where the command writes, for errors of the disk that name no file.

    Returns
    -------
    UserError or None
        None for an error that names no file and is not about the disk.
    """
    named = error.filename if isinstance(error.filename, str | os.PathLike) else None
    if is_disk_error(error):
        return write_error(named or output, error)
    if named is None:
        return None
    reason = (error.strerror or str(error)).lower()
    return UserError(f"cannot use {named}: {reason}; check that it is there, what kind of file it is, and that you may read and write it")


def disk_of(path: str | os.PathLike[str]) -> tuple[Path, int]:
    """Return where the disk of a file is mounted, and its free bytes; the file need not exist."""
    place = Path(os.path.realpath(path))
    while not place.exists() or not os.path.ismount(place):
        place = place.parent
    return place, shutil.disk_usage(place).free


def full_disk(path: str | os.PathLike[str]) -> str:
    """Return a part of a message where the disk of a file is full, empty where it is not."""
    disk, free = disk_of(path)
    return f"; the disk {disk} is full" if free < _FULL_BELOW else ""


@contextmanager
def disk_errors_told(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn errors of the medium within the block into a line for the user; `path` is named where an error names no file.

    Raises
    ------
    UserError
        If the disk is full, read-only or broken.
    """
    try:
        yield
    except OSError as error:
        if not is_disk_error(error):
            raise
        raise write_error(error.filename or path, error) from error
