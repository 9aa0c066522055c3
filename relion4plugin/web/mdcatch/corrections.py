"""What a person typed: taken from a form into a draft, and made into values, each mistake with its input."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.user_values import UserValues, user_values
from relion4plugin.errors import UserError
from relion4plugin.jobs.parameters import fields_of
from relion4plugin.jobs.relion.motioncorr import MotionCorrOptions
from relion4plugin.schemes.it.keys import SEPARATOR
from relion4plugin.web.mdcatch.drafts import Draft
from relion4plugin.web.mdcatch.inputs import FILES, INPUTS, MAY_BE_EMPTY, MOTION, Input
from relion4plugin.web.mdcatch.places import Places

NOW, BEFORE = "v.", "w."  # prefixes of inputs, and of what they showed when the page was made
_LONGEST = 4000
_KEYS = "keys"
_TURNS = {MOTION + "gain_rot": "gain.rotation", MOTION + "gain_flip": "gain.flip"}
_MENUS = {MOTION + item.name: item.choices or () for item in fields_of(MotionCorrOptions)}


@dataclass(frozen=True)
class Corrections:
    """Values of a person, and what is wrong with the others by the name of the input."""

    user: UserValues = field(default_factory=UserValues)
    problems: Mapping[str, str] = field(default_factory=dict)


def take_corrections(draft: Draft, form: Mapping[str, str]) -> None:
    """Put the values of a form that differ from what it showed into a draft.

    A value that was only shown is no correction: what follows from others goes on to follow.
    """
    for name in INPUTS:
        now, before = form.get(NOW + name), form.get(BEFORE + name)
        if now is None or before is None or now.strip() == before.strip():
            continue
        text = now.strip()[:_LONGEST]
        if text or name in MAY_BE_EMPTY:
            draft.change(name, text)
        else:
            draft.reset(name)
    if _KEYS in form:
        draft.keys = form[_KEYS].replace("\r\n", "\n").strip()[:_LONGEST]


def corrections_of(draft: Draft, places: Places) -> Corrections:
    """Make values of all corrections of a draft."""
    parts: list[UserValues] = []
    problems: dict[str, str] = {}
    for name, text in draft.edits.items():
        try:
            parts.append(user_values([f"{name}={_checked(name, text, places)}"]))
        except UserError as error:
            problems[name] = str(error).replace(" in --set", "")
    for line in filter(None, map(str.strip, draft.keys.splitlines())):
        try:
            parts.append(_key(line))
        except UserError as error:
            problems[_KEYS] = str(error)
    merged = UserValues(
        {name: value for part in parts for name, value in part.fields.items()},
        {name: value for part in parts for name, value in part.options.items()},
        {name: value for part in parts for name, value in part.keys.items()},
    )
    return Corrections(merged, problems)


def _checked(name: str, text: str, places: Places) -> str:
    """Return a value that is safe to hand on; paths lie in the allowed places."""
    if any(ord(sign) < 32 for sign in text):
        raise UserError("there are control characters in this value; expected one line of text")
    if name == "movie_pattern":
        return places.pattern(text)
    if name in FILES and text:
        return str(places.file(text))
    problem = next(_mistakes(INPUTS[name], text), "")
    if problem:
        raise UserError(problem)
    return text


def _mistakes(item: Input, text: str) -> Iterator[str]:
    if item.choices and item.kind != "flag" and text not in item.choices:
        yield f"expected one of {', '.join(item.choices)}"
    if item.name.startswith(MOTION) and item.kind in ("integer", "number"):
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if number != number or (item.kind == "integer" and number % 1):
            yield f"'{text}' must be a {'whole ' if item.kind == 'integer' else ''}number"
        elif item.minimum is not None and number < item.minimum:
            yield f"{text} must be at least {item.minimum:g}"


def _key(line: str) -> UserValues:
    """Read one line ``SCHEME__JOB__OPTION = value``; programs to run are not taken from a page."""
    name = line.partition("=")[0].strip()
    option = name.rpartition(SEPARATOR)[2]
    if SEPARATOR not in name:
        raise UserError(f"'{line}' is no single option; expected SCHEME__JOB__OPTION = value")
    if option.endswith(("_exe", "_exec", "_program")) or option.startswith("qsub"):
        raise UserError(f"{name} names a program; set it in the preset, in the table keys")
    return user_values([line])


def preset_with(preset: Preset, user: UserValues) -> Preset:
    """Return a preset in which the orientation of the gain reference is that of the person: sizes are checked against it."""
    turned = {full: _MENUS[key].index(user.keys[key]) for key, full in _TURNS.items() if user.keys.get(key) in _MENUS[key]}
    return replace(preset, given={**preset.given, **turned}) if turned else preset
