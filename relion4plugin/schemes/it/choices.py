"""From options files, command line and single keys to one set of options, and the keys that overrule what follows from it."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import ParameterField, fields_of, format_value, parse_value
from relion4plugin.schemes.it.keys import ALIASES, AUTO_BOX, NOT_GIVEN, PLAIN_KEYS, SEPARATOR
from relion4plugin.schemes.it.options import ItOptions, Picker
from relion4plugin.schemes.it.values import key_values
from relion4plugin.schemes.variables import parse_bool, whole_number_text

_FIELDS: Mapping[str, ParameterField] = {f.name: f for f in fields_of(ItOptions)}
_OPTION_OF_KEY = {keys[0]: name for name, keys in PLAIN_KEYS.items()}
_BIN_FACTOR, _DO_LOG, _GPUS = "prep__motioncorr__bin_factor", "proc__do_log", "proc__class2d__gpu_ids"
_LOG_MINIMUM, _CRYOLO = "proc__autopick__log_diam_min", "proc__cryolo_model"
_COMPUTED_SIZES: Mapping[str, Any] = {"mask_diameter": 0.0, "box_size": 0, "small_box": 0}


@dataclass(frozen=True)
class Choices:
    """Options, and keys with values that count more than what follows from the options."""

    options: ItOptions = field(default_factory=ItOptions)
    overrides: Mapping[str, str] = field(default_factory=dict)


def with_file(choices: Choices, content: Mapping[str, str], where: str) -> Choices:
    """Add the content of an options file.

    A key that stands for an option becomes that option; a key whose value follows from the options of the same file is
    left out, so that it follows later changes too. All other keys overrule.

    Parameters
    ----------
    choices : Choices
        What was chosen before.
    content : mapping
        Names and keys with their values (`read_options_file`).
    where : str
        Name of the file, for errors.

    Raises
    ------
    UserError
        If a name is unknown or a value does not fit.
    """
    content = {ALIASES.get(key, key): value for key, value in content.items()}
    options = replace(choices.options, **_options_in(content, where))
    if parse_bool(content.get(AUTO_BOX, "")):
        options = replace(options, **_COMPUTED_SIZES)
    ratio = _diameter_ratio(content, options)
    if ratio is not None:
        options = replace(options, log_diam_ratio=ratio)
    follows = key_values(options)
    taken = {_BIN_FACTOR, _DO_LOG, *_OPTION_OF_KEY}
    keys = {key: value for key, value in content.items() if SEPARATOR in key}
    overrides = {
        key: value
        for key, value in keys.items()
        if not (key in taken and _is_taken(key, value)) and not (key in follows and same_value(follows[key], value))
    }
    return Choices(options, {**choices.overrides, **overrides})


def _options_in(content: Mapping[str, str], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, text in content.items():
        name = _OPTION_OF_KEY.get(key, key)
        if name in _FIELDS:
            if SEPARATOR in key and text == NOT_GIVEN:
                text = ""
            found[name] = parse_value(_FIELDS[name], text, where)
        elif SEPARATOR not in key and key != AUTO_BOX:
            raise UserError(f"{where}: there is no option '{key}'{suggestion(key, _FIELDS)}")
    if _is_taken(_BIN_FACTOR, content.get(_BIN_FACTOR, "")):
        found.setdefault("super_resolution", whole_number_text(content[_BIN_FACTOR]) == 2)
    if _is_taken(_DO_LOG, content.get(_DO_LOG, "")):
        found.setdefault("picker", (Picker.LOG if parse_bool(content[_DO_LOG]) else Picker.TOPAZ).value)
    elif content.get(_CRYOLO):
        found.setdefault("picker", Picker.CRYOLO.value)
    if _GPUS in content:
        found.setdefault("gpus", content[_GPUS])
    return found


def _is_taken(key: str, value: str) -> bool:
    """Tell whether an option of ours can say what a key says."""
    if key == _BIN_FACTOR:
        return whole_number_text(value) in (1, 2) if value else False
    return parse_bool(value) is not None if key == _DO_LOG else True


def _diameter_ratio(content: Mapping[str, str], options: ItOptions) -> float | None:
    shortest = whole_number_text(content.get(_LOG_MINIMUM, ""))
    if shortest is None or not 0 < shortest <= options.particle_diameter:
        return None
    return round(shortest / options.particle_diameter, 6)


def with_keys(choices: Choices, words: Iterable[str]) -> Choices:
    """Add keys given as ``KEY=VALUE``.

    Raises
    ------
    UserError
        If a word is not of that form.
    """
    given = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or SEPARATOR not in key:
            raise UserError(f"'{word}' is no setting; expected SCHEME__VARIABLE=VALUE or SCHEME__JOB__OPTION=VALUE")
        given[ALIASES.get(key.strip(), key.strip())] = value.strip()
    return replace(choices, overrides={**choices.overrides, **given})


def final_values(choices: Choices) -> dict[str, str]:
    """Return the value of every key: what follows from the options, overruled by single keys.

    Keys of a scheme that is not run are left out.

    Raises
    ------
    UserError
        If no box is large enough.
    """
    off = [name for name, wanted in (("prep", choices.options.do_prep), ("proc", choices.options.do_proc)) if not wanted]
    overrides = {key: value for key, value in choices.overrides.items() if key.split(SEPARATOR)[0] not in off}
    return {**key_values(choices.options), **overrides}


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return the end of an error line about an unknown name."""
    close = difflib.get_close_matches(name, list(known), 3)
    return f"; did you mean {' or '.join(close)}?" if close else f"; there are {', '.join(sorted(known))}"


def same_value(one: str, other: str) -> bool:
    """Tell whether two texts stand for the same value: ``True`` and ``Yes``, ``6`` and ``6.0``."""
    if one == other:
        return True
    numbers = whole_number_text(one), whole_number_text(other)
    if None not in numbers:
        return numbers[0] == numbers[1]
    words = parse_bool(one), parse_bool(other)
    return words[0] is not None and words[0] == words[1]


def option_texts(options: ItOptions) -> dict[str, str]:
    """Return all options with their values as text."""
    return {name: format_value(getattr(options, name)) for name in _FIELDS}
