"""Operators on files of the project; no shell is involved."""

import glob
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from relion4plugin.errors import UserError
from relion4plugin.schemes.model import UNDEFINED, Kind
from relion4plugin.schemes.operator_types import STRING, Call, register


@register("bool=file_exists", STRING, None, Kind.BOOL)
def file_exists(call: Call) -> bool:
    """Tell whether a file or directory exists."""
    return bool(call.text1) and os.path.exists(call.context.path(call.text1))


def _matches(call: Call, pattern: str) -> list[str]:
    return sorted(glob.glob(os.path.expanduser(pattern), root_dir=call.context.project.root)) if pattern else []


@register("string=glob", STRING, None, Kind.STRING)
def glob_files(call: Call) -> str:
    """Give the files that match a pattern, sorted and joined by commas; ``undefined`` where there is none."""
    return ",".join(_matches(call, call.text1)) or UNDEFINED


@register("touch_file", STRING, None, None)
def touch_file(call: Call) -> None:
    """Make an empty file; one that exists is emptied, as in RELION."""
    path = call.context.path(call.text1)
    if not call.text1 or not path.parent.is_dir():
        raise UserError(f"cannot make the file '{call.text1}': there is no folder for it")
    with open(path, "wb"):
        pass


def _transfer(call: Call, verb: str, act: Callable[[Path, Path], object]) -> None:
    """Copy or move all that matches input 1; what fails is reported and does not stop the scheme, as in RELION."""
    sources = _matches(call, call.text1) or [call.text1]
    target = call.context.path(call.text2)
    if not call.text1 or not call.text2:
        raise UserError(f"cannot {verb} '{call.text1}' to '{call.text2}': expected two file names")
    parent = target if call.text2.endswith("/") else target.parent
    parent.mkdir(parents=True, exist_ok=True)
    if len(sources) > 1 and not target.is_dir():
        call.context.report(f" + WARNING: cannot {verb} {len(sources)} files to {call.text2}, which is no folder")
        return
    for source in sources:
        try:
            act(call.context.path(source), target)
        except (OSError, shutil.Error) as error:
            call.context.report(f" + WARNING: cannot {verb} {source} to {call.text2}: {error}")


@register("copy_file", STRING, STRING, None)
def copy_file(call: Call) -> None:
    """Copy a file, or files that match a pattern to a folder; missing folders are made."""
    _transfer(call, "copy", shutil.copy)


@register("move_file", STRING, STRING, None)
def move_file(call: Call) -> None:
    """Move a file or folder, or several that match a pattern to a folder; missing folders are made."""
    _transfer(call, "move", _replace)


def _replace(source: Path, target: Path) -> None:
    """Move as the shell does: an existing file of that name is replaced, also inside a target folder."""
    final = target / source.name if target.is_dir() else target
    if source.is_file() and final.is_file() and not source.samefile(final):
        final.unlink()
    shutil.move(source, final)


@register("delete_file", STRING, None, None)
def delete_file(call: Call) -> None:
    """Delete files that match a pattern; folders stay, and nothing happens where there is no such file."""
    for name in _matches(call, call.text1):
        try:
            call.context.path(name).unlink()
        except OSError as error:
            call.context.report(f" + WARNING: cannot delete {name}: {(error.strerror or str(error)).lower()}")
