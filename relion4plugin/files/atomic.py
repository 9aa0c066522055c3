"""Files that appear whole or not at all."""

import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.files.disk_errors import is_disk_error, write_error

_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{12}\.tmp")


def _create(temporary: Path, path: Path) -> None:
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileNotFoundError:
        raise UserError(f"cannot write {path}: folder {path.parent} does not exist; create it first") from None
    except OSError as error:
        raise write_error(path, error) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(temporary: Path, path: Path) -> None:
    descriptor = os.open(temporary, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(temporary, path)
    _sync_folder(path.parent)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty temporary sibling of `path` that takes its place when the block ends without an error.

    The content is on disk (fsync) before the rename, so readers and a crash see the old file or the new one, never
    a part. A symbolic link keeps pointing to its target, which is replaced. On an error the temporary file is removed
    and `path` is untouched.

    Parameters
    ----------
    path : path-like
        The file to write.

    Yields
    ------
    Path
        The temporary file to write to.

    Raises
    ------
    UserError
        If the folder is missing or read-only, or the disk is full.
    """
    final = Path(os.path.realpath(path))
    if final.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; give a file name")
    temporary = final.with_name(f".{final.name[:200]}.{uuid.uuid4().hex[:12]}.tmp")
    _create(temporary, final)
    try:
        yield temporary
        _publish(temporary, final)
    except OSError as error:
        if is_disk_error(error):  # any other error inside the block is not about the output file
            raise write_error(path, error) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` to `path` so that readers see the old or the new content, never a part.

    Raises
    ------
    UserError
        If the folder is missing or read-only, or the disk is full.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` (UTF-8) to `path` as `atomic_write_bytes` does."""
    atomic_write_bytes(path, text.encode("utf-8"))


def remove_temporaries(folder: str | os.PathLike[str]) -> int:
    """Remove what killed processes left of files that they were writing; nobody else may be writing in the folder.

    Parameters
    ----------
    folder : path-like
        It and all folders below.

    Returns
    -------
    int
        Number of files.
    """
    count = 0
    for place, _, names in os.walk(folder):
        for name in names:
            if name.endswith(".tmp") and _TEMPORARY.fullmatch(name):
                Path(place, name).unlink(missing_ok=True)
                count += 1
    return count
