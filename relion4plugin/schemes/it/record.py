"""The options of a session as files: one that RELION's tools read, and one that this program reads."""

import json
from pathlib import Path

from relion4plugin.files.atomic import atomic_write_text
from relion4plugin.jobs.parameters import fields_of, format_value
from relion4plugin.schemes.it.choices import Choices, final_values
from relion4plugin.schemes.it.keys import AUTO_BOX
from relion4plugin.schemes.it.options import ItOptions

RELION_FILE = "relion_it_options.py"
TOML_FILE = "relion_it_options.toml"


def write_records(root: Path, choices: Choices) -> list[Path]:
    """Write both files into the project.

    Raises
    ------
    UserError
        If they cannot be written.
    """
    atomic_write_text(root / RELION_FILE, relion_text(choices))
    atomic_write_text(root / TOML_FILE, toml_text(choices))
    return [root / RELION_FILE, root / TOML_FILE]


def relion_text(choices: Choices) -> str:
    """Return the dictionary of RELION's relion_it: every key with its value, and what is to be run."""
    options = choices.options
    automatic = not (options.mask_diameter or options.box_size or options.small_box)
    flags = {"do_prep": str(options.do_prep), "do_proc": str(options.do_proc), AUTO_BOX: str(automatic), "picker": options.picker}
    flags["particle_diameter"] = format_value(options.particle_diameter)  # no option of a crYOLO job holds it
    # RELION's tools set variables of schemes by True and False, and accept both in options of jobs.
    values = {key: {"Yes": "True", "No": "False"}.get(value, value) for key, value in sorted(final_values(choices).items())}
    lines = [f"{key!r} : {value!r}," for key, value in {**flags, **values}.items()]
    return "{\n" + "\n".join(lines) + "\n}\n"


def toml_text(choices: Choices) -> str:
    """Return the options that were chosen and the keys that overrule, from which the same session can be made again."""
    lines = [f"# relion4plugin it {TOML_FILE}"]
    for field in fields_of(ItOptions):
        value = getattr(choices.options, field.name)
        lines.append(f"{field.name} = {_toml_value(value)}")
    lines += [f"{_toml_text(key)} = {_toml_text(value)}" for key, value in sorted(choices.overrides.items())]
    return "\n".join(lines) + "\n"


def _toml_value(value: bool | int | float | str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _toml_text(value) if isinstance(value, str) else format_value(value)


def _toml_text(text: str) -> str:
    """Quote a text; what JSON escapes TOML reads, and DEL, which JSON leaves, is escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
