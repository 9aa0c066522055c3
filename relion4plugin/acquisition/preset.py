"""Presets: what is the same for all sessions of one microscope and camera at one site, in one TOML file without code.

>>> from relion4plugin.acquisition.preset import shipped_presets
>>> sorted(path.stem for path in shipped_presets())
['facility_scipion', 'glacios_falcon4i', 'krios_falcon4i', 'krios_k3', 'talos_falcon3']
"""

import difflib
import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.preset_schema import FREE_TABLE, KEYS, TABLES, Key, Kind
from relion4plugin.errors import UserError
from relion4plugin.schemes.it.keys import SEPARATOR

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUFFIX = ".toml"
_LARGEST = 1 << 20  # bytes
_ITEMS = {Kind.TEXTS: Kind.TEXT, Kind.NUMBERS: Kind.NUMBER, Kind.WHOLES: Kind.WHOLE}
_HEADER = re.compile(r"\s*\[+\s*([^\[\]]+?)\s*\]+\s*(#.*)?")
_ASSIGNMENT = re.compile(r"""\s*["']?([^"'=#\[\]]+?)["']?\s*=""")


@dataclass(frozen=True)
class Preset:
    """A checked preset; `given` holds the values of its file by full name, `lines` where they stand."""

    path: Path
    given: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str | bool | int | float] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    checksum: str = ""

    @property
    def name(self) -> str:
        """Name for people."""
        return str(self.given.get("name") or self.path.stem or "no preset")

    def get(self, full: str) -> Any:
        """Return the value of a key (``microscope.Cs``), its default where the file does not have it."""
        return self.given.get(full, KEYS[full].default)

    def place(self, full: str) -> str:
        """Return where a value stands: ``krios.toml, line 12``; the word default where the file does not have it."""
        return f"{self.path.name}, line {self.lines.get(full, 0)}" if full in self.lines else "default"


NO_PRESET = Preset(Path(""))


def shipped_folder() -> Path:
    """Return the folder of the shipped presets."""
    return Path(str(files("relion4plugin.templates"))) / "presets"


def shipped_presets() -> list[Path]:
    """Return the files of the shipped presets."""
    return sorted(shipped_folder().glob(f"*{SUFFIX}"))


def find_preset(word: str) -> Preset:
    """Read the preset of a path, or a shipped one by its name (``krios_k3``).

    Raises
    ------
    UserError
        If there is none, or it has a mistake.
    """
    shipped = shipped_folder() / f"{word}{SUFFIX}"
    if Path(word).suffix != SUFFIX and "/" not in word and shipped.is_file():
        return read_preset(shipped)
    if not Path(word).is_file():
        names = ", ".join(path.stem for path in shipped_presets())
        raise UserError(f"there is no preset {word}; expected a {SUFFIX} file, or one of {names}")
    return read_preset(Path(word))


def read_preset(path: Path) -> Preset:
    """Read and check a preset.

    Raises
    ------
    UserError
        For the first mistake, with file, line and key.
    """
    preset, mistakes = examine(path)
    if mistakes:
        line, text = mistakes[0]
        raise UserError(f"{path}, line {line}: {text}" if line else f"{path}: {text}")
    return preset


def examine(path: Path) -> tuple[Preset, list[tuple[int, str]]]:
    """Read a preset and return it with all its mistakes: line (0 for the file as a whole) and text."""
    try:
        if path.stat().st_size > _LARGEST:
            return Preset(path), [(0, f"it has more than {_LARGEST} bytes; expected a preset")]
        data = path.read_bytes()
        text = data.decode("utf-8")
        content = tomllib.loads(text)
    except OSError as error:
        return Preset(path), [(0, f"it cannot be read: {(error.strerror or str(error)).lower()}; expected a preset")]
    except UnicodeDecodeError as error:
        return Preset(path), [(0, f"it is not a text file (byte {error.start}); expected a preset in TOML")]
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"line (\d+)", str(error))
        return Preset(path), [(int(line[1]) if line else 0, f"this is not TOML: {error}")]
    lines = _lines(text)
    given, keys, mistakes = {}, {}, []
    for full, value in _flat(content):
        table, _, name = full.partition(".")
        mistake = _free_mistake(name, value) if table == FREE_TABLE and name else _mistake(full, value)
        if mistake:
            mistakes.append((lines.get(full, 0), mistake))
        elif table == FREE_TABLE:
            keys[name] = value
        else:
            given[full] = tuple(value) if isinstance(value, list) else value
    return Preset(path, given, keys, lines, hashlib.sha256(data).hexdigest()), sorted(mistakes)


def _flat(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield full names with values; a table that is a value (magnifications) stays whole."""
    for name, value in content.items():
        if not isinstance(value, Mapping) or name not in TABLES:
            yield name, value
            continue
        for inner, item in value.items():
            yield f"{name}.{inner}", item


def _lines(text: str) -> dict[str, int]:
    """Return the line on which each key or table begins."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        header, assignment = _HEADER.fullmatch(line), _ASSIGNMENT.match(line)
        if header is not None:
            table = header[1].replace('"', "").replace(" ", "")
            found.setdefault(table, number)
        elif assignment is not None:
            found.setdefault(f"{table}.{assignment[1].strip()}" if table else assignment[1].strip(), number)
    return found


def _mistake(full: str, value: Any) -> str:
    key = KEYS.get(full)
    if key is None:
        table, dot, _ = full.partition(".")
        known = [name for name in KEYS if name.startswith(f"{table}.")] if dot else [*TABLES, "version", "name", "description"]
        close = difflib.get_close_matches(full, known, 1)
        return f"there is no key {full}; " + (f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}")
    return _value_mistake(key, value)


def _free_mistake(name: str, value: Any) -> str:
    if SEPARATOR not in name:
        return f"{FREE_TABLE}.{name} is no key of a scheme; expected SCHEME__VARIABLE or SCHEME__JOB__OPTION"
    return "" if isinstance(value, bool | int | float | str) else f"{FREE_TABLE}.{name} must be {Kind.FREE.value}"


def _value_mistake(key: Key, value: Any) -> str:
    unit = f" {key.unit}" if key.unit else ""
    if not _fits(key.kind, value):
        return f"{key.full} is {value!r} but must be {key.kind.value}{f' ({key.unit})' if key.unit else ''}"
    if key.length is not None and value and len(value) != key.length:
        return f"{key.full} has {len(value)} values but must have {key.length}"
    items = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
    for item in items:
        if key.choices and item not in key.choices:
            return f"{key.full} is {item!r} but must be one of {', '.join(choice for choice in key.choices if choice)}"
        if isinstance(item, str):
            continue
        if key.minimum is not None and not item >= key.minimum:
            return f"{key.full} is {item:g}{unit} but must be at least {key.minimum:g}{unit}"
        if key.maximum is not None and item > key.maximum:
            return f"{key.full} is {item:g}{unit} but must be at most {key.maximum:g}{unit}"
    return ""


def _fits(kind: Kind, value: Any) -> bool:
    if kind in _ITEMS:
        return isinstance(value, list) and all(_fits(_ITEMS[kind], item) for item in value)
    if kind is Kind.TABLE:
        return isinstance(value, Mapping) and all(name.isdecimal() and _fits(Kind.NUMBER, item) for name, item in value.items())
    if kind is Kind.SWITCH:
        return isinstance(value, bool)
    if kind is Kind.TEXT:
        return isinstance(value, str)
    return isinstance(value, int if kind is Kind.WHOLE else int | float) and not isinstance(value, bool)
