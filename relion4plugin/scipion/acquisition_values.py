"""Values that the movies of a session are imported with: settled when the first movie is taken, and kept in the run's folder."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from relion4plugin.acquisition.gain_rule import choose_gain
from relion4plugin.acquisition.launch_findings import findings_of
from relion4plugin.acquisition.merge import merge
from relion4plugin.acquisition.mtf_rule import choose_mtf
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.record import AcquisitionRecord, Finding, Value
from relion4plugin.acquisition.session_facts import SessionFacts
from relion4plugin.acquisition.settings import Settings, make_settings
from relion4plugin.acquisition.user_values import UserValues
from relion4plugin.errors import UserError
from relion4plugin.files.atomic import atomic_write_text

FILE = "acquisition.json"
_NEEDED = ("voltage_kV", "movie_px_A", "cs_mm", "amplitude_contrast")
_IMPORTED = Value("movies/*", "", "this run")  # no workflow imports movies a second time
_PRE_EXPOSURE = "prep__motioncorr__pre_exposure"
_MTF = "prep__importmovies__fn_mtf"


@dataclass(frozen=True)
class MovieValues:
    """Acquisition of a set of movies.

    Attributes
    ----------
    pixel_size : float
        Of the frames as stored, A.
    voltage, spherical_aberration, amplitude_contrast : float
        kV, mm, fraction.
    dose_per_frame, pre_exposure : float
        Electrons per A^2; of an EER movie the dose of one fraction.
    magnification : float or None
        Nominal; None where it is not known.
    eer_grouping : int
        Camera frames of one fraction of EER movies; 1 for other movies.
    gain, mtf : str
        Gain reference and MTF curve below the folder of the run; empty for none.
    """

    pixel_size: float
    voltage: float
    spherical_aberration: float
    amplitude_contrast: float
    dose_per_frame: float
    pre_exposure: float = 0.0
    magnification: float | None = None
    eer_grouping: int = 1
    gain: str = ""
    mtf: str = ""


@dataclass(frozen=True)
class Planned:
    """What follows from a session, a preset and a person: the merged record, options with their sources, and what was noticed."""

    facts: SessionFacts
    record: AcquisitionRecord
    settings: Settings
    findings: tuple[Finding, ...]

    def errors(self, accepted: Collection[str]) -> list[Finding]:
        """Return the errors that forbid an import; those of accepted rules do not."""
        return [finding for finding in self.findings if finding.level == "error" and finding.rule not in accepted]


def plan_values(facts: SessionFacts, preset: Preset, user: UserValues) -> Planned:
    """Put together what is known about a session.

    Raises
    ------
    UserError
        If a value does not fit.
    """
    record = merge(facts.record, preset, user)
    gain = choose_gain(record, preset, facts.folders, facts.first_time).value
    mtf, _ = choose_mtf(record, preset)
    settings = make_settings(record, preset, user, _IMPORTED, gain, mtf)
    return Planned(facts, record, settings, tuple(findings_of(facts, record, preset, user)))


def movie_values(planned: Planned, accepted: Collection[str] = ()) -> MovieValues:
    """Return the values of the movies.

    Parameters
    ----------
    planned : Planned
        From `plan_values`.
    accepted : collection of str
        Rules whose errors do not matter.

    Raises
    ------
    UserError
        If a value that is needed is not known, or a rule finds an error.
    """
    errors = planned.errors(accepted)
    if errors:
        first = errors[0]
        raise UserError(f"{first.text} ({first.rule}); give the right values in the form, or accept the error")
    record, options = planned.record, planned.settings.choices.options
    missing = [name for name in _NEEDED if record.get(name) is None]
    if missing:
        raise UserError(f"{', '.join(missing)}: not known from the session's files; give the value in the form")
    if options.angpix <= 0:
        raise UserError(f"the pixel size is {options.angpix:g} A; expected a number above 0, give it in the form")
    return MovieValues(
        pixel_size=options.angpix,
        voltage=options.kV,
        spherical_aberration=options.Cs,
        amplitude_contrast=options.Q0,
        dose_per_frame=options.dose_per_frame,
        pre_exposure=float(planned.settings.choices.overrides.get(_PRE_EXPOSURE, 0.0)),
        magnification=record.get("magnification"),
        eer_grouping=options.eer_grouping if record.get("movie_format") == "eer" else 1,
        gain=options.fn_gain_ref,
        mtf=planned.settings.choices.overrides.get(_MTF, ""),
    )


def save_values(folder: Path, values: MovieValues, session: AcquisitionRecord, merged: AcquisitionRecord) -> None:
    """Write the values with the records that they come from into the folder of a run."""
    content = {"values": asdict(values), "session": json.loads(session.to_json()), "record": json.loads(merged.to_json())}
    atomic_write_text(folder / FILE, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def load_values(folder: Path) -> tuple[MovieValues, AcquisitionRecord] | None:
    """Return the values and the record of the session that an earlier execution has saved; None where there are none.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return MovieValues(**content["values"]), AcquisitionRecord.from_json(json.dumps(content["session"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); use Restart") from error
