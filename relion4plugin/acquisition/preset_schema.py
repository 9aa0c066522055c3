"""The keys of a preset, declared once: checks, defaults and the table in the documentation come from here."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from relion4plugin.acquisition.detectors import DETECTORS
from relion4plugin.jobs.parameters import ParameterField, fields_of, format_value
from relion4plugin.schemes.it.options import ItOptions


class Kind(Enum):
    """What a value may be; the text completes "must be ..."."""

    TEXT = "text in quotes"
    NUMBER = "a number"
    WHOLE = "a whole number"
    SWITCH = "true or false"
    TEXTS = "a list of texts"
    NUMBERS = "a list of numbers"
    WHOLES = "a list of whole numbers"
    TABLE = "numbers by number"  # [table.key] with lines such as 165000 = 0.53
    FREE = "text, a number, or true or false"


@dataclass(frozen=True)
class Key:
    """One key: its table, kind, default, help and bounds; `length` is that of a list."""

    table: str
    name: str
    kind: Kind
    default: Any
    help: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    length: int | None = None

    @property
    def full(self) -> str:
        """The name with its table: ``microscope.Cs``."""
        return f"{self.table}.{self.name}" if self.table else self.name


VERSION = 1
PIPELINES = ("relion", "scipion")
GAIN_RULES = ("metadata", "newest", "file", "none")
MODES = ("counting", "super-resolution", "cds", "linear")
FREE_TABLE = "keys"  # single keys of schemes, SCHEME__JOB__OPTION

# Options that come from the session, never from a preset.
SESSION_OPTIONS = frozenset({
    "fn_in_raw", "is_multiframe", "angpix", "super_resolution", "kV", "Cs", "Q0", "phase_plate", "dose_per_frame", "eer_grouping",
    "fn_gain_ref",
})  # fmt: skip

_T, _N, _W, _S = Kind.TEXT, Kind.NUMBER, Kind.WHOLE, Kind.SWITCH
_KEYS = (
    Key("", "version", _W, VERSION, "Version of this form of presets.", minimum=VERSION, maximum=VERSION),
    Key("", "name", _T, "", "Name of the preset; the file's name if empty."),
    Key("", "description", _T, "", "One line for people."),
    Key("match", "instrument", Kind.TEXTS, (), "Ids or names of microscopes as metadata give them; any fits."),
    Key("match", "detector", Kind.TEXTS, (), "Detectors that it fits.", choices=tuple(DETECTORS)),
    Key("match", "software", Kind.TEXTS, (), "Software that it fits.", choices=("EPU", "SerialEM")),
    Key("match", "path", Kind.TEXTS, (), "Patterns of the session's folder, such as /data/krios1/*."),
    Key("paths", "metadata_root", _T, "", "Folder in which sessions appear: what is watched if no other is given."),
    Key("paths", "movies", _T, "", "Folder of the movies where it is not that of the metadata; {session} is the session's name."),
    Key("paths", "projects", _T, "", "Folder in which project directories are made."),
    Key("paths", "gains", _T, "", "Folder with gain references that metadata only name."),
    Key("paths", "mtf", _T, "", "Folder with MTF curves."),
    Key("paths", "schemes", _T, "", "Folder with the schemes prep and proc-PICKER; the shipped ones if empty."),
    Key("paths", "scipion_template", _T, "", "A shipped workflow or a path; streaming_PICKER if empty."),
    Key("paths", "scipion", _T, "", "Scipion's program; this Python with -m scipion if empty."),
    Key("microscope", "name", _T, "", "Name for people."),
    Key("microscope", "Cs", _N, 2.7, "Spherical aberration, which no metadata hold.", "mm", 0.0, 10.0),
    Key("microscope", "Q0", _N, 0.1, "Amplitude contrast.", "", 0.0, 1.0),
    Key("microscope", "voltages", Kind.NUMBERS, (), "Voltages in use; another one gives a warning.", "kV", 1.0, 1500.0),
    Key("microscope", "calibration", Kind.TABLE, {}, "Physical pixel by magnification; counts more than the files.", "A", 0.05, 100.0),
    Key("detector", "model", _T, "", "Model where metadata do not tell it.", choices=("", *DETECTORS)),
    Key("detector", "movies", Kind.TEXTS, (), "Patterns of movie names; those of the model if empty."),
    Key("detector", "patches", Kind.WHOLES, (), "Columns and rows of local motion; those of the model if empty.", "", 1, 20, length=2),
    Key("detector", "dose_rate", Kind.NUMBERS, (), "Least and largest usual dose rate.", "e/px/s", 0.0, length=2),
    Key(
        "gain", "rule", _T, "metadata", choices=GAIN_RULES,
        help="metadata: what they name, else newest; newest: the last made before the movies; file: always that; none: no gain.",
    ),
    Key("gain", "patterns", Kind.TEXTS, (), "Patterns of gain references; those of the model if empty."),
    Key("gain", "file", _T, "", "The gain reference of rule file."),
    Key("gain", "rotation", _W, 0, "Quarter turns as gain_rot of RELION counts them.", "", 0, 3),
    Key("gain", "flip", _W, 0, "0 none, 1 upside down, 2 left to right, after the turn, as gain_flip of RELION.", "", 0, 2),
    Key("gain", "defects", _T, "", "File of bad pixels; what the metadata name if empty."),
    *(Key("mtf", mode, _T, "", f"MTF curve of {mode} movies; {{kV}} is the voltage. The usual name if empty.") for mode in MODES),
    Key("dose", "per_fraction", _N, 1.0, "Wanted dose of a fraction of EER movies.", "e/A2", 0.1, 10.0),
    Key("dose", "pre_exposure", _N, 0.0, "Dose before the movie where metadata do not tell it.", "e/A2", 0.0),
    Key("processing", "pipeline", _T, "relion", "What runs the work: schemes, or a Scipion project.", choices=PIPELINES),
    Key("queue", "submit", _S, False, "Jobs go to a queue."),
    Key("queue", "name", _T, "", "Queue (partition)."),
    Key("queue", "command", _T, "sbatch", "Program that submits a script."),
    Key("queue", "script", _T, "", "Template of the submission script."),
    Key("queue", "cores_per_node", _W, 1, "Cores that a node gives to a job.", "", 1),
    Key("watch", "min_movies", _W, 1, "A session is launched when it has so many finished movies.", "", 1),
    Key("watch", "settle", _N, 30.0, "A file counts as finished when it has not changed for so long.", "s", 0.0),
    Key("watch", "ignore", Kind.TEXTS, (), "Patterns of session names that are left alone, such as *test*."),
)  # fmt: skip


def _option_key(field: ParameterField) -> Key:
    kinds = {bool: Kind.SWITCH, int: Kind.WHOLE, float: Kind.NUMBER, str: Kind.TEXT}
    choices = field.choices or ()
    return Key("processing", field.name, kinds[field.type], field.default, field.help, field.unit, field.minimum, field.maximum, choices)


KEYS: Mapping[str, Key] = {
    key.full: key for key in (*_KEYS, *(_option_key(field) for field in fields_of(ItOptions) if field.name not in SESSION_OPTIONS))
}
TABLES = (*dict.fromkeys(key.table for key in KEYS.values() if key.table), FREE_TABLE)


def schema_table() -> str:
    """Return the table of all keys as markdown."""
    lines = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key in KEYS.values():
        bounds = f"one of {', '.join(choice or '(empty)' for choice in key.choices)}" if key.choices else _bounds(key)
        kind = key.kind.value + (f", {bounds}" if bounds else "")
        text = f"{key.help} ({key.unit})" if key.unit else key.help
        lines.append(f"| `{key.full}` | {kind} | {_shown(key.default)} | {text} |")
    lines.append(f"| `{FREE_TABLE}.SCHEME__JOB__OPTION`, `{FREE_TABLE}.SCHEME__VARIABLE` | {Kind.FREE.value} |  | Any value of a scheme. |")
    return "\n".join(lines) + "\n"


def _bounds(key: Key) -> str:
    words = [f"at least {key.minimum:g}"] if key.minimum is not None else []
    words += [f"at most {key.maximum:g}"] if key.maximum is not None else []
    return ", ".join([*words, *([f"{key.length} of them"] if key.length else [])])


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value in ("", (), {}) else f"`{format_value(value)}`"
