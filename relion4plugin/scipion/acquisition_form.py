"""What the form of the acquisition protocol says, checked."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relion4plugin.acquisition.preset import NO_PRESET, Preset, find_preset
from relion4plugin.acquisition.user_values import UserValues, user_values
from relion4plugin.acquisition.workflows import workflow_path
from relion4plugin.errors import UserError

# Parameters of the form that give a field of the record, or an option of the processing.
FIELD_OF_PARAMETER: Mapping[str, str] = {
    "voltage": "voltage_kV",
    "sphericalAberration": "cs_mm",
    "amplitudeContrast": "amplitude_contrast",
    "magnification": "magnification",
    "samplingRate": "movie_px_A",
    "doseInitial": "pre_exposure_eA2",
    "dosePerFrame": "dose_per_frame_eA2",
    "eerGrouping": "eer_grouping",
    "gainFile": "gain_path",
    "particleDiameter": "particle_diameter",
}
_TEMPLATE, _DIAMETER = "paths.scipion_template", "particle_diameter"


@dataclass(frozen=True)
class SessionForm:
    """Choices of a person.

    Attributes
    ----------
    session : Path
        Folder of the session, or one with a single session below it.
    movies : Path or None
        Folder of its movies, where that is another one.
    preset : Preset
        What is the same for all sessions of a microscope.
    user : UserValues
        Values that count more than files and preset.
    accepted : frozenset of str
        Rules whose errors do not forbid the import.
    is_copy : bool
        Movies are copied, not linked.
    settle, patience, idle, longest : float
        Seconds: without change, until a movie is finished; for missing metadata and values; without new movies, and altogether, until
        the run ends. `idle` 0 takes what is there, `longest` 0 has no limit.
    groups_first : int
        Movies that are waited for until optics groups are clear.
    workflow : Path or None
        Scipion workflow to fill.
    start : bool
        It is scheduled in this project.
    """

    session: Path
    movies: Path | None
    preset: Preset
    user: UserValues
    accepted: frozenset[str]
    is_copy: bool
    settle: float
    patience: float
    idle: float
    longest: float
    groups_first: int
    workflow: Path | None
    start: bool

    @property
    def decisive(self) -> dict[str, Any]:
        """What imported movies depend on: they do not fit other values."""
        given = (self.session, self.movies, self.preset.checksum, sorted(self.user.words.items()), self.is_copy)
        return dict(zip(("session", "movies", "preset", "values", "copy"), map(str, given), strict=True))


def read_form(given: Mapping[str, Any]) -> SessionForm:
    """Check the values of the form.

    Parameters
    ----------
    given : mapping
        Parameter to value; None where a field is empty.

    Raises
    ------
    UserError
        For the first mistake.
    """
    session = _folder(given["sessionFolder"], "the session")
    if session is None:
        raise UserError("choose the folder of the session")
    preset = find_preset(given["preset"].strip()) if given["preset"] else NO_PRESET
    user = user_values(_words(given))
    workflow = _workflow(given["workflow"], preset, user)
    accepted = frozenset(str(given["acceptErrors"] or "").upper().replace(",", " ").split())
    return SessionForm(
        session=session,
        movies=_folder(given["moviesFolder"], "the movies"),
        # It was chosen, so what it says about other sessions does not matter.
        preset=replace(preset, given={name: value for name, value in preset.given.items() if not name.startswith("match.")}),
        user=user,
        accepted=accepted,
        is_copy=bool(given["copyFiles"]),
        settle=float(given["settleSeconds"]),
        patience=60.0 * given["patienceMinutes"],
        idle=60.0 * given["idleMinutes"],
        longest=3600.0 * given["longestHours"],
        groups_first=int(given["groupsFirst"]),
        workflow=workflow,
        start=bool(given["startWorkflow"]),
    )


def _folder(text: str | None, what: str) -> Path | None:
    if not text:
        return None
    folder = Path(text).expanduser()
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} of {what}; create it before the run, or correct the path")
    return folder.resolve()


def _words(given: Mapping[str, Any]) -> list[str]:
    """Return the values of the form as ``name=value``."""
    words = [f"{name}={given[parameter]}" for parameter, name in FIELD_OF_PARAMETER.items() if given[parameter] not in (None, "")]
    try:
        return [*words, *shlex.split(given["moreValues"] or "")]
    except ValueError as error:
        raise UserError(f"further values: {error}; put values with blanks in quotes") from error


def _workflow(text: str | None, preset: Preset, user: UserValues) -> Path | None:
    word = (text or "").strip()
    if not word:
        return None
    path = workflow_path(replace(preset, given={**preset.given, _TEMPLATE: word}), "")
    if not user.options.get(_DIAMETER) and not preset.get(f"processing.{_DIAMETER}"):
        raise UserError("give the particle diameter, from which the workflow's boxes and masks follow")
    return path.resolve()
