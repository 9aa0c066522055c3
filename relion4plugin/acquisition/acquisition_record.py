"""The saved record of an acquisition: a text that people and other programs read, and a JSON twin with all sources."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import relion4plugin
from relion4plugin.acquisition.record import AcquisitionRecord
from relion4plugin.acquisition.session_facts import safe_name
from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text

_SUFFIX = "_session_params"


def write_acquisition_record(folder: Path, movies: str, record: AcquisitionRecord, details: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write ``<Software>_session_params`` and its JSON twin; earlier ones stay, the new ones are numbered.

    Parameters
    ----------
    folder : Path
        The project directory.
    movies : str
        Pattern or folder of the movies.
    record : AcquisitionRecord
        The merged record.
    details : mapping
        What else the twin holds: preset, values of a person, commands.

    Returns
    -------
    tuple of Path
        Text and JSON.

    Raises
    ------
    UserError
        If they cannot be written.
    """
    text, twin = _free(folder, safe_name(str(record.get("software", "Unknown"))) + _SUFFIX)
    content = {"program": "relion4plugin", "version": relion4plugin.__version__, "movies": movies, **details}
    content["record"] = json.loads(record.to_json())
    atomic_write_text(text, record_text(movies, record))
    atomic_write_text(twin, json.dumps(content, indent=1, ensure_ascii=False, default=str) + "\n")
    return text, twin


def record_text(movies: str, record: AcquisitionRecord) -> str:
    """Return the text: folder of the movies, an empty line, and sorted lines ``name = value``."""
    lines = [f"{name} = {_shown(value.value)}" for name, value in sorted(record.values.items())]
    return "\n".join([f"Movies dir: {movies}", "", *lines]) + "\n"


def read_acquisition_record(path: Path) -> tuple[AcquisitionRecord, dict[str, Any]]:
    """Return the record and the details of a JSON twin.

    Raises
    ------
    UserError
        If the file is no such twin.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return AcquisitionRecord.from_json(json.dumps(content.pop("record"))), content
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path} is not the saved record of an acquisition: {error}") from error


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else re.sub(r"\s+", " ", str(value))


def _free(folder: Path, name: str) -> tuple[Path, Path]:
    number = 1
    while True:
        stem = name if number == 1 else f"{name}_{number}"
        pair = folder / stem, folder / f"{stem}.json"
        if not any(path.exists() for path in pair):
            return pair
        number += 1
