"""What jobs on finished maps have in common: refusing to mix results, and the command that is recorded."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from relion4plugin.errors import UserError
from relion4plugin.jobs.jobdir import prepare_output
from relion4plugin.jobs.parameters import fields_of, format_value


def prepare_map_output(out_dir: Path, names: Iterable[str], needed_bytes: int, overwrite: bool) -> None:
    """Make the job directory; files of an earlier run with these names are removed only when `overwrite` says so.

    Raises
    ------
    UserError
        If it cannot be written, lacks space, or holds such files.
    """
    present = [out_dir / name for name in names if (out_dir / name).is_file()]
    if present and not overwrite:
        raise UserError(f"{out_dir} holds results of an earlier run ({present[0].name}): give another --o, or --overwrite it")
    prepare_output(out_dir, needed_bytes, overwrite, continuing=False)
    for path in present:
        path.unlink(missing_ok=True)  # prepare_output removes some of them


def recorded_command(command: str, parameters: Any, out_dir: Path) -> str:
    """Return our own command line for a job, with the options that differ from their defaults."""
    changed = [f for f in fields_of(type(parameters)) if getattr(parameters, f.name) != f.default]
    options = [f"--{f.name} {format_value(getattr(parameters, f.name))}" for f in changed]
    return " ".join([f"relion4plugin {command} --o {out_dir.as_posix()}", *options])


def require_file(path: str, what: str, option: str) -> None:
    """Check that an input was given and exists.

    Raises
    ------
    UserError
        Naming the option.
    """
    if not path:
        raise UserError(f"no {what}: give a file with {option}")
    if not Path(path).is_file():
        raise UserError(f"{what} {path}: no such file; give an existing one with {option}")
