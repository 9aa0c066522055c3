"""What is wrong or doubtful about a launch: findings about the session, its preset, gain reference, MTF and disk."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from relion4plugin.acquisition.gain_rule import choose_gain
from relion4plugin.acquisition.merge import same
from relion4plugin.acquisition.mtf_rule import choose_mtf
from relion4plugin.acquisition.preset import Preset
from relion4plugin.acquisition.record import AcquisitionRecord, Finding
from relion4plugin.acquisition.session_facts import SessionFacts
from relion4plugin.acquisition.user_values import UserValues
from relion4plugin.jobs.parameters import format_value

_MISSING = "V01"  # a value that is needed
_OFF = 0.05  # relative difference from the calibration that is worth a warning
_SAME_VOLTAGE = 1.0  # kV
_PER_MICROGRAPH = 2.0  # bytes for each pixel of a corrected micrograph in 16 bits


def findings_of(facts: SessionFacts, record: AcquisitionRecord, preset: Preset, user: UserValues) -> list[Finding]:
    """Return all findings about the launch of a session.

    Parameters
    ----------
    facts : SessionFacts
        The session.
    record : AcquisitionRecord
        Its record as `merge` made it.
    preset : Preset
        Its preset.
    user : UserValues
        What a person gave; findings about those fields are settled.
    """
    gain = choose_gain(record, preset, facts.folders, facts.first_time)
    return [
        *_still_true(record, user),
        *gain.findings,
        *choose_mtf(record, preset)[1],
        *_voltage(record, preset),
        *_calibration(facts.record, preset),
        *_dose_rate(record, preset),
    ]


def _still_true(record: AcquisitionRecord, user: UserValues) -> Iterator[Finding]:
    """Yield the findings about the session without those that a person or the preset has settled."""
    for finding in record.warnings:
        if finding.field not in user.fields and not (finding.rule == _MISSING and finding.field in record.values):
            yield finding


def _voltage(record: AcquisitionRecord, preset: Preset) -> Iterator[Finding]:
    voltages, voltage = preset.get("microscope.voltages"), record.get("voltage_kV")
    if voltage is not None and voltages and all(abs(voltage - item) >= _SAME_VOLTAGE for item in voltages):
        listed = ", ".join(map(format_value, voltages))
        yield Finding("V02", "warning", "voltage_kV", f"{voltage:g} kV is none of the voltages of {preset.name} ({listed})")


def _calibration(record: AcquisitionRecord, preset: Preset) -> Iterator[Finding]:
    calibrated = preset.get("microscope.calibration").get(str(record.get("magnification", "")))
    nominal = record.get("physical_px_A")
    if calibrated and nominal and not same(calibrated, nominal) and abs(nominal / calibrated - 1.0) > _OFF:
        text = f"the metadata give {nominal:.4g} A, {100 * abs(nominal / calibrated - 1.0):.0f} % off the calibrated {calibrated:g} A"
        yield Finding("V09", "warning", "physical_px_A", text)


def _dose_rate(record: AcquisitionRecord, preset: Preset) -> Iterator[Finding]:
    limits, rate = preset.get("detector.dose_rate"), record.get("dose_rate_epx_s")
    if rate is not None and limits and not limits[0] <= rate <= limits[1]:
        text = f"{rate:.3g} e/px/s is outside the usual {limits[0]:g} to {limits[1]:g} of this preset"
        yield Finding("V12", "warning", "dose_rate_epx_s", text)


def disk_findings(facts: SessionFacts, record: AcquisitionRecord, folder: Path) -> Iterator[Finding]:
    """Yield an error if the disk of a project cannot even hold the corrected micrographs of the movies that are there."""
    existing = next((path for path in (folder, *folder.parents) if path.is_dir()), None)
    size = record.get("movie_size_px")
    if existing is None or size is None:
        return
    free, needed = shutil.disk_usage(existing).free, int(_PER_MICROGRAPH * size[0] * size[1]) * len(facts.movies)
    if free < needed:
        text = f"{existing} has {free / 1e9:.1f} GB left, but micrographs of {len(facts.movies)} movies take {needed / 1e9:.1f} GB"
        yield Finding("V19", "error", "", text)
