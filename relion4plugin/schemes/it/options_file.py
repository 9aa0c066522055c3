"""Options files: TOML, and the Python dictionaries of RELION's relion_it, which are read as data and never executed."""

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import format_value
from relion4plugin.schemes.it.keys import SEPARATOR

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_LARGEST = 1 << 20  # bytes
_TOML = ".toml"


def read_options_file(path: Path) -> dict[str, str]:
    """Read an options file.

    Parameters
    ----------
    path : Path
        A TOML file (``.toml``): names of options, and tables such as ``[prep.motioncorr]``. Any other file holds one
        Python dictionary, as RELION writes it.

    Returns
    -------
    dict
        Names of options and keys (``SCHEME__JOB__OPTION``) with their values as text.

    Raises
    ------
    UserError
        If the file is missing or too large, or is anything but names and plain values.
    """
    text = _load(path)
    content = _toml(path, text) if path.suffix.lower() == _TOML else _dictionary(path, text)
    return dict(_flat(path, content, ""))


def _load(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path} has more than {_LARGEST} bytes; expected a file of options")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {path}: {(error.strerror or str(error)).lower()}; expected a file of options") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file (byte {error.start}); expected a file of options") from error


def _toml(path: Path, text: str) -> Mapping[str, Any]:
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UserError(f"{path} is not a TOML file: {error}; correct it there") from error


def _dictionary(path: Path, text: str) -> Mapping[str, Any]:
    try:
        content = ast.literal_eval(text.strip())
    except SyntaxError as error:
        raise UserError(f"{path}, line {error.lineno or 1}: {error.msg}; expected {{'name': 'value', ...}}") from error
    except (ValueError, TypeError, RecursionError, MemoryError) as error:
        text = f"{path} holds more than names and plain values; expected {{'name': 'value', ...}}, programs are not executed"
        raise UserError(text) from error
    if not isinstance(content, dict):
        raise UserError(f"{path} holds {type(content).__name__}, not a dictionary; expected {{'name': 'value', ...}}")
    return content


def _flat(path: Path, content: Mapping[Any, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in content.items():
        if not isinstance(name, str):
            raise UserError(f"{path}: {name!r} is no name of an option; expected text")
        key = f"{prefix}{name}"
        if isinstance(value, Mapping) and path.suffix.lower() == _TOML:
            yield from _flat(path, value, f"{key}{SEPARATOR}")
        elif isinstance(value, bool | int | float | str):
            yield key, format_value(value)
        else:
            raise UserError(f"{path}: {key} is a {type(value).__name__}; expected text, a number, or true or false")
