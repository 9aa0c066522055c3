"""What a person gives on the command line or in the window: ``name=value`` made into fields, options and keys."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relion4plugin.acquisition.fields import FIELDS
from relion4plugin.acquisition.preset_schema import SESSION_OPTIONS
from relion4plugin.acquisition.record import Value, user_value
from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import fields_of, parse_value
from relion4plugin.schemes.it.choices import suggestion
from relion4plugin.schemes.it.keys import SEPARATOR
from relion4plugin.schemes.it.options import ItOptions

# Options of on-the-fly processing that are fields of the record.
FIELD_OF_OPTION: Mapping[str, str] = {
    "fn_in_raw": "movie_pattern",
    "angpix": "movie_px_A",
    "kV": "voltage_kV",
    "Cs": "cs_mm",
    "Q0": "amplitude_contrast",
    "phase_plate": "phase_plate",
    "dose_per_frame": "dose_per_frame_eA2",
    "eer_grouping": "eer_grouping",
    "fn_gain_ref": "gain_path",
}
# Fields of the record that are options of on-the-fly processing.
_OPTION_OF_FIELD = {"particle_size_A": "particle_diameter", "box_px": "box_size", "small_box_px": "small_box"}
_UNIT_CHANGES = ("mask_px",)  # the option mask_diameter is in A
_OPTIONS = {item.name: item for item in fields_of(ItOptions) if item.name not in SESSION_OPTIONS}
_FLAGS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_EXPECTED = {
    "text": "text", "integer": "a whole number", "number": "a number", "flag": "yes or no",
    "numbers": "numbers with commas", "integers": "whole numbers with commas",
}  # fmt: skip


@dataclass(frozen=True)
class UserValues:
    """Fields of the record, options of the processing and keys of schemes that a person gave."""

    fields: Mapping[str, Value] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> dict[str, str]:
        """All of them as text, for the record of a launch."""
        return {name: str(value) for part in (self.fields, self.options, self.keys) for name, value in part.items()}


def user_values(words: Iterable[str]) -> UserValues:
    """Read words of the form ``name=value``.

    Parameters
    ----------
    words : iterable of str
        `name` is a field of the record (``movie_px_A``), an option of on-the-fly processing (``particle_diameter``, ``angpix``) or a
        key ``SCHEME__JOB__OPTION``.

    Raises
    ------
    UserError
        If a name is unknown or a value does not fit.
    """
    fields: dict[str, Value] = {}
    options: dict[str, Any] = {}
    keys: dict[str, str] = {}
    for word in words:
        name, sign, text = (part.strip() for part in word.partition("="))
        if not sign or not name:
            raise UserError(f"'{word}' is no setting; expected NAME=VALUE, such as movie_px_A=0.83")
        name = FIELD_OF_OPTION.get(name, _OPTION_OF_FIELD.get(name, name))
        if SEPARATOR in name:
            keys[name] = text
        elif name in FIELDS and name not in _UNIT_CHANGES:
            fields[name] = user_value(name, parse_field(name, text))
        elif name in _OPTIONS:
            options[name] = parse_value(_OPTIONS[name], text, "--set")
        else:
            raise UserError(f"there is no setting '{name}'{suggestion(name, [*FIELDS, *_OPTIONS])}")
    return UserValues(fields, options, keys)


def parse_field(name: str, text: str) -> Any:
    """Turn the text of a field into its type.

    Raises
    ------
    UserError
        If it is not of that type.
    """
    kind = FIELDS[name].type
    try:
        if kind in ("numbers", "integers"):
            return tuple(_number(part, kind == "integers") for part in text.split(","))
        if kind == "flag":
            return _FLAGS[text.lower()]
        return text if kind == "text" else _number(text, kind == "integer")
    except (ValueError, KeyError) as error:
        unit = f" ({FIELDS[name].unit})" if FIELDS[name].unit else ""
        raise UserError(f"{name} is '{text}' but must be {_EXPECTED[kind]}{unit}") from error


def _number(text: str, whole: bool) -> int | float:
    value = float(text)
    if not math.isfinite(value) or (whole and value != int(value)):
        raise ValueError(text)
    return int(value) if whole else value
